"""Carrying a host's job out: one row, one claim, one turn or more.

A turn returns an Outcome, or raises Wait to be called again. A connection that fails ends the job
with the reason: the page offers to try again, which makes a new job.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from core import leases
from core.errors import Refusal
from deploy import certificates, enrolment, leaving, practising
from deploy import helper as helpers
from deploy.jobs import LEASE_SECONDS, Outcome, Wait
from deploy.models import HostJob
from deploy.transport import HostError, Transport, TransportError

log = logging.getLogger(__name__)

TURNS: dict[str, Callable[..., Outcome]] = {
    HostJob.PREPARE: enrolment.prepare,
    HostJob.CHECK: enrolment.check,
    HostJob.CERTIFICATE: certificates.carry_out,
    HostJob.PRACTISE: practising.carry_out,
    HostJob.LOOK: leaving.look,
    HostJob.RELEASE: leaving.carry_out,
}


@dataclass(frozen=True)
class Tools:
    transport: Transport | None = None
    clock: Callable[[], datetime] = timezone.now
    worker: str = ""


def run(pk: int, tools: Tools | None = None) -> None:
    tools = tools or Tools()
    job = leases.claim(
        HostJob.objects.due(tools.clock()),
        pk,
        worker=tools.worker or leases.worker_name(),
        at=tools.clock(),
        seconds=LEASE_SECONDS,
    )
    if job is None:
        return
    try:
        leases.save(job, state=HostJob.RUNNING)
        try:
            outcome = _turn(job, tools)
        except Wait as wait:
            leases.release(job, retry_at=tools.clock() + wait.pause)
            return
        if outcome.problem and job.order is not None:
            why = outcome.detail or outcome.problem
            certificates.let_go(job.order, why=why, at=tools.clock())
        leases.release(
            job,
            state=HostJob.FAILED if outcome.problem else HostJob.DONE,
            problem=outcome.problem,
            problem_detail=outcome.detail[:4000],
            fraction=job.fraction if outcome.problem else 1.0,
            finished_at=tools.clock(),
        )
    except leases.LeaseLost:
        log.info("job %s: another worker has it", pk)


def _turn(job: HostJob, tools: Tools) -> Outcome:
    try:
        return TURNS[job.kind](job, clock=tools.clock, transport=tools.transport)
    except (Wait, leases.LeaseLost):
        raise
    except TransportError as error:
        if job.host is not None:
            helpers.note_unreachable(job.host, error)
        return Outcome(helpers.code_of(error), str(error))
    except HostError as error:
        return Outcome("other_host" if error.code == "wrong_host" else "host_error", error.message)
    except Refusal as refusal:
        return Outcome("host_error", refusal.sentence)
    except Exception as error:
        log.exception("job %s", job.pk)
        return Outcome("internal", f"{type(error).__name__}: {error}")
