"""The practice host, from one click to a host that is ready: made by the root helper of this
machine (`deploy.practice`), enrolled like any other.

    job = begin(by=me, at=now)           # → job PRACTISE, its progress on the row
    carry_out(job, …)                    # the task: make, start, let the console in, check

What is done already is not done again, so a worker that died in the middle costs nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from deploy import enrolment, jobs
from deploy import helper as helpers
from deploy.jobs import Outcome
from deploy.models import Host, HostJob
from deploy.transport import Transport

FQDN = "mail.practice.example"
LEASE = timedelta(seconds=jobs.LEASE_SECONDS)


class Going(Refusal):
    """It is being made, or it is there."""

    status = 409


class Local(Protocol):
    """The root helper on this machine: fixed verbs, answered by events."""

    def __call__(self, verb: str, **fields: Any) -> Iterator[Mapping[str, Any]]: ...


def ask_local(verb: str, **fields: Any) -> Iterator[Mapping[str, Any]]:
    from deploy.practice import client

    return client.call(verb, **fields)


def host() -> Host | None:
    return Host.objects.filter(practice=True).first()


def last_job() -> HostJob | None:
    return HostJob.objects.filter(kind=HostJob.PRACTISE).first()


def begin(*, by: Operator | None, at: datetime) -> HostJob:
    """Raises Going."""
    try:
        with transaction.atomic():
            job = jobs.add_job(kind=HostJob.PRACTISE, host=None, by=by, at=at)
            audit.record(by=by, at=at, action="deploy.practice.requested", subject=FQDN)
            return job
    except IntegrityError:
        raise Going(_("The practice host is being made already.")) from None


def carry_out(
    job: HostJob,
    *,
    clock: Callable[[], datetime],
    transport: Transport | None = None,
    local: Local = ask_local,
) -> Outcome:
    """One turn of the job PRACTISE, which does it all."""
    row = host()
    if row is None:
        row = enrolment.add(
            fqdn=FQDN, address="192.0.2.2", ssh_port=22, practice=True, by=None, at=clock()
        )
    if not row.ssh_public_key:
        enrolment.give_key(row)
    leases.save(job, host=row)
    try:
        made = _follow(job, local("practice.create", public_key=row.ssh_public_key), clock)
    except LocalRefused as refused:
        return Outcome("practice", refused.message)
    Host.objects.filter(pk=row.pk).update(
        fqdn=made.get("fqdn", row.fqdn), address=made["address"], host_key=made["host_key"]
    )
    row.refresh_from_db()
    leases.save(job, step="connect", fraction=0.97)
    with helpers.Helper.of(row, transport) as helper:
        reported = helper.facts()
    with transaction.atomic():
        helpers.note_reached(row, reported, at=clock())
        audit.record(by=job.created_by, at=clock(), action="deploy.host.ready", subject=row.fqdn)
    return Outcome()


class LocalRefused(Exception):
    """The root helper said no, in its own words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _follow(
    job: HostJob, events: Iterator[Mapping[str, Any]], clock: Callable[[], datetime]
) -> Mapping[str, Any]:
    """Store the progress as it comes, a few times a second at most; returns the result."""
    stored, step = 0.0, ""
    for event in events:
        if event.get("event") == "result":
            return event
        if event.get("event") == "error":
            raise LocalRefused(str(event.get("code", "")), str(event.get("message", "")))
        name = str(event.get("step", ""))
        if name != step or time.monotonic() - stored > 0.3:
            stored, step = time.monotonic(), name
            leases.save(
                job,
                step=name[:200],
                fraction=0.95 * float(event.get("fraction") or 0.0),
                lease_until=clock() + LEASE,
            )
    raise LocalRefused("ended", "The helper on this machine ended its answer early.")
