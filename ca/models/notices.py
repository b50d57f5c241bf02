"""Notices by mail of certificates that end soon."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from core.leases import Leased, unheld


class NoticeQuerySet(models.QuerySet["Notice"]):
    def due(self, at: datetime) -> NoticeQuerySet:
        return self.filter(sent_at=None, next_try_at__lte=at).filter(unheld(at))


class Notice(Leased):
    """One mail. `certificates` are the ids it names."""

    certificates = models.JSONField(default=list)
    recipients = models.JSONField(default=list)
    made_at = models.DateTimeField()
    next_try_at = models.DateTimeField(null=True, blank=True, db_index=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    # What the mail server said the last time, for the page.
    problem = models.CharField(max_length=400, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="ca_notice_sent_or_to_be_tried",
                condition=Q(sent_at__isnull=False, next_try_at=None)
                | Q(sent_at=None, next_try_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
