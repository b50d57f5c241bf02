"""The overview of an operator who has some domains: theirs alone, and nothing of hosts,
certificates or what others did."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import flags, staleness
from accounts.models import Domain, Mailbox
from core.models import Operator

SHOWN = 50


@dataclass(frozen=True)
class OwnDomains:
    """`kind` is ok, warning or idle, and `truth` the sentence beside it; `domains` the first few,
    with counts; `flagged` are flags of high risk."""

    kind: str
    truth: str
    domains: list[Domain]
    count: int
    mailboxes: int
    suspended: int
    flags: int
    flagged: int

    @property
    def has_more(self) -> bool:
        return self.count > len(self.domains)


def look(*, operator: Operator, at: datetime) -> OwnDomains:
    """Six queries, however many domains there are."""
    rows = Domain.objects.visible_to(operator)
    domains = list(rows.with_counts().order_by("name")[:SHOWN])
    present = Mailbox.objects.present().visible_to(operator)
    standing = flags.listed(at).visible_to(operator)
    flagged = standing.filter(risk=staleness.HIGH).count()
    kind = "idle" if not domains else "warning" if flagged else "ok"
    return OwnDomains(
        kind=kind,
        truth=truth(kind, flagged),
        domains=domains,
        count=rows.count(),
        mailboxes=present.count(),
        suspended=present.in_state("suspended").count(),
        flags=standing.count(),
        flagged=flagged,
    )


def truth(kind: str, flagged: int) -> str:
    if kind == "idle":
        return _("No domain is yours yet. Ask an owner of this console to give you some.")
    if kind == "ok":
        return _("Nothing in your domains needs a hand.")
    return ngettext(
        "%(n)d flag of high risk needs a hand.", "%(n)d flags of high risk need a hand.", flagged
    ) % {"n": flagged}
