"""Giving a host back to what was there before the console, generation 0.

    ask(host=host, by=me, at=now)            → a job that looks: what would happen
    report = seen(host)                      → Report, None before the first look
    give_back(host=…, typed=…, mark=report.mark, by=me, at=now)     → the job that does it

Nothing happens unseen: whoever gives back names the mark of what they looked at, and the worker
looks again before it begins. Accounts, mail and the generations stay on the host, so that it can be
put live again; then the queued mail that was held is delivered.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts import states
from accounts.models import Mailbox
from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from deploy import accounts_push, drift, jobs
from deploy.helper import Helper
from deploy.jobs import LEASE_SECONDS, Outcome
from deploy.models import AccountPush, Generation, Host, HostJob, HostRollout, Probing
from deploy.rollout import NotReady, UnderWay, live_generation
from deploy.transport import Event, HostError, Transport, TransportError

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 120
"""Then the host takes the console's generation again by itself, unless it hears from here."""
FRESH = timedelta(minutes=10)
MOST_SHOWN = 100

Clock = Callable[[], datetime]


class NothingLive(Refusal):
    def __init__(self, host: Host) -> None:
        super().__init__(
            _("Nothing of the console's is live on %(host)s: there is nothing to give back.")
            % {"host": host.fqdn}
        )


class WrongName(Refusal):
    field = "typed"

    def __init__(self, host: Host) -> None:
        super().__init__(_("Type the server's name, %(host)s.") % {"host": host.fqdn})


class NotSeen(Refusal):
    """What would happen is not what somebody looked at, or nobody looked."""

    status = 409

    def __init__(self, host: Host) -> None:
        super().__init__(
            _(
                "What giving %(host)s back would do has not been looked at, or is different now. "
                "Look at it, then decide."
            )
            % {"host": host.fqdn}
        )


# What it would do


@dataclass(frozen=True)
class Login:
    """A login that would open again. `mailboxes`: the console's of this address, or of this name
    in the host's domains."""

    name: str
    by: tuple[str, ...]
    shell: str
    mailboxes: tuple[Mailbox, ...] = ()

    @property
    def closed(self) -> tuple[Mailbox, ...]:
        """Those that somebody suspended, closed or erased here."""
        return tuple(row for row in self.mailboxes if row.state != states.ACTIVE)

    @property
    def is_closed_here(self) -> bool:
        return bool(self.closed)


@dataclass(frozen=True)
class Report:
    """`unknown`: domains that what was there before does not know; mail for them is held."""

    at: datetime
    mark: str
    unknown: tuple[str, ...]
    unknown_more: int
    logins: tuple[Login, ...]
    logins_more: int
    unlisted: tuple[str, ...]
    queued: int
    oldest: datetime | None
    to_hold: int
    hold_domains: tuple[tuple[str, int], ...]
    files: Mapping[str, str] = field(default_factory=dict)
    stops: tuple[str, ...] = ()
    """Services that did not run before."""

    @property
    def reviving(self) -> tuple[Login, ...]:
        """Those that were closed here."""
        return tuple(login for login in self.logins if login.is_closed_here)

    @property
    def others(self) -> tuple[Login, ...]:
        return tuple(login for login in self.logins if not login.is_closed_here)


def mark_of(host: Host, found: Mapping[str, Any]) -> str:
    """Changes with what somebody must have seen: the domains and the logins. The queue moves."""
    said = [
        *_unknown(host, found),
        sorted(row["name"] for row in found["logins"]),
        found["more"],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _unknown(host: Host, found: Mapping[str, Any]) -> tuple[list[str], int]:
    """The domains and how many there are, without the one that is the probes'."""
    named = sorted(name for name in found["unknown"] if name != accounts_push.probe_domain(host))
    return named, found["unknown_count"] - len(found["unknown"]) + len(named)


def last_look(host: Host) -> HostJob | None:
    return host.jobs.filter(kind=HostJob.LOOK).first()


def seen(host: Host) -> Report | None:
    """The newest look that came to its end."""
    job = host.jobs.filter(kind=HostJob.LOOK, state=HostJob.DONE).first()
    if job is None or job.finished_at is None:
        return None
    found = job.found
    queue, to_hold = found["queue"], found["to_hold"]
    unknown, count = _unknown(host, found)
    oldest = queue.get("oldest")
    return Report(
        at=job.finished_at,
        mark=mark_of(host, found),
        unknown=tuple(unknown[:MOST_SHOWN]),
        unknown_more=count - len(unknown[:MOST_SHOWN]),
        logins=_logins(host, found["logins"]),
        logins_more=found["more"],
        unlisted=tuple(found["unlisted"]),
        queued=queue["count"],
        oldest=datetime.fromtimestamp(oldest, UTC) if oldest else None,
        to_hold=to_hold["count"],
        hold_domains=tuple((name, count) for name, count in to_hold["by_domain"]),
        files=found["files"],
        stops=tuple(
            name
            for name, each in sorted(found["services"].items())
            if each["running"] and each["before"] is False
        ),
    )


def _logins(host: Host, rows: list[dict[str, Any]]) -> tuple[Login, ...]:
    names = [str(row["name"]).lower() for row in rows]
    full = [name for name in names if "@" in name]
    local = [name for name in names if "@" not in name]
    wanted = Q(address__in=full) | Q(local_part__in=local)
    known: dict[str, list[Mailbox]] = {}
    for mailbox in Mailbox.objects.on(str(host.uuid)).filter(wanted).order_by("address"):
        for key in {mailbox.address, mailbox.local_part}:
            known.setdefault(key, []).append(mailbox)
    return tuple(
        Login(
            name=str(row["name"]),
            by=tuple(row["by"]),
            shell=str(row["shell"]),
            mailboxes=tuple(known.get(str(row["name"]).lower(), ())),
        )
        for row in rows
    )


def ask(*, host: Host, by: Operator | None, at: datetime, anew: bool = False) -> HostJob | None:
    """Have a worker look; None when that goes on, or was done lately and `anew` is not said."""
    if not host.is_ready:
        raise NotReady(host)
    if live_generation(host) is None:
        raise NothingLive(host)
    last = last_look(host)
    if not anew and last is not None and at - last.created_at < FRESH:
        return None
    try:
        with transaction.atomic():
            return jobs.add_job(kind=HostJob.LOOK, host=host, by=by, at=at)
    except IntegrityError:
        return None


# Doing it


def give_back(*, host: Host, typed: str, mark: str, by: Operator | None, at: datetime) -> HostJob:
    """Ask for it. Raises NotReady, NothingLive, WrongName, NotSeen, UnderWay."""
    if not host.is_ready:
        raise NotReady(host)
    live = live_generation(host)
    if live is None:
        raise NothingLive(host)
    if typed.strip().rstrip(".").lower() != host.fqdn:
        raise WrongName(host)
    report = seen(host)
    if report is None or report.mark != mark:
        raise NotSeen(host)
    try:
        with transaction.atomic():
            Host.objects.lock([host])
            if HostRollout.objects.open().filter(host=host).exists():
                raise UnderWay(host)
            job = jobs.add_job(kind=HostJob.RELEASE, host=host, by=by, at=at, wish={"mark": mark})
            audit.record(
                by=by,
                at=at,
                action="deploy.host.release_requested",
                subject=host.fqdn,
                detail={
                    "generation": live.number,
                    "unknown_domains": list(report.unknown),
                    "to_hold": report.to_hold,
                    "reviving": [login.name for login in report.reviving],
                },
            )
    except IntegrityError:
        raise UnderWay(host) from None
    return job


def look(job: HostJob, *, clock: Clock, transport: Transport | None = None) -> Outcome:
    """The job LOOK: what giving the host back would do."""
    host = job.host
    assert host is not None
    leases.save(job, step="connect", fraction=0.2)
    with Helper.of(host, transport, beat=_beat(job, clock)) as helper:
        leases.save(job, step="look", fraction=0.4)
        leases.save(job, found=_plain(helper.release_look()))
    return Outcome()


def carry_out(job: HostJob, *, clock: Clock, transport: Transport | None = None) -> Outcome:
    """The job RELEASE. A second worker goes on where the first one died: the host says where."""
    host = job.host
    assert host is not None
    leases.save(job, step="connect", fraction=0.1)
    with Helper.of(host, transport, beat=_beat(job, clock)) as helper:
        facts = helper.facts()
        if not _is_pending(facts) and facts.get("generation"):
            outcome = _leave(job, helper, int(facts["generation"]))
            if outcome is not None:
                return outcome
            facts = helper.facts()
        if _is_pending(facts):
            leases.save(job, step="confirm", fraction=0.8)
            try:
                helper.confirm(generation=0)
            except HostError as error:
                if error.code != "too_late":
                    raise
                return Outcome("came_back", error.message)
        elif facts.get("generation"):
            return Outcome("came_back")
        queue = helper.queue()
        _now_given_back(job, host, queue, clock())
        try:
            drift.look(host, helper, clock=clock)
        except (HostError, TransportError) as error:
            log.warning("facts of %s: %s", host, error)
    return Outcome()


def _leave(job: HostJob, helper: Helper, base: int) -> Outcome | None:
    """None when the host is on generation 0 and waits to be told to stay."""
    leases.save(job, step="look", fraction=0.2)
    assert job.host is not None
    if mark_of(job.host, _plain(helper.release_look())) != job.wish.get("mark"):
        return Outcome("other_than_seen")
    try:
        for event in helper.release(base=base, deadline=DEADLINE_SECONDS):
            if event["event"] == "step":
                step = str(event.get("name", "")).rpartition(".")[2]
                leases.save(job, step=f"leave.{step}", fraction=min(0.75, job.fraction + 0.08))
    except HostError as error:
        outcome = error.event.get("outcome")
        if outcome == "rolled_back":
            return Outcome("not_given_back", error.message)
        if outcome == "rollback_failed":
            return Outcome("rollback", error.message)
        raise
    return None


def _is_pending(facts: Event) -> bool:
    return (facts.get("pending") or {}).get("generation") == 0


def _now_given_back(job: HostJob, host: Host, queue: Event, at: datetime) -> None:
    with transaction.atomic():
        leases.save(job, found={"queue": _plain(queue)})
        if not Generation.objects.live().filter(host=host).update(state=Generation.KEPT):
            return  # a worker that died right after this has noted it
        Host.objects.filter(pk=host.pk).update(released_at=at)
        # What failed of the console's configuration is nobody's trouble there any more.
        Probing.objects.filter(host=host).delete()
        # Nothing is sent there until it is put live again, which sends everything.
        AccountPush.objects.filter(host=host).update(
            state=AccountPush.IDLE,
            problem="",
            problem_detail="",
            retry_at=None,
            fence=F("fence") + 1,
        )
        audit.record(
            by=job.created_by,
            at=at,
            action="deploy.host.released",
            subject=host.fqdn,
            detail={"held": queue["held"]},
        )
    host.refresh_from_db()


def held(host: Host) -> int:
    """Messages that were held in the queue when the host was given back, whoever held them."""
    job = host.jobs.filter(kind=HostJob.RELEASE, state=HostJob.DONE).first()
    return int(job.found.get("queue", {}).get("held", 0)) if job else 0


def _plain(event: Event) -> dict[str, Any]:
    """What is kept; a NUL, which no database takes, is shown as what it is not."""
    said = json.dumps({name: value for name, value in event.items() if name != "event"})
    found: dict[str, Any] = json.loads(said.replace("\\u0000", "\\ufffd"))
    return found


def _beat(job: HostJob, clock: Clock) -> Callable[[], None]:
    def beat() -> None:
        now = clock()
        if job.lease_until is None or job.lease_until - now < timedelta(seconds=LEASE_SECONDS / 2):
            leases.renew(job, at=now, seconds=LEASE_SECONDS)

    return beat
