"""Revocation lists."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from ca.models.issuers import Issuer
from core.leases import Leased, unheld


class RevocationListQuerySet(models.QuerySet["RevocationList"]):
    def due(self, at: datetime) -> RevocationListQuerySet:
        """Lists that the signer should renew: it can use the key, and the issuer still lives."""
        return (
            self.filter(Q(renew_at__lte=at) | Q(stale_at__lte=at))
            .filter(issuer__key_kept__in=Issuer.AT_HAND)
            .filter(issuer__certificate__not_after__gt=at)
            .filter(unheld(at))
        )


class RevocationList(Leased):
    """The newest full list of an issuer, as it is served."""

    issuer = models.OneToOneField(Issuer, on_delete=models.PROTECT, related_name="revocation_list")
    number = models.PositiveBigIntegerField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    renew_at = models.DateTimeField(db_index=True)
    entries = models.PositiveIntegerField(default=0)
    der = models.BinaryField()
    # The newest delta (RFC 5280 5.2.4): what changed since the full list `number`.
    delta_number = models.PositiveBigIntegerField(null=True, blank=True)
    delta_this_update = models.DateTimeField(null=True, blank=True)
    delta_next_update = models.DateTimeField(null=True, blank=True)
    delta_entries = models.PositiveIntegerField(default=0)
    delta_der = models.BinaryField(default=bytes)
    # The last revocation, hold or release that the list does not say yet.
    stale_at = models.DateTimeField(null=True, blank=True, db_index=True)

    objects = RevocationListQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.issuer} #{self.number}"
