"""A host's certificate: the key is made on the host, the signer signs, the next rollout serves it.

    job = ask(host=host, issuer=issuer, names=["mail1.example.test"], by=me, at=now)
    work(job_pk)               # the task: CSR from the host, then the order, then Host.certificate

The job is done when the order is; `Host.certificate` is what the host *should* serve, so the change
bar offers to put it live. The one before is superseded only after a rollout saw the new one served.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from ca import issuance
from ca.models import Certificate, Issuer, Order
from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from deploy.helper import Helper
from deploy.jobs import Outcome, Wait, add_job
from deploy.models import Host, HostJob
from deploy.transport import Transport

SIGNER_SECONDS = 8.0
LOOK_AGAIN = timedelta(seconds=2)


class AskedAlready(Refusal):
    status = 409


class NotConnected(Refusal):
    """Nothing to make a key on yet."""


class NoIssuer(Refusal):
    """No authority of the console can sign."""


def issuers(at: datetime) -> "list[Issuer]":
    return list(Issuer.objects.able_to_issue(at))


def ask(
    *,
    host: Host,
    issuer: Issuer | None,
    names: Sequence[str] = (),
    renews: Certificate | None = None,
    by: Operator | None,
    at: datetime,
) -> HostJob:
    """Order a certificate for a key that the host is about to make, in the place of `renews`, or
    else of the one that the host should serve so far.

    Raises what `ca.issuance.request` raises, and AskedAlready, NotConnected, NoIssuer.
    """
    if not host.is_ready:
        raise NotConnected(
            _("%(host)s is not connected yet. Finish adding it first.") % {"host": host.fqdn}
        )
    if issuer is None:
        raise NoIssuer(
            _("No authority here can sign yet. Make one on the page Certificates first.")
        )
    try:
        with transaction.atomic():
            order = issuance.request(
                profile="host",
                names=list(names) or [host.fqdn],
                issuer=issuer,
                renews=renews or host.certificate,
                by=by,
                at=at,
            )
            job = add_job(kind=HostJob.CERTIFICATE, host=host, order=order, by=by, at=at)
            audit.record(
                by=by,
                at=at,
                action="deploy.certificate.requested",
                subject=host.fqdn,
                detail={"order": order.pk, "names": order.names},
            )
    except IntegrityError:
        raise AskedAlready(
            _("A certificate for %(host)s is being made already.") % {"host": host.fqdn}
        ) from None
    return job


def let_go(order: Order, *, why: str, at: datetime) -> None:
    """End an order whose key will not come, so that another may be made in its place."""
    # One that the signer has in hand ends there.
    with contextlib.suppress(issuance.OrderEnded):
        issuance.refuse(order=order, code="host_failed", detail={"why": why}, by=None, at=at)


def carry_out(
    job: HostJob, *, clock: Callable[[], datetime], transport: Transport | None = None
) -> Outcome:
    """One turn of the work on a claimed job; raises jobs.Wait to be called again later."""
    order, host = job.order, job.host
    assert order is not None and host is not None
    if order.state == Order.AWAITING_CSR:
        leases.save(job, step="csr", fraction=0.2)
        with Helper.of(host, transport) as helper:
            made = helper.csr(names=order.names)
        issuance.submit_csr(
            order=order,
            csr_pem=str(made["csr"]),
            key_id=str(made["key_id"]),
            by=job.created_by,
            at=clock(),
        )
        leases.save(job, step="sign", fraction=0.6)
    until = time.monotonic() + SIGNER_SECONDS
    while True:
        order.refresh_from_db()
        if order.is_final:
            break
        if time.monotonic() > until:
            raise Wait(LOOK_AGAIN)
        time.sleep(0.1)
    if order.state == Order.REFUSED:
        return Outcome(problem="order_refused", detail=order.reason)
    with transaction.atomic():
        Host.objects.filter(pk=host.pk).update(certificate=order.certificate)
        audit.record(
            by=None,
            at=clock(),
            action="deploy.certificate.chosen",
            subject=host.fqdn,
            detail={"certificate": order.certificate_id},
        )
    return Outcome()
