"""What the tick asks for, one callable a task (`mailadmin.routes`)."""

from datetime import datetime

from django.db.models import QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.models import Domain, Erasure
from deploy import accounts_push, drift, fleet, notices, placement, probing, renewal, usage
from deploy.models import AccountPush, Host, HostJob, HostNotice, HostRollout


def rollouts(at: datetime) -> "QuerySet[HostRollout]":
    """Some of each rollout: who is woken for one takes the others along (`deploy.abreast`)."""
    place = Window(RowNumber(), partition_by="rollout", order_by="pk")
    some = HostRollout.objects.due(at).annotate(place=place).filter(place__lte=fleet.WOKEN)
    return some.order_by("turn", "pk")


def jobs(at: datetime) -> "QuerySet[HostJob]":
    return HostJob.objects.due(at)


def pushes(at: datetime) -> "QuerySet[AccountPush]":
    return accounts_push.due(at)


def erasures(at: datetime) -> "QuerySet[Erasure]":
    return Erasure.objects.due(at)


def uses(at: datetime) -> "QuerySet[Host]":
    return usage.due(at)


def looks(at: datetime) -> "QuerySet[Host]":
    return drift.due(at)


def renewals(at: datetime) -> "QuerySet[Host]":
    return renewal.due(at)


def probes(at: datetime) -> "QuerySet[Host]":
    return probing.due(at)


def domains(at: datetime) -> "QuerySet[Domain]":
    return placement.due(at)


def troubles_to_tell(at: datetime) -> "QuerySet[Host]":
    return notices.due_to_collect(at)


def notices_to_send(at: datetime) -> "QuerySet[HostNotice]":
    return notices.due(at)
