"""{% load flagged %} {% flagged as count %}: how many flags of high risk count now."""

from django import template
from django.utils import timezone

from accounts import flags, staleness

register = template.Library()


@register.simple_tag
def flagged() -> int:
    return flags.listed(timezone.now()).filter(risk=staleness.HIGH).count()
