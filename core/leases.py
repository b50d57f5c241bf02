"""Leases: how one worker, and only one, works on a row.

A worker claims a row in one conditional UPDATE that sets its name, an end, and a fencing number
one higher than before. Whatever it writes afterwards is conditional on that number, so a worker
that slept past its lease cannot overwrite what its successor did (it gets `LeaseLost`). The lease
is the only retry: a worker killed in the middle is followed by another when the lease ends.

    row = claim(Order.objects.due(at), pk, worker=worker_name(), at=at)
    if row is None:
        return                      # someone else holds it, or it is not due any more
    ...
    release(row, state="issued")
"""

import os
import socket
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import models
from django.db.models import F, Q

SECONDS = 60
LONGEST = timedelta(minutes=15)
"""No lease lasts longer, nor any pause before a row is tried again."""


class LeaseLost(Exception):
    """Another worker holds the row now: stop quietly, write nothing."""


class Leased(models.Model):
    """Fields of a row that workers claim."""

    claimed_by = models.CharField(max_length=120, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    fence = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=Leased)


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def unheld(at: datetime) -> Q:
    """Rows that nobody holds at `at`.

    A lease that would last longer than any does was written by a clock that was ahead.
    """
    ended = Q(lease_until__lte=at) | Q(lease_until__gt=at + LONGEST)
    return Q(lease_until=None) | ended


def rested(at: datetime) -> Q:
    """Rows whose `retry_at` has come, or was written by a clock that was ahead."""
    return Q(retry_at=None) | Q(retry_at__lte=at) | Q(retry_at__gt=at + LONGEST)


def claim(
    rows: "type[Row] | models.QuerySet[Row]",
    pk: int | str,
    *,
    worker: str,
    at: datetime,
    seconds: int = SECONDS,
) -> Row | None:
    """Take the row `pk` out of `rows`, or None when it is held, gone, or not among them."""
    queryset = rows if isinstance(rows, models.QuerySet) else rows._default_manager.all()
    candidates = queryset.filter(pk=pk).filter(unheld(at)).order_by()
    taken = candidates.update(
        claimed_by=worker, lease_until=at + timedelta(seconds=seconds), fence=F("fence") + 1
    )
    if not taken:
        return None
    row = queryset.model._default_manager.get(pk=pk)
    # Between the two statements a lease can end only by the clock, which `save` checks by fence.
    return row if row.claimed_by == worker else None


def save(row: Leased, **fields: object) -> None:
    """Write `fields` to the row if this worker still holds it, and to the instance."""
    written = (
        type(row)
        ._default_manager.filter(pk=row.pk, fence=row.fence, claimed_by=row.claimed_by)
        .update(**fields)
    )
    if not written:
        raise LeaseLost(f"{type(row).__name__} {row.pk}")
    for name, value in fields.items():
        setattr(row, name, value)


def renew(row: Leased, *, at: datetime, seconds: int = SECONDS) -> None:
    save(row, lease_until=at + timedelta(seconds=seconds))


def release(row: Leased, **fields: object) -> None:
    """`save`, and give the row back."""
    save(row, **fields, claimed_by="", lease_until=None)
