"""Copies of profiles: an operator's own, within the rails of the one they come from."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProfileCopy(models.Model):
    """What the copy says otherwise than its base; `preparation.read_profile` applies it."""

    slug = models.SlugField(_("id"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=64, unique=True)
    base = models.CharField(_("copy of"), max_length=20)
    days = models.PositiveIntegerField(_("days unless asked otherwise"))
    most_days = models.PositiveIntegerField(_("days at most"))
    # Those of the base, or fewer.
    name_kinds = models.JSONField(default=list)
    wildcards = models.BooleanField(_("wildcards"), default=False)
    purposes = models.JSONField(default=list)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
