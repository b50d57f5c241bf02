"""What the tick asks for, one callable a task (`mailadmin.routes`)."""

from datetime import datetime

from django.db.models import Q, QuerySet

from ca import notices
from ca.models import (
    Batch,
    Ceremony,
    Certificate,
    Issuer,
    Notice,
    Order,
    Parcel,
    Responder,
    RevocationList,
)
from ca.parcels import PASSPHRASE_LIVES
from core.leases import unheld


def orders(at: datetime) -> "QuerySet[Order]":
    return Order.objects.due(at)


def orders_not_reached(at: datetime) -> "QuerySet[Order]":
    """Orders whose passphrase the signer did not come to in time."""
    waiting = Order.objects.filter(state=Order.REQUESTED, way=Order.SIGNER)
    return waiting.filter(requested_at__lt=at - PASSPHRASE_LIVES).filter(unheld(at))


def parcels(at: datetime) -> "QuerySet[Parcel]":
    """Keys that the signer made and nobody fetched in time."""
    return Parcel.objects.overdue(at)


def batches(at: datetime) -> "QuerySet[Batch]":
    return Batch.objects.due(at)


def ceremonies(at: datetime) -> "QuerySet[Ceremony]":
    return Ceremony.objects.due(at)


def lists(at: datetime) -> "QuerySet[RevocationList]":
    return RevocationList.objects.due(at)


def responders(at: datetime) -> "QuerySet[Issuer]":
    """Issuers whose OCSP responder is missing, or is to have its next key."""
    renewed = Responder.objects.due(at).values("issuer")
    missing = Issuer.objects.able_to_answer(at).filter(responder=None).values("pk")
    return Issuer.objects.filter(Q(pk__in=renewed) | Q(pk__in=missing))


def ends_to_tell(at: datetime) -> "QuerySet[Certificate]":
    """One certificate whose end people are to be told of: its message collects them all."""
    return notices.due_to_collect(at)


def notices_to_send(at: datetime) -> "QuerySet[Notice]":
    return notices.due(at)
