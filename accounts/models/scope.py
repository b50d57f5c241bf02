"""Which rows exist for an operator."""

from __future__ import annotations

from typing import Any

from django.db import models

from core.models import Operator


def within(operator: Operator | None, field: str) -> models.Q:
    """For `filter`: rows whose domain, named by `field`, is in the operator's scope. None is the
    console itself, for which all rows exist."""
    scope = operator.scope if operator is not None else None
    if scope is None:
        return models.Q()
    return models.Q(**{f"{field}__in": sorted(scope)})


class Scoped(models.QuerySet[Any]):
    """`visible_to`, for rows whose domain's name is `domain_field`."""

    domain_field = "domain__name"

    def visible_to(self, operator: Operator | None) -> Any:
        return self.filter(within(operator, self.domain_field))
