"""What the tick asks for, one callable a task (`mailadmin.routes`)."""

from datetime import datetime

from django.db.models import QuerySet

from accounts.models import Domain, Erasure
from deploy import accounts_push, drift, placement, probing, renewal, usage
from deploy.models import AccountPush, Host, HostJob, HostRollout


def rollouts(at: datetime) -> "QuerySet[HostRollout]":
    return HostRollout.objects.due(at)


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
