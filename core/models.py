"""Operators, their API tokens, one-time links, and the audit log."""

import hashlib
from datetime import datetime

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import roles


class Operator(AbstractUser):
    """Somebody who signs in to the console. `address` is set on the instance by `core.access`."""

    role = models.CharField(_("role"), max_length=14, choices=roles.CHOICES, default=roles.AUDITOR)
    # Names of domains, for the roles `roles.IN_SCOPE`; the others see all.
    domains = models.JSONField(_("domains"), default=list, blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True)

    address = ""

    def may(self, permission: str) -> bool:
        return roles.may(self, permission)

    @property
    def scope(self) -> frozenset[str] | None:
        """The names of the domains that exist for this operator; None is all there are."""
        return frozenset(self.domains) if self.role in roles.IN_SCOPE else None


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self, at: datetime) -> "ApiTokenQuerySet":
        return self.filter(revoked_at=None, operator__is_active=True).filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=at)
        )

    def for_secret(self, secret: str) -> "ApiTokenQuerySet":
        return self.filter(digest=ApiToken.digest_of(secret))


class ApiToken(models.Model):
    """A token for `/api/v1`. Only its SHA-256 is stored: the secret has 256 random bits."""

    operator = models.ForeignKey(Operator, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()


class OneTimeLink(models.Model):
    """A link that works once: it makes the first owner, or lets a locked-out operator back in."""

    PURPOSES = [("setup", "setup"), ("restore", "restore")]

    purpose = models.CharField(max_length=10, choices=PURPOSES)
    operator = models.ForeignKey(Operator, null=True, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.purpose


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def sealed(self) -> "AuditEventQuerySet":
        return self.exclude(sequence=None).order_by("sequence")

    def unsealed(self) -> "AuditEventQuerySet":
        return self.filter(sequence=None).order_by("pk")


class AuditEvent(models.Model):
    """One act: who, when, from where, what, on what. Written by verbs, sealed by the signer."""

    at = models.DateTimeField(db_index=True)
    actor = models.ForeignKey(Operator, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=150)
    address = models.CharField(max_length=45, blank=True)
    action = models.CharField(max_length=80, db_index=True)
    subject = models.CharField(max_length=255, db_index=True)
    detail = models.JSONField(default=dict)
    sequence = models.BigIntegerField(null=True, unique=True)
    mac = models.CharField(max_length=64, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="audit_sequence_and_mac_together",
                condition=models.Q(sequence=None, mac="") | models.Q(sequence__gt=0, mac__gt=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
