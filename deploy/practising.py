"""The practice host, from one click to a host that is ready: made by the root helper of this
machine (`deploy.practice`), enrolled like any other.

    job = begin(fqdn=…, by=me, at=now)   # → job PRACTISE, its progress on the row
    carry_out(job, …)                    # the task: make, start, let the console in, check

What is done already is not done again, so a worker that died in the middle costs nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from deploy import drift, enrolment, jobs, placement
from deploy import helper as helpers
from deploy.jobs import Outcome
from deploy.models import Host, HostJob
from deploy.practice import client, wording
from deploy.transport import Transport

FQDN = "mail1.example.test"
RELEASES = {
    "bookworm": "Debian 12, Sendmail",
    "trixie": "Debian 13, Sendmail",
    "bookworm-postfix": "Debian 12, Postfix",
    "trixie-postfix": "Debian 13, Postfix",
}
LEASE = timedelta(seconds=jobs.LEASE_SECONDS)


class Going(Refusal):
    """It is being made, or it is there."""

    status = 409


class Local(Protocol):
    """The root helper on this machine: fixed verbs, answered by events."""

    def __call__(self, verb: str, **fields: str) -> Iterator[Mapping[str, Any]]: ...


def ask_local(verb: str, **fields: str) -> Iterator[Mapping[str, Any]]:
    return client.stream(verb, settings.DATA_DIR / "run" / "local.sock", **fields)


def obstacle() -> str:
    """Why a practice host cannot be made on this machine, or an empty text."""
    found = client.status(settings.DATA_DIR / "run" / "local.sock")
    if found.get("possible", True):
        return ""
    return wording.error(str(found.get("code", "")), str(found.get("reason", "")))


def host() -> Host | None:
    return Host.objects.filter(practice=True).first()


def last_job() -> HostJob | None:
    return HostJob.objects.filter(kind=HostJob.PRACTISE).first()


def begin(
    *, fqdn: str = FQDN, release: str = "bookworm", by: Operator | None, at: datetime
) -> HostJob:
    """Make it, or start it again where it was made before. Raises Going, enrolment.HostTaken."""
    row = host()
    if row is None and Host.objects.filter(fqdn=fqdn).exists():
        raise enrolment.HostTaken(fqdn)
    try:
        with transaction.atomic():
            job = jobs.add_job(
                kind=HostJob.PRACTISE,
                host=row,
                wish=_wish_of(row) or {"fqdn": fqdn, "release": release},
                by=by,
                at=at,
            )
            audit.record(by=by, at=at, action="deploy.practice.requested", subject=job.wish["fqdn"])
            return job
    except IntegrityError:
        raise Going(_("The practice host is being made already.")) from None


def _wish_of(row: Host | None) -> dict[str, str]:
    """What it was made as: the helper makes no second one beside it."""
    first = HostJob.objects.filter(kind=HostJob.PRACTISE, host=row).last() if row else None
    return dict(first.wish) if first else {}


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
            fqdn=job.wish["fqdn"], address="", ssh_port=22, practice=True, by=None, at=clock()
        )
    if not row.ssh_public_key:
        enrolment.give_key(row)
    leases.save(job, host=row)
    asked = local(
        "practice.create",
        fqdn=row.fqdn,
        release=job.wish["release"],
        public_key=" ".join(row.ssh_public_key.split()[:2]),
    )
    try:
        made = _follow(job, asked, clock)
    except LocalRefused as refused:
        # Stored as the helper's code, where there are words for it, to be said in any language.
        return Outcome("practice", refused.code or refused.message)
    Host.objects.filter(pk=row.pk).update(
        address=made["address"], ssh_port=made["port"], host_key=made["host_key"]
    )
    row.refresh_from_db()
    leases.save(job, step="connect", fraction=0.98)
    was = row.state
    with helpers.Helper.of(row, transport) as helper:
        reported, found = drift.told(row, helper)
    with transaction.atomic():
        helpers.note_reached(row, reported, at=clock())
        drift.note(row, found, at=clock())
        if was == Host.ENROLLING:
            audit.record(
                by=job.created_by, at=clock(), action="deploy.host.ready", subject=row.fqdn
            )
    placement.place_all(at=clock())
    return Outcome()


class LocalRefused(Exception):
    """The root helper said no: a code of `deploy.practice.wording`, and its own words."""

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
        if name != step or time.monotonic() - stored > 0.5:
            stored, step = time.monotonic(), name
            leases.save(
                job,
                step=name[:200],
                fraction=0.95 * float(event.get("fraction") or 0.0),
                lease_until=clock() + LEASE,
            )
    raise LocalRefused("helper_gone", "The helper on this machine ended its answer early.")
