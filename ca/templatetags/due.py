"""`{% load due %}{% due_count as count %}`: how many certificates and authorities are due."""

from __future__ import annotations

from django import template
from django.utils import timezone

from ca import ending

register = template.Library()


@register.simple_tag
def due_count() -> str:
    """ "" for none, "3", or "99+"."""
    found = ending.count(timezone.now())
    if found > ending.MOST_COUNTED:
        return f"{ending.MOST_COUNTED}+"
    return str(found) if found else ""
