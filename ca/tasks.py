"""The signer's tasks: claim the row, make one verb call. All of them run on the queue `sign`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from ca import authorities, bulk, due, issuance, keystore, notices, parcels, responders, revocation
from ca import importing as _importing  # noqa: F401 - it registers how an import is carried out
from ca.models import Batch, Ceremony, Issuer, Order, Parcel, Responder, RevocationList
from core import leases, outgoing


@shared_task(name=issuance.SIGN_ORDER, ignore_result=True)
def sign_order(pk: int) -> None:
    at = timezone.now()
    order = leases.claim(Order.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if order is not None:
        issuance.sign(order=order, at=at, clock=timezone.now)


@shared_task(name=issuance.EXPIRE_ORDER, ignore_result=True)
def expire_order(pk: int) -> None:
    """Runs where the signer does not: that it does not run is the reason."""
    at = timezone.now()
    order = due.orders_not_reached(at).filter(pk=pk).first()
    if order is not None:
        issuance.expire(order=order, at=at)


@shared_task(name=parcels.ERASE_PARCEL, ignore_result=True)
def erase_parcel(pk: int) -> None:
    """What nobody fetched in time; a second message finds nothing to do."""
    at = timezone.now()
    parcel = Parcel.objects.overdue(at).filter(pk=pk).first()
    if parcel is not None:
        parcels.erase(parcel=parcel, by=None, at=at)


@shared_task(name=bulk.SIGN_BATCH, ignore_result=True)
def sign_batch(pk: int) -> None:
    """A few seconds of it; what is left is nudged again."""
    at = timezone.now()
    batch = leases.claim(Batch.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if batch is not None:
        bulk.sign(batch=batch, clock=timezone.now)


@shared_task(name=authorities.MAKE_AUTHORITY, ignore_result=True)
def make_authority(pk: int) -> None:
    at = timezone.now()
    ceremony = leases.claim(Ceremony.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if ceremony is not None:
        authorities.make(ceremony=ceremony, at=at, clock=timezone.now)


@contextmanager
def _again_soon(row: leases.Leased) -> Iterator[None]:
    """A key that cannot be used now, on a token for example: the row waits a minute, not a whole
    lease, and the log gets a line (`throws`), not a traceback."""
    try:
        yield
    except keystore.KeyUnusable:
        leases.save(row, lease_until=timezone.now() + timedelta(seconds=leases.SECONDS))
        raise


@shared_task(name=revocation.SIGN_LIST, ignore_result=True, throws=(keystore.KeyUnusable,))
def sign_list(pk: int) -> None:
    at = timezone.now()
    listed = leases.claim(RevocationList.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if listed is not None:
        with _again_soon(listed):
            revocation.renew_list(listed=listed, by=None, at=at)


@shared_task(name=responders.RENEW_RESPONDER, ignore_result=True, throws=(keystore.KeyUnusable,))
def renew_responder(pk: int) -> None:
    """`pk` is the issuer's: the first time there is no responder yet."""
    at = timezone.now()
    row = responders.row_of(Issuer.objects.get(pk=pk), at=at)
    held = leases.claim(Responder.objects.due(at), row.pk, worker=leases.worker_name(), at=at)
    if held is not None:
        with _again_soon(held):
            responders.renew(responder=held, by=None, at=at)


@shared_task(name="ca.collect_notices", ignore_result=True)
def collect_notices(_pk: int) -> None:
    """Collects all that people are to be told: the id only says that there is something."""
    notices.collect(at=timezone.now())


@shared_task(name=notices.SEND_NOTICE, ignore_result=True)
def send_notice(pk: int) -> None:
    at = timezone.now()
    notice = leases.claim(
        notices.due(at), pk, worker=leases.worker_name(), at=at, seconds=outgoing.LEASE_SECONDS
    )
    if notice is not None:
        notices.send(notice=notice, at=at)
