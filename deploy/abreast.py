"""Several hosts at once in one worker process: nearly all of a rollout is waiting for the host.

    carry(pk)        # the task's one call

A message names one row; the process takes whatever else is due as well, `HOSTS_AT_ONCE` at a time,
each in a thread of its own. The lease (`core.leases`) keeps two from taking the same.
"""

import logging
import threading
import time
from collections.abc import Iterator

from django.conf import settings
from django.db import connections
from django.db.models import F
from django.utils import timezone

from deploy import carriage
from deploy.models import HostRollout

log = logging.getLogger(__name__)

NO_MORE_AFTER = 240.0
"""Seconds, then nothing new begins: the task has a time limit, and the tick finds the rest."""


def carry(pk: int) -> None:
    due = _Due(pk)
    threads = [
        threading.Thread(target=_work, args=(due,), name=f"rollout-{number}")
        for number in range(1, min(settings.HOSTS_AT_ONCE, due.count()))
    ]
    for thread in threads:
        thread.start()
    try:
        _carry_each(due)
    finally:
        for thread in threads:
            thread.join()


def _work(due: "_Due") -> None:
    try:
        _carry_each(due)
    except Exception:
        log.exception("a rollout's thread")
    finally:
        connections.close_all()


def _carry_each(due: "_Due") -> None:
    for pk in due:
        try:
            carriage.carry_out(pk)
        finally:
            due.over(pk)


class _Due:
    """What is due now, each to one thread of this process."""

    def __init__(self, first: int) -> None:
        self._first: int | None = first
        self._taken: set[int] = set()
        self._until = time.monotonic() + NO_MORE_AFTER
        self._lock = threading.Lock()

    def count(self) -> int:
        return HostRollout.objects.due(timezone.now()).count()

    def over(self, pk: int) -> None:
        with self._lock:
            self._taken.discard(pk)

    def __iter__(self) -> Iterator[int]:
        while time.monotonic() < self._until:
            pk = self._next()
            if pk is None:
                return
            yield pk

    def _next(self) -> int | None:
        """First hosts before others, and what has not been tried before what waits for a host."""
        with self._lock:
            if self._first is not None:
                pk, self._first = self._first, None
                self._taken.add(pk)
                return pk
            rows = HostRollout.objects.due(timezone.now()).exclude(pk__in=self._taken)
            order = ("turn", F("retry_at").asc(nulls_first=True), "pk")
            found = rows.order_by(*order).values_list("pk", flat=True).first()
            if found is not None:
                self._taken.add(found)
            return found
