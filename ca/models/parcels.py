"""Parcels: a key that the signer made, on its way to who asked for it."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca.models.orders import Order


class ParcelQuerySet(models.QuerySet["Parcel"]):
    def waiting(self) -> ParcelQuerySet:
        return self.filter(erased_at=None)

    def overdue(self, at: datetime) -> ParcelQuerySet:
        """Those that nobody fetched in time: the next to be erased."""
        return self.waiting().filter(keep_until__lte=at)


class Parcel(models.Model):
    """A private key with its certificate under its asker's passphrase, downloaded once.

    Nothing here opens it: the passphrase was wiped when the parcel was made.
    """

    P12, P12_COMPATIBLE, PKCS8 = "p12", "p12-compatible", "pkcs8"
    FORMS = [
        (P12, _("PKCS#12, modern (AES-256)")),
        (P12_COMPATIBLE, _("PKCS#12, compatible (3DES): older phones, macOS and appliances")),
        (PKCS8, _("PEM: encrypted key (PKCS#8) and chain")),
    ]

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="parcel")
    form = models.CharField(max_length=14, choices=FORMS)
    content = models.BinaryField(default=bytes)
    made_at = models.DateTimeField()
    keep_until = models.DateTimeField(db_index=True)
    downloaded_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(null=True)

    objects = ParcelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="ca_parcel_is_full_until_erased",
                condition=Q(erased_at=None) & ~Q(content=b"")
                | Q(erased_at__isnull=False, content=b""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.form} {self.order}"
