"""Batches: many certificates asked for at once, each with its ready request."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca.models.asked import Asked
from ca.models.issuers import Issuer
from core.leases import unheld


class BatchQuerySet(models.QuerySet["Batch"]):
    def due(self, at: datetime) -> BatchQuerySet:
        return self.filter(state__in=[Batch.REQUESTED, Batch.SIGNING]).filter(unheld(at))


class Batch(Asked):
    """Requests that are signed part by part; each part is stored with the count that it reaches.

    `refused` has one `{"index", "code", "detail"}` for each request that could not be signed; the
    others were.
    """

    REQUESTED, SIGNING, DONE, REFUSED = "requested", "signing", "done", "refused"
    STATES = [
        (REQUESTED, _("waiting for the signer")),
        (SIGNING, _("being signed")),
        (DONE, _("done")),
        (REFUSED, _("refused")),
    ]
    OPEN = (REQUESTED, SIGNING)

    state = models.CharField(_("state"), max_length=10, choices=STATES, default=REQUESTED)
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="batches")
    profile = models.CharField(_("profile"), max_length=20)
    days = models.PositiveIntegerField(_("days"))
    total = models.PositiveIntegerField()
    # How many requests, from the first, are dealt with: signed or refused.
    done = models.PositiveIntegerField(default=0)
    refused = models.JSONField(default=list)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="ca_batch_refused_has_its_reason",
                condition=Q(state="refused", reason_code__gt="")
                | (~Q(state="refused") & Q(reason_code="")),
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk} ({self.total})"

    @property
    def signed(self) -> int:
        return self.done - len(self.refused)

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN


class BatchPart(models.Model):
    """The requests of a batch from `first` on, as PEM: a row that can be read and left alone,
    while the batch's own is written again and again."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="parts")
    first = models.PositiveIntegerField()
    requests = models.JSONField(default=list)

    class Meta:
        ordering = ["first"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "first"], name="ca_batch_part_once")
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}: {self.first}"
