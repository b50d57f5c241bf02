"""OCSP responders: short-lived keys that answer for an issuer (RFC 6960 section 4.2.2.2)."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from ca.models.certificates import Certificate
from ca.models.issuers import Issuer
from core.leases import Leased, unheld


class ResponderQuerySet(models.QuerySet["Responder"]):
    def due(self, at: datetime) -> ResponderQuerySet:
        """Responders that the signer should renew: it can use the key, and the issuer lives."""
        return (
            # One whose certificate was revoked is as good as none.
            self.filter(Q(renew_at__lte=at) | ~Q(certificate__state=Certificate.VALID))
            .filter(issuer__in=Issuer.objects.able_to_answer(at))
            .filter(unheld(at))
        )


class Responder(Leased):
    """The key that the web process answers with, for one issuer; the signer renews it."""

    issuer = models.OneToOneField(Issuer, on_delete=models.PROTECT, related_name="responder")
    certificate = models.OneToOneField(
        Certificate, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Under the ring `responder`, which the signer and the web process hold.
    key_sealed = models.BinaryField(default=bytes)
    renew_at = models.DateTimeField(db_index=True)

    objects = ResponderQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.issuer)
