"""What stands in the way of an address, and of the end of a temporary account."""

import datetime

from django.utils.translation import gettext_lazy as _

from accounts import addresses, states
from accounts.models import Alias, Domain, Erasure, Mailbox
from accounts.refusals import AddressRefused, AddressTaken
from core.errors import Refusal

HANDED_ON_AFTER = datetime.timedelta(days=365)
FURTHEST = datetime.timedelta(days=365_000)
"""In the last hours of the year 9999 another zone's clock has no date any more."""


class NameNeedsReason(Refusal):
    """The name looks like an account for a test, and nobody said why it is one; or somebody did
    whose reasons do not count (`insists` is False)."""

    def __init__(self, token: str, *, insists: bool = True) -> None:
        sentence = _(
            "“%(token)s” looks like an account for a test. Such accounts are forgotten, and are "
            "the first that attackers try. Make it a temporary one, say why it must stay, or "
            "choose another name."
        )
        if not insists:
            sentence = _(
                "“%(token)s” looks like an account for a test. Such accounts are forgotten, and "
                "are the first that attackers try. Make it a temporary one, choose another name, "
                "or ask an owner or an administrator to let it stay."
            )
        super().__init__(sentence % {"token": token})
        self.field = "name_reason" if insists else "expires_at"
        self.token = token


class ExpiryRefused(Refusal):
    field = "expires_at"

    def __init__(self, *, past: bool = True) -> None:
        super().__init__(
            _("That moment is past: choose a later one.")
            if past
            else _("That moment is too far away: choose an earlier one, or none.")
        )


class OwnerMissing(Refusal):
    """A temporary account has somebody who can be asked about it."""

    field = "owner_contact"

    def __init__(self) -> None:
        super().__init__(_("Say who looks after it: a temporary account needs an owner."))


class Expired(Refusal):
    """A temporary account whose time is over is extended before it is used again."""

    status = 409

    def __init__(self, row: Mailbox) -> None:
        super().__init__(
            _("The time of %(address)s is over since %(day)s. Extend it first.")
            % {"address": row.unicode_address, "day": f"{row.expires_at:%Y-%m-%d}"}
        )


def check_local_part(text: str, domain: Domain) -> str:
    """The name as it is stored, or AddressRefused."""
    try:
        return addresses.within(text, domain.name).local
    except addresses.NotAnAddress as refused:
        raise AddressRefused(refused.reasons) from None


def check_free(
    domain: Domain, local: str, *, insist: bool = False, at: datetime.datetime | None = None
) -> None:
    """AddressTaken when a mailbox, an alias or a tombstone has the address.

    A tombstone does for a year, or until somebody insists; and as long as the former owner's mail
    is still on the host.
    """
    address = f"{local}@{domain.name}"
    if Erasure.objects.filter(address=address, state=Erasure.WAITING).exists():
        raise AddressTaken(address, "erasing")
    found = Mailbox.objects.filter(address=address).values_list("state", "state_since").first()
    if found:
        state, since = found
        if state != states.ERASED:
            raise AddressTaken(address, "mailbox")
        if not insist and (at is None or since + HANDED_ON_AFTER > at):
            raise AddressTaken(address, "erased")
    if Alias.objects.filter(address=address).exists():
        raise AddressTaken(address, "alias")


def check_name(local: str, reason: str, *, temporary: bool = False, insists: bool = True) -> None:
    """NameNeedsReason. `insists`: whether a reason of who asks counts."""
    token = addresses.test_token(local)
    if token and not temporary and not (insists and reason.strip()):
        raise NameNeedsReason(token, insists=insists)


def check_expiry(expires_at: datetime.datetime | None, at: datetime.datetime | None) -> None:
    if expires_at is not None and at is not None and not at < expires_at < at + FURTHEST:
        raise ExpiryRefused(past=expires_at <= at)


def check_owner(owner_contact: str, expires_at: datetime.datetime | None) -> None:
    if expires_at is not None and not owner_contact.strip():
        raise OwnerMissing


def check_not_expired(row: Mailbox, at: datetime.datetime) -> None:
    if row.expired(at):
        raise Expired(row)
