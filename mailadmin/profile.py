"""The verb on an operator's own profile. What owners do to operators is `core.operators`."""

from datetime import datetime

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
