"""Revocation lists: the newest full one of an issuer, and the delta beside it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from ca import crl
from ca.models.issuers import Issuer
from core.leases import Leased, unheld

# A new issuer's first list is signed at once; the delta that it points to follows.
FIRST_DELTA_AFTER = timedelta(minutes=1)


class RevocationListQuerySet(models.QuerySet["RevocationList"]):
    def due(self, at: datetime) -> RevocationListQuerySet:
        """Lists that the signer should renew: it can use the key, and the issuer still lives."""
        return (
            self.filter(
                Q(renew_at__lte=at)
                | Q(stale_at__lte=at)
                | Q(delta_number=None, this_update__lte=at - FIRST_DELTA_AFTER)
            )
            .filter(issuer__key_kept__in=Issuer.AT_HAND)
            .filter(issuer__certificate__not_after__gt=at)
            .filter(unheld(at))
        )


class RevocationList(Leased):
    """The newest full list of an issuer, as it is served, and its newest delta.

    A root whose key is under a passphrase has no delta: nobody could renew it.
    """

    issuer = models.OneToOneField(Issuer, on_delete=models.PROTECT, related_name="revocation_list")
    number = models.PositiveBigIntegerField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    renew_at = models.DateTimeField(db_index=True)
    entries = models.PositiveIntegerField(default=0)
    der = models.BinaryField()
    # The newest delta (RFC 5280 5.2.4), and the full list it starts from: an older one than the
    # newest, so that clients that still keep an older one can use it too.
    delta_base = models.PositiveBigIntegerField(null=True, blank=True)
    delta_base_at = models.DateTimeField(null=True, blank=True)
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

    @property
    def next_number(self) -> int:
        """Full lists and deltas have one sequence (RFC 5280 5.2.3)."""
        return max(self.number, self.delta_number or 0) + 1

    @property
    def half_life(self) -> datetime:
        return self.this_update + (self.next_update - self.this_update) / 2

    def full_is_due(self, at: datetime, *, lags: bool) -> bool:
        """Whether the full list is to be signed too; `lags`: something changed since it was."""
        if self.entries <= crl.SMALL or self.half_life <= at:
            return True
        return lags and self.this_update + crl.LARGE_EVERY <= at

    def base_for_delta(self, at: datetime) -> tuple[int, datetime]:
        """Number and time of the full list that the next delta starts from: the one before, until
        no client has an older one any more or there is too much to say. An issuer's first list is
        its own base."""
        if self.number == 0:
            return self.next_number, at
        if (
            self.delta_base is None
            or self.delta_base_at is None
            or self.delta_base_at <= at - timedelta(days=crl.DAYS)
            or self.delta_entries > crl.SMALL
        ):
            return self.number, self.this_update
        return self.delta_base, self.delta_base_at
