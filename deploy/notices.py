"""Mail about hosts that are not well: probes fail, a renewal failed, a host cannot be reached.

    collect(at=now)                    # what nobody was told of yet, and what is well again
    send(notice=claimed, at=now)       # hands one to the mail server, or notes why that failed

What is wrong follows from rows that others keep (`things_of`). An `Alarm` remembers what people
were told: once when a thing begins, once when all of its kind is well again, and of the same thing
no more than once a day, however often it comes and goes. A renewal that has failed is told of again
each day of the last week. What comes within `APART` is one mail for each operator. The row keeps
what it is about; the text is made when it is sent, of what is still true then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core import outgoing, roles
from core.models import Operator
from core.nudge import nudge
from deploy import probing, renewal, sentences
from deploy.models import Alarm, Host, HostNotice

SEND_NOTICE = "deploy.send_notice"
DAY = timedelta(days=1)
REMINDED_FOR = timedelta(days=7)
"""Before a certificate's end a failed renewal is told of each day."""
OUT_OF_REACH = timedelta(hours=1)
APART = timedelta(minutes=10)
MOST_NAMED = 40
LOOK_AGAIN_SECONDS = 60
_LOOKED = "deploy.notices.looked"

Key = tuple[int, str]


@dataclass(frozen=True)
class Step:
    """What becomes of an alarm: `fresh` is told now, `well` that all is well again."""

    key: Key
    fresh: tuple[str, ...]
    standing: tuple[str, ...]
    well: bool


@dataclass(frozen=True)
class Section:
    """A part of a mail."""

    title: str
    lines: tuple[str, ...]


def recipients() -> list[Operator]:
    """Operators who could do something about it, and have an address."""
    active = Operator.objects.filter(is_active=True).exclude(email="").order_by("pk")
    return [each for each in active if roles.may(each, "deploy.rollout")]


# What is wrong


def things_of(at: datetime) -> dict[Key, list[str]]:
    """Host and kind of trouble to what is wrong: names of probes, or the kind itself."""
    hosts = {host.pk: host for host in Host.objects.ready().only("pk", "state", "facts_at")}
    found: dict[Key, list[str]] = {}
    for row in probing.rows_of(hosts.values()):
        if bad := probing.failing(row):
            found[row.host_id, Alarm.PROBES] = sorted(each.name for each in bad)
    for host, _old in renewal.ripe(at):
        if renewal.trouble(host, at):
            found[host.pk, Alarm.RENEWAL] = [Alarm.RENEWAL]
    for host in hosts.values():
        if host.state == Host.UNREACHABLE and host.facts_at and host.facts_at <= at - OUT_OF_REACH:
            found[host.pk, Alarm.UNREACHABLE] = [Alarm.UNREACHABLE]
    return found


def steps(alarms: Iterable[Alarm], at: datetime) -> list[Step]:
    """What is to be told, and which alarms change."""
    known = {(alarm.host_id, alarm.kind): alarm for alarm in alarms}
    now = things_of(at)
    nagging = {host.pk for host, old in renewal.ripe(at) if old.not_after - at <= REMINDED_FOR}
    found = []
    for key in sorted({*known, *now}):
        alarm = known.get(key) or Alarm(host_id=key[0], kind=key[1])
        again = key[1] == Alarm.RENEWAL and key[0] in nagging
        step = _step(alarm, now.get(key, []), at, again=again)
        if step.fresh or step.well or list(step.standing) != alarm.standing:
            found.append(step)
    return found


def _step(alarm: Alarm, things: list[str], at: datetime, *, again: bool) -> Step:
    standing = set() if again else {*alarm.standing} & {*things}
    told = {name: datetime.fromisoformat(moment) for name, moment in alarm.told.items()}
    fresh = [
        name
        for name in things
        if name not in standing and (name not in told or told[name] <= at - DAY)
    ]
    still = ({*alarm.standing} & {*things}) | {*fresh}
    return Step(
        key=(alarm.host_id, alarm.kind),
        fresh=tuple(fresh),
        standing=tuple(sorted(still)),
        well=alarm.is_open and not things,
    )


# Noting whom to tell


def _may_collect(at: datetime) -> bool:
    last = HostNotice.objects.order_by("-made_at").first()
    return outgoing.is_configured() and (last is None or last.made_at <= at - APART)


def due_to_collect(at: datetime) -> QuerySet[Host]:
    """One host that people are to be told of: one message collects them all."""
    nothing = Host.objects.none()
    if not outgoing.is_configured() or not cache.add(_LOOKED, "1", LOOK_AGAIN_SECONDS):
        return nothing
    if not _may_collect(at) or not recipients():
        return nothing
    found = steps(Alarm.objects.all(), at)
    return Host.objects.filter(pk__in=[step.key[0] for step in found[:1]])


def collect(*, at: datetime) -> list[HostNotice]:
    """Note who is to be told of what: one notice an operator. Empty where there is nothing to tell,
    where mail is not configured, or where somebody else was first."""
    people = recipients()
    if not people or not _may_collect(at):
        return []
    _prepare(step.key for step in steps(Alarm.objects.all(), at))
    with transaction.atomic():
        # Whoever waited here for another collector finds it noted already.
        rows = {
            (alarm.host_id, alarm.kind): alarm for alarm in Alarm.objects.select_for_update().all()
        }
        parts = []
        for step in steps(rows.values(), at):
            alarm = rows.get(step.key)
            if alarm is None:
                continue
            alarm.standing = list(step.standing)
            alarm.told = {**alarm.told, **dict.fromkeys(step.fresh, at.isoformat())}
            alarm.is_open = not step.well and (alarm.is_open or bool(step.fresh))
            alarm.save()
            if step.fresh or step.well:
                parts.append({"alarm": alarm.pk, "well": step.well})
        return [_note(each, parts, at) for each in people] if parts else []


def _prepare(keys: Iterable[Key]) -> None:
    """So that there is a row to lock."""
    Alarm.objects.bulk_create(
        [Alarm(host_id=host, kind=kind) for host, kind in keys], ignore_conflicts=True
    )


def _note(operator: Operator, parts: list[dict[str, object]], at: datetime) -> HostNotice:
    notice = HostNotice.objects.create(operator=operator, alarms=parts, made_at=at, next_try_at=at)
    nudge(SEND_NOTICE, notice.pk)
    return notice


# Sending


def due(at: datetime) -> QuerySet[HostNotice]:
    """Without a mail server they wait: nothing is tried for ever."""
    return HostNotice.objects.due(at) if outgoing.is_configured() else HostNotice.objects.none()


def send(*, notice: HostNotice, at: datetime) -> None:
    """Send a claimed notice. What has nothing left to say, or nobody to say it to, is dropped."""
    operator = notice.operator
    message = None
    if operator.is_active and operator.email:
        with translation.override(operator.language or settings.LANGUAGE_CODE):
            message = compose(notice, at=at)
    if message is None:
        HostNotice.objects.filter(pk=notice.pk, fence=notice.fence).delete()
        return
    outgoing.hand_in(notice, message, at=at)


def waiting() -> list[HostNotice]:
    """What is still to be sent, the oldest first."""
    return list(HostNotice.objects.filter(sent_at=None).order_by("pk")[:100])


def last_sent_at() -> datetime | None:
    sent = HostNotice.objects.exclude(sent_at=None).order_by("-sent_at").first()
    return sent.sent_at if sent else None


def problem() -> str:
    """What keeps notices from being sent, "" for nothing."""
    return next((each.problem for each in waiting() if each.problem), "")


# Words


def compose(notice: HostNotice, *, at: datetime) -> EmailMessage | None:
    """The mail in the active language; None where nothing of it is true any more."""
    alarms = Alarm.objects.select_related("host").in_bulk([each["alarm"] for each in notice.alarms])
    found = []
    for part in notice.alarms:
        alarm = alarms.get(part["alarm"])
        section = _section(alarm, part, at) if alarm is not None else None
        if section is not None:
            found.append(section)
    if not found:
        return None
    count = len(found)
    subject = found[0].title
    if count > 1:
        subject = ngettext(
            "%(n)d message about mail servers", "%(n)d messages about mail servers", count
        ) % {"n": count}
    lines: list[str] = []
    for section in found[:MOST_NAMED]:
        lines += [*([section.title] if count > 1 else []), *section.lines, ""]
    if count > MOST_NAMED:
        left = count - MOST_NAMED
        lines.append(
            ngettext("and %(n)d more message", "and %(n)d more messages", left) % {"n": left}
        )
    return outgoing.message(
        subject, lines[:-1] if not lines[-1] else lines, to=notice.operator.email
    )


def _section(alarm: Alarm, part: Mapping[str, object], at: datetime) -> Section | None:
    write = {
        Alarm.PROBES: _of_probes,
        Alarm.RENEWAL: _of_renewal,
        Alarm.UNREACHABLE: _of_reach,
    }[alarm.kind]
    section = write(alarm.host, bool(part["well"]), at)
    if section is None:
        return None
    return Section(section.title, (*section.lines, "", _page(alarm.host, alarm.kind)))


def _page(host: Host, kind: str) -> str:
    place = "#probes-title" if kind == Alarm.PROBES else ""
    return f"{settings.CONSOLE_URL}/hosts/{host.pk}/{place}"


def _of_probes(host: Host, well: bool, at: datetime) -> Section | None:
    bad = probing.failing(probing.row_of(host))
    if well:
        title = _("%(host)s: all that is probed is as it must be again") % {"host": host.fqdn}
        # One that was given back is not probed any more.
        return None if bad or host.released_at else Section(title, ())
    if not bad:
        return None
    named = [sentences.probe_failure(each.kind, each.protocol, each.evidence) for each in bad]
    title = _("%(host)s: %(failure)s") % {"host": host.fqdn, "failure": named[0]}
    lines = []
    for each, name in zip(bad, named, strict=True):
        since = _("since %(moment)s") % {"moment": _moment(each.since or at)}
        lines += [f"- {name} ({since})", f"  {each.evidence[:300]}"]
    advice = dict.fromkeys(
        sentences.after_probe_failure(each.protocol, each.evidence, host.mta) for each in bad
    )
    return Section(title, (*lines, "", *advice))


def _of_renewal(host: Host, well: bool, at: datetime) -> Section | None:
    trouble = renewal.trouble(host, at)
    live = renewal.live_certificate(host)
    if live is None or well is bool(trouble):
        return None
    ends = _("It ends on %(moment)s.") % {"moment": _moment(live.not_after)}
    if well:
        return Section(_("The certificate of %(host)s is renewed") % {"host": host.fqdn}, (ends,))
    title = _("The certificate of %(host)s could not be renewed") % {"host": host.fqdn}
    return Section(title, (trouble, ends))


def _of_reach(host: Host, well: bool, at: datetime) -> Section | None:
    if well is (host.state == Host.UNREACHABLE):
        return None
    if well:
        return Section(_("%(host)s answers again") % {"host": host.fqdn}, ())
    last = _("It answered last on %(moment)s.") % {"moment": _moment(host.facts_at or at)}
    return Section(
        _("%(host)s does not answer") % {"host": host.fqdn},
        (
            _("The console cannot reach it by SSH. Mail may well be flowing."),
            sentences.problem(host.problem, host.problem_detail),
            last,
        ),
    )


def _moment(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"
