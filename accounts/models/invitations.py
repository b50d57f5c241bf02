"""Links with which a mailbox's owner sets the password, so that no operator knows it."""

from __future__ import annotations

import datetime
import hashlib

from django.db import models

from accounts.models.mailboxes import Mailbox
from core.models import Operator


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, at: datetime.datetime) -> InvitationQuerySet:
        return self.filter(used_at=None, withdrawn_at=None, expires_at__gt=at)

    def for_secret(self, secret: str) -> InvitationQuerySet:
        return self.filter(digest=Invitation.digest_of(secret))


class Invitation(models.Model):
    """Only the secret's SHA-256 is stored: it has 256 random bits."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="invitations")
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"for {self.mailbox_id}, until {self.expires_at:%Y-%m-%d}"

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
