"""Accounts go live by deltas, without a rollout.

A host's `AccountPush` row says up to which change it is current. `push` claims the row, sends what
is missing and moves the number on; whoever finds the row held leaves, because the holder looks
again after letting go. The host's database carries a lineage: when the host is behind it is sent
more, or the whole; when the **host** is ahead (a console restored from an old backup) nothing is
sent until an operator decides.

    push(key, at=now)                    # the task's one call
    with held(host) as row: add(row, helper, lines)   # a rollout, for the login of its probes
"""

import io
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import delta
from accounts.models import Change
from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge
from deploy import helper as helpers
from deploy.helper import Helper
from deploy.models import AccountPush, Host
from deploy.transport import Broken, HostError, Transport, TransportError

log = logging.getLogger(__name__)

LEASE_SECONDS = 20
RETRY = timedelta(seconds=5)
TASK = "deploy.push_accounts"
OPERATOR_DECIDES = {"lineage", "ahead", "too_many_removed"}
MOST_CHANGES = 20_000
"""Beyond that the whole is sent: it is not larger by much, and simpler to get right."""

Line = dict[str, Any]
Clock = Callable[[], datetime]


class NothingToDecide(Refusal):
    """The accounts of this host are not stopped."""


class Held(Exception):
    """Another worker is sending and did not finish in time."""


@dataclass(frozen=True)
class Delta:
    """One request's worth: `whole` replaces everything that the host has."""

    from_change: int
    through_change: int
    lines: Iterable[Line] = ()
    end_sessions: tuple[str, ...] = ()
    whole: bool = False
    force: bool = False


def due(at: datetime) -> "QuerySet[AccountPush]":
    """Hosts that have had their first configuration and do not know the latest change."""
    # Few hosts, one indexed look-up each: `Change.host` is text, `Host.uuid` is not.
    waiting = (
        AccountPush.objects.exclude(state__in=[AccountPush.IDLE, *AccountPush.STOPPED])
        .filter(leases.unheld(at))
        .filter(leases.rested(at))
    )
    behind = [
        pk
        for pk, host, reached, force in waiting.values_list(
            "pk", "host__uuid", "through_change", "force"
        )
        if force or Change.objects.since(str(host), reached).exists()
    ]
    return AccountPush.objects.filter(pk__in=behind)


def row_of(host: Host) -> AccountPush:
    return AccountPush.objects.get_or_create(host=host)[0]


def find(key: int | str) -> int | None:
    """A nudge names the row by its pk, or the host by its uuid (accounts knows only that)."""
    text = str(key)
    rows = (
        AccountPush.objects.filter(pk=int(text))
        if text.isdigit()
        else AccountPush.objects.filter(host__uuid=uuid.UUID(text))
    )
    return rows.values_list("pk", flat=True).first()


def push(
    key: int | str,
    *,
    clock: Clock = timezone.now,
    transport: Transport | None = None,
    worker: str = "",
) -> None:
    """Send one host what it does not know yet; it ends current, or its row says why not."""
    pk = find(key)
    while pk is not None:
        row = leases.claim(
            AccountPush.objects.exclude(state__in=[AccountPush.IDLE, *AccountPush.STOPPED]),
            pk,
            worker=worker or leases.worker_name(),
            at=clock(),
            seconds=LEASE_SECONDS,
        )
        if row is None:
            return  # not started, stopped, or its holder will look again
        try:
            settled = _push_claimed(row, clock, transport)
            leases.release(row)
        except leases.LeaseLost:
            return
        if not settled or not _changes(row).exists():
            return  # a change that came before the release is seen here; later ones can claim


def _push_claimed(row: AccountPush, clock: Clock, transport: Transport | None) -> bool:
    try:
        with Helper.of(row.host, transport, beat=lambda: _keep(row, clock)) as helper:
            while row.force or _changes(row).exists():
                send(row, helper, clock=clock)
    except (TransportError, HostError) as error:
        note_failure(row, error, clock())
        return False
    return True


def _keep(row: AccountPush, clock: Clock) -> None:
    now = clock()
    if row.lease_until is None or row.lease_until - now < timedelta(seconds=LEASE_SECONDS / 2):
        leases.renew(row, at=now, seconds=LEASE_SECONDS)


def _changes(row: AccountPush) -> "QuerySet[Change]":
    return Change.objects.since(str(row.host.uuid), row.through_change)


def note_failure(row: AccountPush, error: TransportError | HostError, at: datetime) -> None:
    """Why a claimed row is not current, and when to try again (some things an operator decides)."""
    state, code, detail = AccountPush.FAILED, "unreachable", str(error)
    if isinstance(error, HostError):
        code, detail = error.code, error.message
        if error.code == "ahead":
            state, detail = AccountPush.HOST_AHEAD, str(error.event.get("through_change", ""))
        elif error.code == "lineage":
            state, code = AccountPush.HOST_AHEAD, "ahead"
        elif error.code == "too_many_removed":
            state = AccountPush.TOO_MANY
        elif error.code == "busy":
            code = "busy"
    elif isinstance(error, Broken):
        code = "broken"
        helpers.ssh.forget(row.host.fqdn)
    log.warning("accounts of %s: %s %s", row.host, code, detail)
    pause = timedelta(milliseconds=300) if code == "busy" else RETRY
    leases.save(row, state=state, problem=code, problem_detail=detail[:2000], retry_at=at + pause)
    if code == "busy":
        time.sleep(pause.total_seconds())
        nudge(TASK, row.pk)


def send(row: AccountPush, helper: Helper, *, clock: Clock = timezone.now) -> None:
    """Bring the host of a claimed row up to date."""
    began = time.monotonic()
    try:
        answer = _ask(helper, row, _next(row))
    except HostError as error:
        if error.code != "behind":
            raise
        # The host knows less than the row says (it was restored): everything, from the beginning.
        answer = _ask(helper, row, _whole(row))
    leases.save(
        row,
        lineage=str(answer.get("lineage") or row.lineage),
        through_change=int(answer["through_change"]),
        state=AccountPush.CURRENT,
        problem="",
        problem_detail="",
        retry_at=None,
        force=False,
        pushed_at=clock(),
        took_ms=round(1000 * (time.monotonic() - began)),
    )


def add(
    row: AccountPush,
    helper: Helper,
    lines: list[Line],
    *,
    end_sessions: tuple[str, ...] = (),
    clock: Clock = timezone.now,
) -> None:
    """Lines that belong to no change (the login of a rollout's probes), on top of what is there."""

    def ask() -> None:
        reached = row.through_change
        _ask(helper, row, Delta(reached, reached, lines, end_sessions))

    with _stops(row, clock):
        try:
            ask()
        except HostError as error:
            if error.code != "behind":
                raise
            # It was restored from a backup: it gets everything first.
            answer = _ask(helper, row, _whole(row))
            leases.save(row, through_change=int(answer["through_change"]), pushed_at=clock())
            ask()


@contextmanager
def _stops(row: AccountPush, clock: Clock) -> Iterator[None]:
    """What an operator decides stops the row, whoever comes upon it."""
    try:
        yield
    except HostError as error:
        if error.code in OPERATOR_DECIDES:
            note_failure(row, error, clock())
        raise


def probe_domain(host: Host) -> str:
    """The domain of the logins that rollouts make for their probes. It receives nothing."""
    return f"probe.{host.fqdn}"


def start(row: AccountPush, helper: Helper, *, clock: Clock = timezone.now) -> int:
    """The first time: everything, into an empty database. Returns how many mailboxes there are."""
    if not row.lineage:
        leases.save(row, lineage=uuid.uuid4().hex)
    with _stops(row, clock):
        answer = _ask(helper, row, _whole(row))
    leases.save(
        row,
        through_change=int(answer["through_change"]),
        problem="",
        problem_detail="",
        state=AccountPush.CURRENT,
        pushed_at=clock(),
    )
    return int(answer.get("mailboxes") or 0)


def _next(row: AccountPush) -> Delta:
    changes = list(_changes(row)[: MOST_CHANGES + 1])
    if row.force or len(changes) > MOST_CHANGES:
        return _whole(row)
    made = delta.build(changes)
    return Delta(
        from_change=row.through_change,
        through_change=max(made.through_change, row.through_change),
        lines=made.lines,
        end_sessions=tuple(made.end_sessions),
    )


def _whole(row: AccountPush) -> Delta:
    made = delta.whole(str(row.host.uuid), since=row.through_change or None)
    return Delta(
        from_change=0,
        through_change=max(made.through_change, row.through_change),
        lines=chain([{"domain": {"name": probe_domain(row.host)}}], made.lines),
        end_sessions=tuple(made.end_sessions),
        whole=True,
        force=row.force,
    )


def _ask(helper: Helper, row: AccountPush, wanted: Delta) -> Any:
    payload = io.BytesIO()  # a million lines, joined at the end, would stand in memory twice
    for line in wanted.lines:
        payload.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
    return helper.accounts(
        payload.getvalue(),
        lineage=row.lineage or None,
        from_change=wanted.from_change,
        through_change=wanted.through_change,
        whole=wanted.whole,
        end_sessions=list(wanted.end_sessions),
        force=wanted.force,
    )


@contextmanager
def held(
    host: Host, *, clock: Clock = timezone.now, worker: str = "", patience: float = 15.0
) -> Iterator[AccountPush]:
    """The host's row, claimed; raises Held when another worker does not let go of it."""
    pk = row_of(host).pk
    until = time.monotonic() + patience
    while True:
        row = leases.claim(
            AccountPush.objects.all(),
            pk,
            worker=worker or leases.worker_name(),
            at=clock(),
            seconds=LEASE_SECONDS,
        )
        if row is not None:
            break
        if time.monotonic() > until:
            raise Held(str(host))
        time.sleep(0.05)
    try:
        yield row
    finally:
        leases.release(row)
        if _changes(row).exists():
            nudge(TASK, row.pk)


def go_on(*, host: Host, by: Operator | None, at: datetime) -> None:
    """An operator decides that a stopped host is to be overwritten with what the console knows."""
    with transaction.atomic():
        moved = AccountPush.objects.filter(host=host, state__in=AccountPush.STOPPED).update(
            state=AccountPush.FAILED,
            force=True,
            retry_at=None,
            fence=F("fence") + 1,
        )
        if not moved:
            raise NothingToDecide(_("The accounts of this server are not stopped."))
        audit.record(by=by, at=at, action="deploy.accounts.forced", subject=host.fqdn)
        nudge(TASK, str(host.uuid))
