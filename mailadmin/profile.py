"""Verbs on an operator's own account that no app below has."""

from datetime import datetime

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction

from core import audit
from core.models import Operator


def change_profile(
    *, operator: Operator, email: str, language: str, by: Operator, at: datetime
) -> None:
    with transaction.atomic():
        Operator.objects.filter(pk=operator.pk).update(email=email, language=language)
        audit.record(
            by=by,
            at=at,
            action="core.operator.changed",
            subject=operator.username,
            detail={"email": {"before": operator.email, "after": email}},
        )


def reset_second_factors(*, operator: Operator, by: Operator | None, at: datetime) -> int:
    """Remove every second factor and end every session of an operator; how many factors there
    were. For a lock-out: the new password comes by a one-time link."""
    with transaction.atomic():
        removed, _ = Authenticator.objects.filter(user=operator).delete()
        for session in UserSession.objects.filter(user=operator):
            session.end()
        audit.record(
            by=by,
            at=at,
            action="core.operator.second_factors_reset",
            subject=operator.username,
            detail={"removed": removed},
        )
    return removed
