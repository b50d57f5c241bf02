"""What the accounts' commands have in common, beyond `core.commands`.

A command writes what the page would write. What a host must learn is sent by the console's worker;
the command does not reach for the host itself, so a stopped console sends it when it starts.
"""

from __future__ import annotations

import datetime
from typing import Any, NoReturn

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import addresses
from accounts.models import Domain, Mailbox
from accounts.refusals import AddressRefused, DomainRefused, ReasonsRefusal, SeveralRefused
from core import terminal
from core.commands import TerminalCommand, code_of, few
from core.errors import Refusal
from core.models import Operator

STDIN = "-"


class Unclear(Refusal):
    """What was named is not there, or cannot be read; `code` is for scripts."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class AccountsCommand(TerminalCommand):
    permission = "accounts.manage"

    def refuse(self, refusal: Refusal) -> NoReturn:
        """With every reason: `reasons` are the codes, `errors` the sentences."""
        found = refusal.refusals if isinstance(refusal, SeveralRefused) else [refusal]
        reasons: list[str] = []
        errors: list[str] = []
        for each in found:
            if isinstance(each, ReasonsRefusal):
                reasons += each.codes
                errors += each.sentences
            else:
                reasons.append(code_of(each))
                errors.append(each.sentence)
        if len(found) == 1 and not isinstance(refusal, ReasonsRefusal):
            self.fail(refusal.sentence, code_of(refusal))
        code = code_of(found[0]) if len(found) == 1 else "several"
        self.fail(refusal.sentence, code, reasons=reasons, errors=errors)

    def password(self, path: str) -> str:
        """The password alone in a file, or in what is piped in."""
        text, warnings = terminal.passphrase("/dev/stdin" if path == STDIN else path)
        for code in warnings:
            self.warn(code, path=path)
        return text


def domain_named(text: str, by: Operator | None) -> Domain:
    """One that exists for `by`; what is out of his scope is as unknown as what is nowhere."""
    try:
        name = addresses.domain_name(text)
    except addresses.NotAnAddress as refused:
        raise DomainRefused(refused.reasons) from None
    rows = Domain.objects.visible_to(by)
    found: Domain | None = rows.filter(name=name).first()
    if found is None:
        known = few(rows.order_by("name").values_list("name", flat=True))
        sentence = _("There is no domain %(name)s. Known: %(known)s.")
        shown = addresses.unicode_domain(name)
        raise Unclear("domain_unknown", sentence % {"name": shown, "known": known})
    return found


def mailbox_at(text: str, by: Operator | None) -> Mailbox:
    """As domain_named."""
    try:
        address = str(addresses.parse(text))
    except addresses.NotAnAddress as refused:
        raise AddressRefused(refused.reasons) from None
    rows = Mailbox.objects.visible_to(by).select_related("domain")
    found: Mailbox | None = rows.filter(address=address).first()
    if found is None:
        sentence = _("There is no mailbox %(address)s.")
        raise Unclear("mailbox_unknown", sentence % {"address": addresses.unicode_address(address)})
    return found


def end_of_day(text: str) -> datetime.datetime:
    """The moment at which a day that was named ends, where the console is."""
    try:
        day = datetime.date.fromisoformat(text.strip())
    except ValueError:
        sentence = _("“%(value)s” is no day. Write 2027-01-31, for example.")
        raise Unclear("day_malformed", sentence % {"value": text}) from None
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time(23, 59, 59)))


def described(mailbox: Mailbox) -> dict[str, Any]:
    """A mailbox for `--json`."""
    return {
        "address": mailbox.address,
        "state": mailbox.state,
        "display_name": mailbox.display_name,
        "quota_mb": mailbox.quota_mb,
        "expires_at": mailbox.expires_at,
        # What was just changed waits for the worker, which brings it to the host.
        "live": False,
    }


def when_live(domain: Domain) -> str:
    if not domain.host:
        return _("The domain is on no mail host yet: it goes live there once it is.")
    return _("It goes live on the mail host when the console runs.")
