"""What must be known before an earlier generation is live again: its certificate.

Accounts and mail are in no generation, so they stay as they are, suspensions included. But the
certificate is the one of then. One that has ended is refused by the host's own check; one that was
revoked since, or is on hold, is served only when somebody insists.
"""

from datetime import datetime

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from ca.models import Certificate
from core.errors import Refusal
from deploy.models import Generation


class BadCertificate(Refusal):
    """`may_insist`: revoked or on hold, not over."""

    status = 409

    def __init__(self, sentence: str, *, may_insist: bool) -> None:
        self.may_insist = may_insist
        super().__init__(sentence)


def objection(generation: Generation, at: datetime) -> BadCertificate | None:
    """What is wrong with the generation's certificate now."""
    row = generation.certificate
    if row is None:
        return None
    number = {"number": generation.number}
    if row.not_after <= at:
        sentence = _(
            "The certificate of generation %(number)s ended on %(date)s: the server's own check "
            "would refuse it. Put the present configuration live instead."
        )
        return BadCertificate(sentence % {**number, "date": _day(row.not_after)}, may_insist=False)
    if row.state == Certificate.REVOKED:
        sentence = _(
            "The certificate of generation %(number)s was revoked on %(date)s: mail programs that "
            "ask the authority refuse it."
        )
        since = row.revoked_at or row.issued_at
        return BadCertificate(sentence % {**number, "date": _day(since)}, may_insist=True)
    if row.state == Certificate.HELD:
        sentence = _(
            "The certificate of generation %(number)s is on hold: mail programs that ask the "
            "authority refuse it."
        )
        return BadCertificate(sentence % number, may_insist=True)
    return None


def check(generation: Generation, *, at: datetime, insist: bool) -> None:
    """Raises BadCertificate, unless somebody insists and may."""
    found = objection(generation, at)
    if found is not None and not (insist and found.may_insist):
        raise found


def _day(moment: datetime) -> str:
    return date_format(localtime(moment), "DATE_FORMAT")
