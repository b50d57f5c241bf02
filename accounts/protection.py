"""Addresses where an operator's mail arrives: only owners and administrators touch those.

Who may set a mailbox's password can read what arrives there. Were it the mailbox of somebody with
more rights, the helpdesk of one domain could answer, as that person, whatever services mail to him.

    check_not_protected(mailbox, by)        # or MailboxProtected

An operator's address counts as it is delivered: in any case and script, without what follows a `+`,
and through aliases and a domain's catch-all to the mailboxes behind them. It counts whether the
mailbox exists or not, so that none can be closed and made anew with another password.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from accounts import addresses, catch_all
from accounts.models import Alias, Mailbox
from core import roles
from core.errors import Refusal
from core.models import Operator


class MailboxProtected(Refusal):
    """Mail of an operator arrives there, and who asks is neither owner nor administrator."""

    status = 403

    def __init__(self, address: str) -> None:
        super().__init__(
            _(
                "%(address)s is protected: mail of somebody who works with this console arrives "
                "there. Ask an owner or an administrator to do this."
            )
            % {"address": addresses.unicode_address(address)}
        )


def may_touch(by: Operator | None) -> bool:
    """None is the console itself, and whoever runs commands on the server."""
    return by is None or roles.may(by, "accounts.domains")


def check_not_protected(mailbox: Mailbox, by: Operator | None) -> None:
    """MailboxProtected, unless `by` may touch it or it is nobody's of the console."""
    check_address(mailbox.address, by)


def check_address(address: str, by: Operator | None) -> None:
    """The same for an address (as it is stored) that a mailbox or an alias has, or would get."""
    if may_touch(by):
        return
    found = protected()
    if address in found or _would_take(address, found):
        raise MailboxProtected(address)


def without_protected(rows: Iterable[Mailbox], by: Operator | None) -> list[Mailbox]:
    """Those of `rows` that `by` may touch."""
    if may_touch(by):
        return list(rows)
    kept_back = protected()
    return [row for row in rows if row.address not in kept_back]


def protected() -> frozenset[str]:
    """Every address that is protected, as addresses are stored."""
    emails = Operator.objects.filter(is_active=True).exclude(email="").values_list("email")
    new = {address for (email,) in emails if (address := _delivered_to(email))}
    found: set[str] = set()
    while new:
        found |= new
        asked = new | {catch_all.of(address) for address in new}
        leading = dict(Alias.objects.filter(address__in=asked).values_list("address", "targets"))
        ways = new & leading.keys()
        if asked - new & leading.keys():
            caught = {name for name in catch_all.reached(new).values() if name in leading}
            found |= caught
            ways |= caught
        new = {_delivered_to(each) for way in ways for each in leading[way]} - found - {""}
    return frozenset(found)


def _would_take(address: str, found: frozenset[str]) -> bool:
    """Whether a new alias is a catch-all and would take mail to one of `found`."""
    if address != catch_all.of(address):
        return False
    return address in catch_all.reached(found, address).values()


def _delivered_to(address: str) -> str:
    """The address of ours at which mail to `address` arrives; empty if it cannot be one."""
    local, _at, domain = address.strip().rpartition("@")
    try:
        return str(addresses.parse(f"{local.partition('+')[0]}@{domain}"))
    except addresses.NotAnAddress:
        return ""
