"""OCSP responders: short-lived keys that answer for an issuer (RFC 6960 section 4.2.2.2)."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from ca.models.certificates import Certificate
from ca.models.issuers import Issuer
from core.leases import Leased, unheld


class ResponderQuerySet(models.QuerySet["Responder"]):
    def due(self, at: datetime) -> ResponderQuerySet:
        """Responders that the signer should renew: it can use the key, and the issuer lives."""
        return (
            self.filter(renew_at__lte=at)
            .filter(issuer__key_kept__in=Issuer.AT_HAND)
            .filter(issuer__certificate__not_after__gt=at)
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
