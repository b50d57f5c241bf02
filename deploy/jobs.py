"""Asking for work on a host that outlasts a page, and how such work ends.

job = add_job(kind=HostJob.CHECK, host=host, by=me, at=now)
turns.run(job.pk)                      # the task's one call, in `deploy.turns`
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ca.models import Order
from core.models import Operator
from core.nudge import nudge
from deploy.models import Host, HostJob

TASK = "deploy.host_job"
LEASE_SECONDS = 60


class Wait(Exception):
    """Not done and not failed: look again after `pause`."""

    def __init__(self, pause: timedelta) -> None:
        super().__init__(pause)
        self.pause = pause


@dataclass(frozen=True)
class Outcome:
    """`problem` is a code of `deploy.sentences`; empty when all went well."""

    problem: str = ""
    detail: str = ""


def add_job(
    *,
    kind: str,
    host: Host | None,
    by: Operator | None,
    at: datetime,
    order: Order | None = None,
    wish: dict[str, str] | None = None,
) -> HostJob:
    """Raises IntegrityError when one of its kind is open for the host already."""
    job = HostJob.objects.create(
        kind=kind, host=host, order=order, wish=wish or {}, created_by=by, created_at=at
    )
    nudge(TASK, job.pk)
    return job
