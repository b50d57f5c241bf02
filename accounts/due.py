"""What the tick asks for, one callable a task (`mailadmin.routes`)."""

from datetime import datetime

from django.db.models import QuerySet

from accounts import aliases, app_passwords, expiry, importing, policy
from accounts import flags as _flags
from accounts.models import AccountImport, Alias, AppPassword, Flag, Mailbox, WeaknessAudit


def aliases_expired(at: datetime) -> "QuerySet[Alias]":
    return aliases.due(at)


def expired(at: datetime) -> "QuerySet[Mailbox]":
    return expiry.due(at)


def app_passwords_expired(at: datetime) -> "QuerySet[AppPassword]":
    return app_passwords.due(at)


def imports(at: datetime) -> "QuerySet[AccountImport]":
    return AccountImport.objects.due(at)


def imports_to_forget(at: datetime) -> "QuerySet[AccountImport]":
    """Dry runs that nobody followed up: what they read goes."""
    return importing.forgotten(at)


def flags(at: datetime) -> "QuerySet[Mailbox]":
    """One mailbox, once an hour: its message refreshes the flags of all."""
    return _flags.due(at)


def audits(at: datetime) -> "QuerySet[WeaknessAudit]":
    return WeaknessAudit.objects.due(at)


def announced(at: datetime) -> "QuerySet[Flag]":
    """Flags for which the policy suspends now, as it was announced."""
    return policy.due(at)
