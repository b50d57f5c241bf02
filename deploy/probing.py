"""Hosts are probed on a schedule, and at once when somebody asks; the last answers are kept.

    wish(host=host, by=me, at=now)        # "Probe now": a worker does it at once
    probe(host.pk)                        # the task: asks, keeps, tells when it begins and ends
    failing(row)                          # → [Answer(kind="tls", protocol="imaps", …), …]

Everything is asked as a client asks it, so no SSH is needed and nothing changes on the host. Only
the right password and a message on its whole way need a login, which is made there and taken away
again each SIGN_IN_EVERY, and at each turn while one of them fails. What fails is asked once more
after PAUSE before it counts: a daemon may just restart. While something is put live there, the
rollout asks by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from core import audit
from core.models import Operator
from core.nudge import nudge
from deploy import probes, proof, rollout
from deploy.helper import Helper
from deploy.models import Generation, Host, HostJob, HostRollout, Probing
from deploy.plan import Probe
from deploy.probes.values import Place, Result
from deploy.transport import HostError, Transport, TransportError

log = logging.getLogger(__name__)

TASK = "deploy.probe"
EVERY = timedelta(minutes=15)
SIGN_IN_EVERY = timedelta(hours=6)
MOST = timedelta(minutes=2)
"""Longer than any turn takes: a worker that has not answered by then is dead."""
SOON = timedelta(days=14)
"""A served certificate that ends earlier is warned of."""
PATIENCE = 2.0
PAUSE = 8.0
"""Seconds until what failed is asked once more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe as it was kept; `since` is set while it fails."""

    kind: str
    protocol: str
    port: int
    ok: bool
    evidence: str
    ms: int
    since: datetime | None
    fingerprint: str = ""
    not_after: datetime | None = None
    at: datetime | None = None

    @property
    def name(self) -> str:
        return f"probe.{self.kind}.{self.protocol}"


@dataclass(frozen=True)
class Tools:
    prove: proof.Prove = probes.run
    clock: Callable[[], datetime] = timezone.now
    sleep: Callable[[float], None] = time.sleep
    transport: Transport | None = None


# When


def due(at: datetime) -> QuerySet[Host]:
    """Hosts with something live that nobody asked for a while, or since a rollout ended there, or
    that somebody wants asked."""
    ended = HostRollout.objects.filter(
        host=OuterRef("pk"), finished_at__gt=OuterRef("probing__asked_at")
    )
    waiting = (
        Q(probing=None)
        | Q(probing__asked_at=None)
        | Q(probing__asked_at__lte=at - EVERY)
        | Q(probing__wanted_at__isnull=False)
        | Exists(ended)
    )
    live = Generation.objects.live().values("host")
    busy = HostRollout.objects.under_way().values("host")
    leaving = HostJob.objects.open().filter(kind=HostJob.RELEASE).values("host")
    ready = Host.objects.ready().filter(waiting, pk__in=live)
    return ready.exclude(pk__in=busy).exclude(pk__in=leaving)


def wish(*, host: Host, by: Operator | None, at: datetime) -> None:
    """Raises proof.NothingLive, rollout.UnderWay. Nothing when it is being asked already."""
    _check(host)
    row, _made = Probing.objects.get_or_create(host=host)
    if is_under_way(row, at):
        return
    Probing.objects.filter(pk=row.pk).update(wanted_at=at)
    nudge(TASK, host.pk)


def _check(host: Host) -> None:
    if rollout.live_generation(host) is None:
        raise proof.NothingLive(host)
    if HostRollout.objects.under_way().filter(host=host).exists():
        raise rollout.UnderWay(host)


def is_under_way(row: Probing | None, at: datetime) -> bool:
    """Whether an answer is on its way: somebody waits for it."""
    if row is None:
        return False
    if row.wanted_at is not None:
        return at - row.wanted_at < MOST
    running = row.asked_at is not None and (row.at is None or row.at < row.asked_at)
    return running and row.asked_at is not None and at - row.asked_at < MOST


# Asking


def probe(pk: int, tools: Tools | None = None) -> None:
    """Whoever moves `asked_at` on asks; a worker that ends in the middle is followed by the next
    turn."""
    tools = tools or Tools()
    began = tools.clock()
    if not due(began).filter(pk=pk).exists():
        return
    host = Host.objects.get(pk=pk)
    row, _made = Probing.objects.get_or_create(host=host)
    claimed = Probing.objects.filter(
        pk=row.pk, asked_at=row.asked_at, wanted_at=row.wanted_at
    ).update(asked_at=began, wanted_at=None)
    generation = rollout.live_generation(host)
    if not claimed or generation is None:
        return
    results = _ask_all(host, generation, row, tools)
    with transaction.atomic():
        kept = Probing.objects.select_for_update().filter(pk=row.pk).first()
        if kept is None:  # the host was removed meanwhile
            return
        if _was_changed(host, generation, began):
            # The daemons were between two configurations; asked again when that is over.
            Probing.objects.filter(pk=row.pk).update(asked_at=None)
            return
        note(kept, host, generation, results, at=tools.clock())


def _ask_all(host: Host, generation: Generation, row: Probing, tools: Tools) -> list[Result]:
    local_part = proof.ON_SCHEDULE
    place = replace(proof.place_of(host, generation, local_part), patience=PATIENCE)
    asked = proof.questions(host, generation)
    if _is_to_sign_in(row, tools.clock()):
        try:
            with (
                Helper.of(host, tools.transport) as helper,
                proof.signed_in(host, helper, place, clock=tools.clock),
            ):
                return _ask(asked, place, tools)
        except (HostError, TransportError, proof.AccountsHeld) as error:
            log.warning("no login for the probes of %s: %s", host, error)
    return _ask([each for each in asked if each.kind not in proof.NEED_LOGIN], place, tools)


def _is_to_sign_in(row: Probing, at: datetime) -> bool:
    last = row.signed_in_at
    bad = any(each.kind in proof.NEED_LOGIN for each in failing(row))
    wanted = row.wanted_at is not None
    return wanted or last is None or bad or last <= at - SIGN_IN_EVERY


def _ask(asked: Sequence[Probe], place: Place, tools: Tools) -> list[Result]:
    found = list(tools.prove(asked, place, beat=lambda: None))
    bad = {(each.kind, each.protocol) for each in found if not each.ok}
    if bad:
        tools.sleep(PAUSE)
        again = [each for each in asked if (each.kind, each.protocol) in bad]
        found = [each for each in found if each.ok]
        found += tools.prove(again, place, beat=lambda: None)
    return sorted(found, key=lambda each: (each.port, each.kind))


def _was_changed(host: Host, generation: Generation, began: datetime) -> bool:
    live = rollout.live_generation(host)
    rows = HostRollout.objects.filter(host=host)
    releases = host.jobs.filter(kind=HostJob.RELEASE)
    return (
        live is None
        or live.pk != generation.pk
        or releases.open().exists()
        or releases.filter(finished_at__gte=began).exists()
        or rows.under_way().exists()
        or rows.filter(started_at__isnull=False, finished_at__gte=began).exists()
    )


# Keeping


@transaction.atomic
def note(
    row: Probing, host: Host, generation: Generation, results: Iterable[Result], *, at: datetime
) -> None:
    """Keep the answers; one event when something begins to fail, one when all is well again.

    What needs a login and was not asked this time stays as it was answered for this generation."""
    before = {each.name: each.since for each in failing(row)}
    results = list(results)
    signed_in = any(each.kind in proof.NEED_LOGIN for each in results)
    kept, bad = [], []
    if not signed_in and row.generation == generation.number:
        kept = [each for each in row.results if each["kind"] in proof.NEED_LOGIN]
        bad = [_read(each).name for each in kept if not each["ok"]]
    for each in results:
        since = None if each.ok else (before.get(each.name) or at)
        if not each.ok:
            bad.append(each.name)
        kept.append(
            {
                "kind": each.kind,
                "protocol": each.protocol,
                "port": each.port,
                "ok": each.ok,
                "evidence": each.evidence.replace("\0", "\N{REPLACEMENT CHARACTER}"),
                "ms": each.ms,
                "since": since.isoformat() if since else None,
                "fingerprint": each.fingerprint,
                "not_after": each.not_after.isoformat() if each.not_after else None,
                "at": at.isoformat(),
            }
        )
    row.results, row.generation, row.at = kept, generation.number, at
    row.signed_in_at = at if signed_in else row.signed_in_at
    row.save(update_fields=["results", "generation", "at", "signed_in_at"])
    if set(bad) - set(before):
        _tell("deploy.probes.failed", host, at, {"failed": bad, "generation": generation.number})
    elif before and not bad:
        _tell("deploy.probes.well", host, at, {"failed": [], "generation": generation.number})


def _tell(action: str, host: Host, at: datetime, detail: dict[str, object]) -> None:
    audit.record(by=None, at=at, action=action, subject=host.fqdn, detail=detail)


# Reading


def row_of(host: Host) -> Probing | None:
    return Probing.objects.filter(host=host).first()


def answers(row: Probing | None) -> list[Answer]:
    """What was answered last; what fails comes first."""
    if row is None:
        return []
    return sorted((_read(each) for each in row.results), key=lambda each: each.ok)


def _read(kept: Mapping[str, Any]) -> Answer:
    moments = {name: _moment(kept.get(name)) for name in ("since", "not_after", "at")}
    return Answer(**{**kept, **moments})


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def ends(row: Probing | None) -> datetime | None:
    """When the first of the certificates that were served ends."""
    return min((each.not_after for each in answers(row) if each.not_after), default=None)


def failing(row: Probing | None) -> list[Answer]:
    return [each for each in answers(row) if not each.ok]


def failing_on(hosts: Iterable[Host]) -> dict[int, list[Answer]]:
    """What fails on each, by the host's key; those that are well are left out."""
    found = {row.host_id: failing(row) for row in rows_of(hosts)}
    return {pk: bad for pk, bad in found.items() if bad}


def rows_of(hosts: Iterable[Host]) -> list[Probing]:
    return list(Probing.objects.filter(host__in=list(hosts)))
