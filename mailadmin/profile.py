"""The verb on an operator's own profile. What owners do to operators is `core.operators`."""

from datetime import datetime

from django.db import transaction

from core import audit, operators
from core.models import Operator


def change_profile(
    *, operator: Operator, email: str, language: str, by: Operator, at: datetime
) -> None:
    """EmailTaken: nobody takes the address with which somebody else signs in. One that is shared
    from before may stay."""
    with transaction.atomic():
        if email != operator.email:
            operators.check_email_free(Operator(pk=operator.pk, email=email))
        Operator.objects.filter(pk=operator.pk).update(email=email, language=language)
        audit.record(
            by=by,
            at=at,
            action="core.operator.changed",
            subject=operator.username,
            detail={"email": {"before": operator.email, "after": email}},
        )
