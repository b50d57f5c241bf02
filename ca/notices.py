"""Notices by mail of what ends soon.

    collect(at=now)                    # what has come to 30, 14, 7 or 1 days: one mail a recipient
    send(notice=claimed, at=now)       # hands it to the mail server, or notes why that failed

The row keeps ids; the text is made when it is sent, in the recipient's language, of what is still
true then. A server that does not take it is tried again, less and less often. People get one digest
at most every `EVERY`; it looks that far ahead, so that nothing is told later than its day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ca import ending, lifetimes, wording
from ca.models import Certificate, Issuer, Notice
from core import audit, outgoing, roles
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge

SEND_NOTICE = "ca.send_notice"
EVERY = timedelta(hours=12)
MOST_AT_ONCE = 500
MOST_NAMED = 100
# The tick asks every five seconds; a look at a million rows need not be that often.
LOOK_AGAIN_SECONDS = 600
_LOOKED = "ca.notices.looked"


class NotSent(Refusal):
    """No mail can be sent: nothing is configured, or nobody has an address."""

    def __init__(self, code: str) -> None:
        super().__init__(wording.sentence(code))
        self.code = code


@dataclass(frozen=True)
class Standing:
    """What the page says of mail. `problem`: of the oldest notice that is still to be sent."""

    configured: bool
    sender: str
    recipients: int
    last_sent_at: datetime | None
    waiting: int
    problem: str
    next_try_at: datetime | None


def recipients() -> list[Operator]:
    """Operators who could do something about it, and have an address."""
    active = Operator.objects.filter(is_active=True).exclude(email="").order_by("pk")
    return [each for each in active if roles.may(each, "ca.issue")]


def standing(at: datetime) -> Standing:
    # What waits comes first, then what was sent last.
    newest = Notice.objects.order_by(F("sent_at").desc(nulls_first=True), "pk")
    rows = list(newest.only("sent_at", "problem", "next_try_at")[:MOST_NAMED])
    waiting = [each for each in rows if each.sent_at is None]
    troubled = next((each for each in waiting if each.problem), None)
    return Standing(
        configured=outgoing.is_configured(),
        sender=settings.DEFAULT_FROM_EMAIL,
        recipients=len(recipients()),
        last_sent_at=next((each.sent_at for each in rows if each.sent_at is not None), None),
        waiting=len(waiting),
        problem=troubled.problem if troubled else "",
        next_try_at=troubled.next_try_at if troubled else None,
    )


def _reached(at: datetime) -> Q:
    """The end is within the days of a notice that was not given yet."""
    found = Q()
    for days in lifetimes.NOTICES:
        untold = Q(noticed_days=None) | Q(noticed_days__gt=days)
        found |= untold & Q(not_after__lte=at + timedelta(days=days))
    return found


def problem() -> str:
    """What keeps notices from being sent, "" for nothing."""
    troubled = Notice.objects.filter(sent_at=None).exclude(problem="").order_by("pk").first()
    return troubled.problem if troubled else ""


def _is_untold(certificate: Certificate, at: datetime) -> bool:
    days = lifetimes.threshold(certificate.not_after, at=at)
    told = certificate.noticed_days
    return days is not None and (told is None or told > days)


def to_tell(at: datetime, *, most: int = MOST_AT_ONCE) -> list[int]:
    """Ids of certificates whose next notice is due within `EVERY`: leaves in the last third of
    their life, and the present certificates of authorities that still sign."""
    authorities = Issuer.objects.filter(retired_at=None).select_related("certificate")
    present = [issuer.certificate for issuer in authorities if issuer.certificate is not None]
    found = [each for each in present if each.is_valid(at) and _is_untold(each, at + EVERY)]
    leaves = ending.certificates(at, revoked=set(), ahead=EVERY, only=_reached(at + EVERY))
    found += leaves.soonest_first().only("pk", "not_after")[:most]
    found.sort(key=lambda each: (each.not_after, each.pk))
    return [each.pk for each in found[:most]]


def _may_collect(at: datetime) -> bool:
    last = Notice.objects.exclude(certificates=[]).order_by("-made_at").first()
    return (
        last is None or last.made_at <= at - EVERY or len(last.certificates) >= MOST_AT_ONCE
    ) and bool(recipients())


def due_to_collect(at: datetime) -> QuerySet[Certificate]:
    """One certificate that people are to be told of: one message collects them all."""
    nothing = Certificate.objects.none()
    if not outgoing.is_configured() or not cache.add(_LOOKED, "1", LOOK_AGAIN_SECONDS):
        return nothing
    if not _may_collect(at):
        return nothing
    return Certificate.objects.filter(pk__in=to_tell(at, most=1))


def collect(*, at: datetime) -> list[Notice]:
    """Note who is to be told of what, once: one notice a recipient. Empty where there is nothing,
    where mail is not configured, or where somebody else was first."""
    if not outgoing.is_configured() or not _may_collect(at):
        return []
    pks = to_tell(at)
    with transaction.atomic():
        # Whoever waited here for another collector finds the days noted already.
        rows = Certificate.objects.select_for_update().filter(_reached(at + EVERY), pk__in=pks)
        told = list(rows.order_by("not_after", "pk").only("pk", "not_after"))
        if not told:
            return []
        for days in lifetimes.NOTICES:
            ids = [
                each.pk
                for each in told
                if lifetimes.threshold(each.not_after, at=at + EVERY) == days
            ]
            Certificate.objects.filter(pk__in=ids).update(noticed_days=days)
        return [_note(each, [row.pk for row in told], at) for each in recipients()]


def _note(operator: Operator, certificates: list[int], at: datetime) -> Notice:
    notice = Notice.objects.create(
        certificates=certificates, recipients=[operator.pk], made_at=at, next_try_at=at
    )
    nudge(SEND_NOTICE, notice.pk)
    return notice


def request_test(*, by: Operator, at: datetime) -> Notice:
    """A mail to oneself, to see that it arrives."""
    if not outgoing.is_configured():
        raise NotSent("mail_not_configured")
    if not by.email:
        raise NotSent("mail_no_address")
    with transaction.atomic():
        notice = _note(by, [], at)
        audit.record(by=by, at=at, action="ca.notice.test_requested", subject=by.email, detail={})
    return notice


def due(at: datetime) -> QuerySet[Notice]:
    """Without a mail server they wait: nothing is tried for ever."""
    return Notice.objects.due(at) if outgoing.is_configured() else Notice.objects.none()


def send(*, notice: Notice, at: datetime) -> None:
    """Send a claimed notice. What has nothing left to say, or nobody to say it to, is dropped."""
    operator = Operator.objects.filter(pk__in=notice.recipients, is_active=True).first()
    message = None
    if operator is not None and operator.email:
        with translation.override(operator.language or settings.LANGUAGE_CODE):
            message = compose(notice, to=operator, at=at)
    if message is None:
        Notice.objects.filter(pk=notice.pk, fence=notice.fence).delete()
        return
    outgoing.hand_in(notice, message, at=at)


def compose(notice: Notice, *, to: Operator, at: datetime) -> EmailMessage | None:
    """The mail in the active language; None where nothing of it is true any more."""
    if not notice.certificates:
        subject = _("Mailadmin can send mail")
        lines = [_("You asked for this mail. Notices of what ends soon will reach you like this.")]
    else:
        rows = Certificate.objects.filter(pk__in=notice.certificates)
        found = [each for each in rows.soonest_first() if each.is_valid(at)]
        if not found:
            return None
        count = len(found)
        subject = ngettext("%(n)d certificate ends soon", "%(n)d certificates end soon", count) % {
            "n": count
        }
        renewed = ending.replacements(found, at=at)
        lines = [_("These end soon:"), ""]
        lines += [_line(each, each.pk in renewed, at) for each in found[:MOST_NAMED]]
        if count > MOST_NAMED:
            left = count - MOST_NAMED
            lines += [ngettext("and %(n)d more", "and %(n)d more", left) % {"n": left}]
        lines += ["", _("Why, and what to do:"), f"{settings.CONSOLE_URL}/certificates/due/"]
    return outgoing.message(subject, lines, to=to.email)


def _line(certificate: Certificate, renewed: bool, at: datetime) -> str:
    days = max(0, (certificate.not_after - at).days)
    text = ngettext(
        "%(name)s: in %(days)d day, on %(date)s UTC",
        "%(name)s: in %(days)d days, on %(date)s UTC",
        days,
    ) % {
        "name": certificate.title,
        "days": days,
        "date": f"{certificate.not_after:%Y-%m-%d %H:%M}",
    }
    if renewed:
        text += " " + _("(renewed: put the new one in use)")
    return f"- {text}"
