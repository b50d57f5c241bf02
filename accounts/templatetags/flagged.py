"""{% load flagged %} {% flagged as count %}: how many flags of high risk count now, of those that
the operator sees."""

from typing import Any

from django import template
from django.utils import timezone

from accounts import flags, staleness

register = template.Library()


@register.simple_tag(takes_context=True)
def flagged(context: Any) -> int:
    rows = flags.listed(timezone.now()).visible_to(context["request"].user)
    return rows.filter(risk=staleness.HIGH).count()
