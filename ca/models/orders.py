"""Orders: wishes for a certificate."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca import states
from ca.models.asked import Asked
from ca.models.certificates import Certificate
from ca.models.issuers import Issuer
from core.leases import unheld


class OrderQuerySet(models.QuerySet["Order"]):
    def due(self, at: datetime) -> OrderQuerySet:
        """Orders that the signer should take: they have their CSR, and nobody holds them."""
        return self.filter(state__in=[Order.REQUESTED, Order.SIGNING]).filter(unheld(at))

    def open(self) -> OrderQuerySet:
        return self.filter(state__in=[Order.REQUESTED, Order.AWAITING_CSR, Order.SIGNING])


class Order(Asked):
    """A wish for a certificate, from the request to the certificate or the refusal."""

    REQUESTED, AWAITING_CSR, SIGNING = "requested", "awaiting_csr", "signing"
    ISSUED, REFUSED = "issued", "refused"
    STATES = [
        (REQUESTED, _("requested")),
        (AWAITING_CSR, _("waiting for the key")),
        (SIGNING, _("being signed")),
        (ISSUED, _("issued")),
        (REFUSED, _("refused")),
    ]

    # Who makes the key.
    HOST, ELSEWHERE, BROWSER, SIGNER = "host", "elsewhere", "browser", "signer"
    WAYS = [
        (HOST, _("made on the host")),
        (ELSEWHERE, _("made elsewhere")),
        (BROWSER, _("made in the browser")),
        (SIGNER, _("made by the signer")),
    ]

    uuid = models.UUIDField(default=uuid.uuid4, editable=False)
    state = models.CharField(_("state"), max_length=14, choices=STATES, default=REQUESTED)
    way = models.CharField(_("key"), max_length=10, choices=WAYS, default=ELSEWHERE)
    profile = models.CharField(_("profile"), max_length=20)
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="orders")
    names = models.JSONField(default=list)
    subject = models.JSONField(default=dict)
    days = models.PositiveIntegerField(_("days"))
    csr_pem = models.TextField(blank=True)
    key_id = models.CharField(max_length=64, blank=True, db_index=True)
    certificate = models.OneToOneField(
        Certificate, null=True, on_delete=models.PROTECT, related_name="order"
    )

    renews = models.ForeignKey(
        Certificate, null=True, blank=True, on_delete=models.PROTECT, related_name="renewal_orders"
    )
    # For a key that the signer makes: which, as what it is handed over, and the passphrase it is
    # put under, here only sealed to the signer and only until it was used.
    key_algorithm = models.CharField(max_length=10, blank=True)
    parcel_form = models.CharField(max_length=14, blank=True)
    passphrase_sealed = models.BinaryField(default=bytes)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="ca_order_issued_has_its_certificate",
                condition=Q(state="issued", certificate__isnull=False)
                | (~Q(state="issued") & Q(certificate=None)),
            ),
            models.CheckConstraint(
                name="ca_order_refused_has_its_reason",
                condition=Q(state="refused", reason_code__gt="")
                | (~Q(state="refused") & Q(reason_code="")),
            ),
            models.UniqueConstraint(
                name="ca_order_one_renewal_at_a_time",
                fields=["renews"],
                condition=Q(state__in=["requested", "awaiting_csr", "signing"]),
            ),
            models.CheckConstraint(
                name="ca_order_ends_without_passphrase",
                condition=~Q(state__in=["issued", "refused"]) | Q(passphrase_sealed=b""),
            ),
        ]
        indexes = [models.Index(fields=["state", "lease_until"], name="ca_order_due")]

    def __str__(self) -> str:
        return ", ".join(self.names[:3]) or f"#{self.pk}"

    @property
    def context(self) -> str:
        """What the sealed passphrase is, and whose."""
        return f"order {self.uuid}"

    @property
    def is_final(self) -> bool:
        return self.state in states.final(states.ORDER)
