"""What the tick asks for, one callable a task (`mailadmin.routes`)."""

from datetime import datetime

from django.db.models import QuerySet

from ca.models import Ceremony, Order, RevocationList


def orders(at: datetime) -> "QuerySet[Order]":
    return Order.objects.due(at)


def ceremonies(at: datetime) -> "QuerySet[Ceremony]":
    return Ceremony.objects.due(at)


def lists(at: datetime) -> "QuerySet[RevocationList]":
    return RevocationList.objects.due(at)
