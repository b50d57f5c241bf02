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
    """Requests that are signed in chunks; each chunk is stored with the count that it reaches.

    `requests` are PEM, in order. `refused` has one `{"index", "code", "detail"}` for each request
    that could not be signed; the others were.
    """

    REQUESTED, SIGNING, DONE, REFUSED = "requested", "signing", "done", "refused"
    STATES = [
        (REQUESTED, _("waiting for the signer")),
        (SIGNING, _("being signed")),
        (DONE, _("done")),
        (REFUSED, _("refused")),
    ]

    state = models.CharField(_("state"), max_length=10, choices=STATES, default=REQUESTED)
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="batches")
    profile = models.CharField(_("profile"), max_length=20)
    days = models.PositiveIntegerField(_("days"))
    requests = models.JSONField(default=list)
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
