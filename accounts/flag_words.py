"""What a flag's evidence says, in sentences for people."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import flags, staleness
from accounts.models import Flag, Mailbox

PROTOCOLS = {"imap": "IMAP", "pop3": "POP3", "smtp": gettext_lazy("sending")}
WEAK = {
    "equals_name": gettext_lazy("The password is the account's own name."),
    "name_reversed": gettext_lazy("The password is the account's name backwards."),
    "name_and_digits": gettext_lazy("The password is the account's name with digits."),
    "name_and_year": gettext_lazy("The password is the account's name with a year."),
    "name_doubled": gettext_lazy("The password is the account's name twice."),
    "equals_address": gettext_lazy("The password is the account's own address."),
    "equals_domain": gettext_lazy("The password is the domain's name."),
    "domain_and_year": gettext_lazy("The password is the domain's name with a year."),
    "domain_and_digits": gettext_lazy("The password is the domain's name with digits."),
    "common": gettext_lazy("The password is one of the first that attackers try."),
}
RISKS = {1: gettext_lazy("low"), 2: gettext_lazy("middle"), 3: gettext_lazy("high")}
LOOKS = {1: "info", 2: "warning", 3: "danger"}


def evidence(flag: Flag) -> str:
    known = flag.evidence
    if flag.kind == staleness.WEAK:
        return str(WEAK.get(known.get("reason", ""), ""))
    if flag.kind == staleness.TEST_NAMED:
        return _("“%(token)s” in its name looks like an account for a test.") % {
            "token": known.get("token", "")
        }
    if flag.kind == staleness.EXPIRED:
        return _("Its time is over, and it still works.")
    if flag.kind == staleness.NO_OWNER:
        return _("Nobody is named who looks after it.")
    days = known.get("days", 0)
    if flag.kind == staleness.NEVER_USED:
        return ngettext(
            "No login was seen in %(days)d day.", "No login was seen in %(days)d days.", days
        ) % {"days": days}
    if flag.kind == staleness.SENDS_ONLY:
        return ngettext(
            "It sent mail (last on %(day)s), and nobody was seen to read its mail in %(days)d day.",
            "It sent mail (last on %(day)s), and nobody was seen to read its mail in %(days)d "
            "days.",
            days,
        ) % {"days": days, "day": _day(known.get("last_sent", ""))}
    return _("Last used on %(day)s (%(how)s).") % {
        "day": _day(known.get("last_used", "")),
        "how": PROTOCOLS.get(known.get("protocol", ""), ""),
    }


def sureness(flag: Flag) -> str:
    """How sure it is; where it is not certain, what nobody could see."""
    if flag.sure == staleness.CERTAIN:
        return _("certain")
    parts = []
    since = flag.evidence.get("evidence_since")
    if since:
        parts.append(_("no evidence before %(day)s") % {"day": _day(since)})
    unwatched = flag.evidence.get("unwatched", [])
    if unwatched:
        names = ", ".join(str(PROTOCOLS[name]) for name in unwatched if name in PROTOCOLS)
        parts.append(_("not looked at: %(names)s") % {"names": names})
    return "; ".join(parts)


def row_of(flag: Flag) -> dict[str, Any]:
    """What a page shows of a flag."""
    return {
        "flag": flag,
        "evidence": evidence(flag),
        "sure": sureness(flag),
        "risk": RISKS[flag.risk],
        "kind": LOOKS[flag.risk],
    }


def of_mailbox(mailbox: Mailbox, *, at: datetime) -> list[dict[str, Any]]:
    """For a mailbox's page, which says by itself that a name looks like a test."""
    found = flags.listed(at).filter(mailbox=mailbox)
    found = found.exclude(kind=staleness.TEST_NAMED, suspends_at=None)
    return [row_of(flag) for flag in found]


def _day(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d}"
    except ValueError:
        return "–"
