"""Managed files that somebody changed on a host: asked about, shown, and decided about.

    note(host, asked(helper, facts), at=now)     what was found; only where the keys are
    ask(host=host, by=me, at=now)                → a job, unless the last look is of just now
    comparing.shown(host, live)                  → [Shown(row, diff, adopted, why_not), ...]
    leave(host=…, path=…, mark=…, by=me, at=now) it may stay until it changes again
    take_over(host=…, mark=…, …)                 into the own lines, which win over the console's
    rollout.request(…, overwrite=[mark])         `mark`: `host.reported().drift_mark`

Nothing is overwritten unseen: whoever puts something live names the mark of what there is, and the
host compares again before it takes the new configuration.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import audit
from core.errors import Refusal
from core.models import Operator
from deploy import comparing, configure, jobs
from deploy import helper as helpers
from deploy.helper import Helper
from deploy.hostctl import paths
from deploy.models import DriftedFile, Host, HostJob, HostRollout
from deploy.rollout import live_generation
from deploy.transport import Event, HostError, Transport, TransportError

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
JUST_NOW = timedelta(seconds=30)
SILENT = 2 * EVERY
"""A host that did not answer for so long, which is more than once, is called unreachable."""


class Changed(Refusal):
    status = 409

    def __init__(self, host: Host) -> None:
        super().__init__(
            _(
                "What is on %(host)s changed since you looked at it. Look at the difference again, "
                "then decide."
            )
            % {"host": host.fqdn}
        )


class NothingDrifted(Refusal):
    def __init__(self, host: Host) -> None:
        super().__init__(
            _("On %(host)s the console's files are as they were deployed: there is nothing to do.")
            % {"host": host.fqdn}
        )


# Asking


def due(at: datetime) -> "QuerySet[Host]":
    """Hosts that nobody asked about themselves for a while."""
    before = at - EVERY
    waiting = Q(looked_at=None) | Q(looked_at__lte=before)
    busy = HostRollout.objects.under_way().values("host")
    stale = Q(facts_at=None) | Q(facts_at__lte=before)
    return Host.objects.ready().filter(waiting, stale).exclude(pk__in=busy)


def look_again(
    pk: int,
    *,
    clock: Callable[[], datetime] = timezone.now,
    transport: Transport | None = None,
) -> None:
    """The tick's turn. Whoever moves `looked_at` on asks; a host that does not answer is asked at
    the next turn."""
    if not due(clock()).filter(pk=pk).update(looked_at=clock()):
        return
    host = Host.objects.get(pk=pk)
    try:
        with Helper.of(host, transport) as helper:
            look(host, helper, clock=clock)
    except (TransportError, HostError) as error:
        log.warning("facts of %s: %s", host, error)
        silent = host.facts_at is None or host.facts_at <= clock() - SILENT
        if silent and isinstance(error, TransportError):
            helpers.note_unreachable(host, error)


def look(host: Host, helper: Helper, *, clock: Callable[[], datetime]) -> None:
    facts, found = told(host, helper)
    with transaction.atomic():
        helpers.note_reached(host, facts, at=clock())
        note(host, found, at=clock())


def told(host: Host, helper: Helper) -> tuple[Event, list[Mapping[str, Any]]]:
    """Facts, and what drifted; raises HostError, TransportError.

    A host on another generation than the one put live last (it, or the console, was restored from
    a backup, or another console was at work) has its pointer among what drifted.
    """
    facts = dict(helper.facts())
    found = asked(helper, facts)
    if (pointer := _moved(host, facts)) is not None:
        path, mark = pointer["path"], pointer["mark"]
        facts["drift"] = [*(facts.get("drift") or ()), path]
        facts["drift_marks"] = {**(facts.get("drift_marks") or {}), path: mark}
        found.append(pointer)
    return facts, found


def _moved(host: Host, facts: Event) -> Mapping[str, Any] | None:
    there = facts.get("generation") or 0
    live = live_generation(host)
    if there == (live.number if live else 0):
        return None
    if facts.get("pending") or HostRollout.objects.under_way().filter(host=host).exists():
        return None  # on its way
    return {
        "path": paths.CURRENT,
        "name": "current",
        "state": DriftedFile.RELINKED,
        "mark": f"generation {there}",
        "target": f"generations/{there}",
        "generation": there,
    }


def asked(helper: Helper, facts: Event) -> list[Mapping[str, Any]]:
    """What the host tells of the files that its facts name; raises HostError, TransportError."""
    named = [str(path) for path in facts.get("drift") or ()]
    if not named:
        return []
    try:
        answer = helper.drift()
    except HostError as error:
        if error.code != "unknown_verb":
            raise
        return [{"path": path, "state": DriftedFile.NOT_SHOWN} for path in named]
    generation = answer.get("generation")
    return [{**file, "generation": generation} for file in answer["files"]]


def note(host: Host, found: Iterable[Mapping[str, Any]], *, at: datetime) -> None:
    """Keep what was found, and what was decided about each file as long as it is the same."""
    kept = []
    for file in found:
        path = _storable(file["path"])[:255]
        kept.append(path)
        DriftedFile.objects.update_or_create(
            host=host,
            path=path,
            defaults={
                "generation": file.get("generation"),
                "name": _storable(file.get("name") or "")[:100],
                "state": file["state"],
                "mark": str(file.get("mark") or "")[:64],
                "target": _storable(file.get("target") or "")[:1000],
                "text": _storable(file["text"]) if "text" in file else None,
                "deployed": _storable(file["deployed"]) if "deployed" in file else None,
                "left_out": str(file.get("left_out") or "")[:4],
                "seen_at": at,
            },
        )
    DriftedFile.objects.filter(host=host).exclude(path__in=kept).delete()


def _storable(text: object) -> str:
    """Without what no database takes: NUL, and halves of characters."""
    clean = str(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode("utf-8")


def ask(*, host: Host, by: Operator | None, at: datetime) -> HostJob | None:
    """Have a worker look; None when that goes on, or was done just now."""
    just_now = host.facts_at is not None and at - host.facts_at < JUST_NOW
    if not host.is_ready or (just_now and not unread(host)):
        return None
    try:
        with transaction.atomic():
            return jobs.add_job(kind=HostJob.CHECK, host=host, by=by, at=at)
    except IntegrityError:
        return None


# Deciding


def unsettled(host: Host) -> list[str]:
    """The paths that nobody decided about yet, as the host last reported them."""
    return unsettled_on([host]).get(host.pk, [])


def unsettled_on(hosts: Iterable[Host]) -> dict[int, list[str]]:
    """The same of many, by the host's key; those with nothing are left out."""
    drifted = {host.pk: host.reported().drifted for host in hosts}
    drifted = {pk: marks for pk, marks in drifted.items() if marks}
    if not drifted:
        return {}
    rows = DriftedFile.objects.filter(host__in=drifted).defer("text", "deployed")
    settled = {(row.host_id, row.path, row.mark) for row in rows if row.is_settled}
    found = {
        pk: [path for path, mark in marks.items() if (pk, path, mark) not in settled]
        for pk, marks in drifted.items()
    }
    return {pk: paths for pk, paths in found.items() if paths}


def unread(host: Host) -> list[str]:
    """The paths of which the console does not know what is in them now."""
    return unread_on([host]).get(host.pk, [])


def unread_on(hosts: Iterable[Host]) -> dict[int, list[str]]:
    """The same of many, by the host's key; those with nothing are left out."""
    drifted = {host.pk: host.reported().drifted for host in hosts}
    drifted = {pk: marks for pk, marks in drifted.items() if marks}
    if not drifted:
        return {}
    rows = DriftedFile.objects.filter(host__in=drifted)
    known = set(rows.values_list("host", "path", "mark"))
    found = {
        pk: [path for path, mark in marks.items() if (pk, path, mark) not in known]
        for pk, marks in drifted.items()
    }
    return {pk: paths for pk, paths in found.items() if paths}


def leave(*, host: Host, path: str, mark: str, by: Operator, at: datetime) -> DriftedFile:
    """It may stay as it is: nobody is reminded until it changes again. A rollout still names it.

    Raises Changed when it is not as `mark` says.
    """
    with transaction.atomic():
        row = DriftedFile.objects.select_for_update().filter(host=host, path=path).first()
        if row is None or row.mark != mark:
            raise Changed(host)
        _choose(row, DriftedFile.LEFT, by, at)
        audit.record(
            by=by,
            at=at,
            action="deploy.drift.left",
            subject=host.fqdn,
            detail={"path": path, "mark": mark},
        )
    return row


def take_over(
    *, host: Host, mark: str, texts: Mapping[str, str], by: Operator, at: datetime
) -> None:
    """The own lines as they were looked through; the next rollout has them.

    `mark` is of all that drifted. Raises Changed, NothingDrifted, configure.CannotBeSaid.
    """
    known = host.reported()
    if not known.drift:
        raise NothingDrifted(host)
    if known.drift_mark != mark:
        raise Changed(host)
    with transaction.atomic():
        configure.change_snippets(host=host, texts=texts, by=by, at=at)
        taken, live = [], live_generation(host)
        for row in DriftedFile.objects.select_for_update().filter(host=host):
            if comparing.compare(row, host, live).adopted is not None:
                _choose(row, DriftedFile.TAKEN_OVER, by, at)
                taken.append(row.path)
        audit.record(
            by=by,
            at=at,
            action="deploy.drift.taken_over",
            subject=host.fqdn,
            detail={"paths": taken, "mark": mark},
        )


def _choose(row: DriftedFile, choice: str, by: Operator, at: datetime) -> None:
    row.choice, row.chosen_mark = choice, row.mark
    row.chosen_at, row.chosen_by = at, by
    row.save(update_fields=["choice", "chosen_mark", "chosen_at", "chosen_by"])
