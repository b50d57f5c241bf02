"""Many accounts out of a file: all that can be is taken, and every row says what became of it.

    batch = request(rows=reading.read(file, total=total), total=total, name="staff.csv",
                    choices=Choices(make_domains=True), dry_run=True, by=me, at=now)
    work(batch=claimed, clock=timezone.now)      # the worker, part by part

What was read waits in parts of at most 500 rows, sealed for the worker: clear passwords may be
among them. For each part what is wanted is compared with what there is, passwords are judged and
hashed beside each other, all of it without a transaction; then rows, Changes, outcomes and the
count they reach are stored in one, conditional on the lease's number, and on nobody having touched
the part's addresses meanwhile. So a worker that is killed leaves whole parts, its successor goes on
behind them, and the same file a second time changes nothing. One audit event when it is asked for,
and one at its end with the digest of what was made and changed.

A dry run does all but the writing. Its parts stay for a day, so that the import can follow without
the file being sent again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts import import_rows, reading, weakness
from accounts.import_rows import CREATED, OUTCOMES, UPDATED, Choices, Ground, Plan
from accounts.models import (
    AccountImport,
    ImportOutcome,
    ImportPart,
)
from accounts.reading import Row
from accounts.refusals import ReasonsRefusal
from core import audit, leases, seal
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge

IMPORT = "accounts.import_accounts"
PART = 500
# Then the worker looks for what else there is to do.
SLICE = timedelta(seconds=10)
KEPT = timedelta(days=1)
MOST_CLAIMS = 5
MOST_TRIES = 20


class FileRefused(ReasonsRefusal):
    """Nothing of the file is taken."""

    field = "file"


class ImportNotInState(Refusal):
    status = 409


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Moved(Exception):
    """Somebody touched an address of the part meanwhile: look again."""


def request(
    *,
    rows: Iterable[Row],
    total: Digest,
    name: str,
    choices: Choices,
    dry_run: bool,
    by: Operator | None,
    at: datetime,
) -> AccountImport:
    """Ask for the accounts of `rows`; reading them feeds the digest `total`. FileRefused."""
    packed: list[bytes] = []
    count = 0
    try:
        for part in _parts(rows):
            packed.append(zlib.compress(json.dumps(part).encode(), 1))
            count += len(part)
    except reading.Unreadable as unreadable:
        raise FileRefused([unreadable.reason]) from None
    digest = total.hexdigest()
    with transaction.atomic():
        batch = _new(
            count, name=name, sha256=digest, choices=choices, dry_run=dry_run, by=by, at=at
        )
        ImportPart.objects.bulk_create(
            (
                ImportPart(
                    batch=batch,
                    first=index * PART,
                    rows=seal.seal_for_worker(each, context=_context(digest, index * PART)),
                )
                for index, each in enumerate(packed)
            ),
            batch_size=50,
        )
    return batch


def for_real(*, batch: AccountImport, by: Operator | None, at: datetime) -> AccountImport:
    """The import after its dry run, with the same choices. Its parts go over to it."""
    with transaction.atomic():
        row = AccountImport.objects.select_for_update().get(pk=batch.pk)
        if not row.dry_run or row.state != row.DONE or not row.parts.exists():
            raise ImportNotInState(_("What was read is not here any more. Upload the file again."))
        real = _new(
            row.total,
            name=row.name,
            sha256=row.sha256,
            choices=Choices(**row.choices),
            dry_run=False,
            by=by,
            at=at,
        )
        row.parts.update(batch=real)
    return real


def cancel(*, batch: AccountImport, by: Operator | None, at: datetime) -> None:
    """The worker stops before the next part; what is done stays."""
    with transaction.atomic():
        asked = AccountImport.objects.filter(pk=batch.pk, state=AccountImport.RUNNING)
        if not asked.filter(cancel_asked=False).update(cancel_asked=True, changed_at=at):
            raise ImportNotInState(_("This import does not run any more."))
        audit.record(
            by=by,
            at=at,
            action="accounts.import.cancelled",
            subject=str(batch),
            detail={"import": batch.pk},
        )
        nudge(IMPORT, batch.pk)


def forget(*, at: datetime) -> None:
    """What dry runs read and nobody asked for within a day."""
    ImportPart.objects.filter(batch__in=forgotten(at)).delete()


def forgotten(at: datetime) -> Any:
    old = AccountImport.objects.exclude(state=AccountImport.RUNNING)
    return old.filter(changed_at__lt=at - KEPT, parts__isnull=False).distinct()


def _new(
    count: int,
    *,
    name: str,
    sha256: str,
    choices: Choices,
    dry_run: bool,
    by: Operator | None,
    at: datetime,
) -> AccountImport:
    batch = AccountImport.objects.create(
        name=name[:200],
        sha256=sha256,
        choices=asdict(choices),
        dry_run=dry_run,
        total=count,
        asked_by=by,
        asked_at=at,
        changed_at=at,
    )
    audit.record(
        by=by,
        at=at,
        action="accounts.import.requested",
        subject=str(batch),
        detail={
            "import": batch.pk,
            "rows": count,
            "sha256": sha256,
            "dry_run": dry_run,
            **asdict(choices),
        },
    )
    nudge(IMPORT, batch.pk)
    return batch


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    each = iter(rows)
    while part := list(islice(each, PART)):
        yield part


def _context(digest: str, first: int) -> str:
    return f"accounts.import {digest} {first}"


def work(
    *, batch: AccountImport, clock: Callable[[], datetime], slice_: timedelta | None = SLICE
) -> None:
    """Work on a claimed import for a slice of time, or to its end.

    Raises `core.leases.LeaseLost` when another worker has taken over, and `core.seal.KeyNotHeld`
    where the ring is not held.
    """
    begin = clock()
    if batch.fence > MOST_CLAIMS + -(-batch.done // PART):
        _end(batch, AccountImport.FAILED, at=begin, problem="import_worker_failed")
        return
    choices = Choices(**batch.choices)
    made = import_rows.would_be_made(batch)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while (part := batch.parts.filter(first__gte=batch.done).first()) is not None:
            at = clock()
            if AccountImport.objects.filter(pk=batch.pk, cancel_asked=True).exists():
                _end(batch, AccountImport.CANCELLED, at=at)
                return
            if slice_ is not None and at - begin >= slice_:
                leases.release(batch, changed_at=at)
                nudge(IMPORT, batch.pk)
                return
            try:
                opened = seal.open_as_worker(
                    bytes(part.rows), context=_context(batch.sha256, part.first)
                )
            except seal.SealBroken:
                _end(batch, AccountImport.FAILED, at=at, problem="import_unreadable")
                return
            rows: list[Row] = json.loads(zlib.decompress(opened))
            reached = {name: getattr(batch, name) for name in ("done", *OUTCOMES)}
            for _again in range(MOST_TRIES):
                ground = import_rows.look(rows)
                plans = import_rows.plan(
                    rows,
                    ground,
                    choices,
                    dry_run=batch.dry_run,
                    pool=pool,
                    made=made,
                    at=clock(),
                )
                try:
                    _store(batch, part, plans, ground, at=clock())
                    if batch.dry_run:
                        made.update(import_rows.domains_of(plans))
                    break
                except (_Moved, IntegrityError):
                    # What the instance says was taken back with the transaction.
                    leases.save(batch, **reached, changed_at=clock())
            else:
                _end(batch, AccountImport.FAILED, at=clock(), problem="import_disturbed")
                return
    _end(batch, AccountImport.DONE, at=clock())


def _store(
    batch: AccountImport, part: ImportPart, plans: Sequence[Plan], ground: Ground, *, at: datetime
) -> None:
    counts = Counter(plan.outcome for plan in plans)
    with transaction.atomic():
        # First, so that a worker whose lease was lost stores nothing.
        leases.save(
            batch,
            done=part.first + len(plans),
            **{name: getattr(batch, name) + counts[name] for name in OUTCOMES},
            changed_at=at,
            lease_until=at + timedelta(seconds=leases.SECONDS),
        )
        if not batch.dry_run:
            if not import_rows.look([plan.row for plan in plans], lock=True).same(ground):
                raise _Moved
            import_rows.write(batch, plans, ground, at=at)
            part.delete()
        ImportOutcome.objects.bulk_create(
            ImportOutcome(
                batch=batch,
                line=plan.row["line"],
                address=plan.row["address"],
                outcome=plan.outcome,
                reasons=plan.reasons,
            )
            for plan in plans
        )


def _end(batch: AccountImport, state: str, *, at: datetime, problem: str = "") -> None:
    done = ImportOutcome.objects.filter(batch=batch, outcome__in=(CREATED, UPDATED))
    total = hashlib.sha256()
    for address in done.order_by("line").values_list("address", flat=True).iterator(10_000):
        total.update(address.encode() + b"\n")
    with transaction.atomic():
        leases.release(batch, state=state, problem=problem, changed_at=at)
        if not (batch.dry_run and state == AccountImport.DONE):
            batch.parts.all().delete()
        audit.record(
            by=batch.asked_by,
            at=at,
            action=f"accounts.import.{'done' if state == AccountImport.DONE else 'stopped'}",
            subject=str(batch),
            detail={
                "import": batch.pk,
                "dry_run": batch.dry_run,
                "state": state,
                **{name: getattr(batch, name) for name in OUTCOMES},
                "sha256": total.hexdigest(),
            },
        )
        if not batch.dry_run and batch.created + batch.updated:
            weakness.after_import(batch, at=at)
