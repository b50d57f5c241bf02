"""What the calls have in common."""

from __future__ import annotations

from django.http import HttpRequest

from core import roles
from core.access import NotAllowed
from core.models import Operator


def operator_of(request: HttpRequest, permission: str) -> Operator:
    operator: Operator = request.auth  # type: ignore[attr-defined]
    if not roles.may(operator, permission):
        raise NotAllowed(permission)
    return operator
