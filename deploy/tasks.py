"""Thin: each names a row; the verbs claim it. Queues and due rows stand in `mailadmin.routes`."""

from celery import shared_task
from django.utils import timezone

from core import leases, outgoing
from deploy import (
    abreast,
    accounts_push,
    drift,
    erasing,
    notices,
    placement,
    probing,
    renewal,
    turns,
    usage,
)


@shared_task(name="deploy.carry_out", ignore_result=True)
def carry_out(pk: int) -> None:
    abreast.carry(pk)


@shared_task(name="deploy.push_accounts", ignore_result=True)
def push_accounts(key: int | str) -> None:
    accounts_push.push(key)


@shared_task(name="deploy.erase_mail", ignore_result=True)
def erase_mail(pk: int) -> None:
    erasing.erase(pk)


@shared_task(name="deploy.host_job", ignore_result=True)
def host_job(pk: int) -> None:
    turns.run(pk)


@shared_task(name="deploy.collect_usage", ignore_result=True)
def collect_usage(pk: int) -> None:
    usage.collect(pk)


@shared_task(name="deploy.look", ignore_result=True)
def look(pk: int) -> None:
    drift.look_again(pk)


@shared_task(name="deploy.probe", ignore_result=True)
def probe(pk: int) -> None:
    probing.probe(pk)


@shared_task(name="deploy.place_domain", ignore_result=True)
def place_domain(pk: int) -> None:
    placement.place(pk, at=timezone.now())


@shared_task(name="deploy.renew_certificate", ignore_result=True)
def renew_certificate(pk: int) -> None:
    renewal.renew(pk, at=timezone.now())


@shared_task(name="deploy.collect_notices", ignore_result=True)
def collect_notices(_pk: int) -> None:
    """The host is one of what there is to tell; all of it is collected."""
    notices.collect(at=timezone.now())


@shared_task(name=notices.SEND_NOTICE, ignore_result=True)
def send_notice(pk: int) -> None:
    at = timezone.now()
    notice = leases.claim(
        notices.due(at), pk, worker=leases.worker_name(), at=at, seconds=outgoing.LEASE_SECONDS
    )
    if notice is not None:
        notices.send(notice=notice, at=at)
