"""`{% load due %}{% due_count as count %}`: how many certificates and authorities are due."""

from __future__ import annotations

from django import template
from django.core.cache import cache
from django.utils import timezone

from ca import ending

register = template.Library()
# The tab is on every list, and counting looks at every certificate that is not due yet.
KEPT_SECONDS = 60


@register.simple_tag
def due_count() -> str:
    """ "" for none, "3", or "99+"."""
    found = cache.get_or_set("ca.due_count", lambda: ending.count(timezone.now()), KEPT_SECONDS)
    if found > ending.MOST_COUNTED:
        return f"{ending.MOST_COUNTED}+"
    return str(found) if found else ""
