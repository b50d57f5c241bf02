"""Passwords for one program each, so that the mailbox's own need not be in it."""

from __future__ import annotations

import datetime

from django.db import models

from accounts.models.mailboxes import Mailbox
from core.models import Operator


class AppPasswordQuerySet(models.QuerySet["AppPassword"]):
    def usable(self, at: datetime.datetime) -> AppPasswordQuerySet:
        late = models.Q(expires_at=None) | models.Q(expires_at__gt=at)
        return self.filter(late, revoked_at=None)


class AppPassword(models.Model):
    """One of a mailbox's. `selector` is its first eight characters, by which the host finds the
    hash in `password`; it is no secret, and the rest is shown once and not stored."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="app_passwords")
    name = models.CharField(max_length=80)
    selector = models.CharField(max_length=8, unique=True)
    password = models.CharField(max_length=255)
    imap = models.BooleanField(default=False)
    pop3 = models.BooleanField(default=False)
    sending = models.BooleanField(default=False)
    made_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = AppPasswordQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(imap=True) | models.Q(pop3=True) | models.Q(sending=True),
                name="app_password_for_something",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.mailbox_id}"

    @property
    def expired(self) -> bool:
        """Ended by its time, not by somebody; once `revoked_at` says so."""
        return bool(self.revoked_at and self.expires_at and self.expires_at <= self.revoked_at)
