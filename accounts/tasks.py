"""Thin: each names a row; verbs do the work. Queues and due rows stand in `mailadmin.routes`."""

from contextlib import suppress

from celery import shared_task
from django.utils import timezone

from accounts import aliases, announcing, app_passwords, expiry, flags, importing, policy, weakness
from accounts.models import AccountImport, WeaknessAudit
from core import leases


@shared_task(name="accounts.expire_alias", ignore_result=True)
def expire_alias(pk: int) -> None:
    aliases.expire(pk, at=timezone.now())


@shared_task(name="accounts.expire", ignore_result=True)
def expire(pk: int) -> None:
    expiry.expire(pk, at=timezone.now())


@shared_task(name="accounts.expire_app_password", ignore_result=True)
def expire_app_password(pk: int) -> None:
    app_passwords.expire(pk, at=timezone.now())


@shared_task(name=importing.IMPORT, ignore_result=True)
def import_accounts(pk: int) -> None:
    """Some seconds of it; what is left is nudged again."""
    at = timezone.now()
    batch = leases.claim(AccountImport.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if batch is not None:
        importing.work(batch=batch, clock=timezone.now)


@shared_task(name="accounts.forget_import", ignore_result=True)
def forget_import(_pk: int) -> None:
    importing.forget(at=timezone.now())


@shared_task(name=flags.REFRESH, ignore_result=True)
def refresh_flags(_pk: int) -> None:
    """Those of all accounts: the id only says that it is time."""
    flags.refresh(at=timezone.now())
    announcing.announce(at=timezone.now())


@shared_task(name=policy.ANNOUNCE, ignore_result=True)
def announce(_pk: int) -> None:
    """What the policy will do: the id only says that it is on."""
    announcing.announce(at=timezone.now())


@shared_task(name="accounts.carry_out_policy", ignore_result=True)
def carry_out_policy(pk: int) -> None:
    policy.carry_out(pk, at=timezone.now())


@shared_task(name=weakness.AUDIT, ignore_result=True)
def audit_passwords(pk: int) -> None:
    """Some seconds of it; what is left is nudged again."""
    at = timezone.now()
    audit = leases.claim(WeaknessAudit.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if audit is not None:
        with suppress(leases.LeaseLost):  # it was stopped
            weakness.work(audit=audit, clock=timezone.now)
