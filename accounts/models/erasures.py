"""Mail that is to be deleted on a host: the account is a tombstone already."""

from __future__ import annotations

import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.leases import Leased, unheld


class ErasureQuerySet(models.QuerySet["Erasure"]):
    def due(self, at: datetime.datetime) -> ErasureQuerySet:
        again = models.Q(retry_at=None) | models.Q(retry_at__lte=at)
        return self.filter(state=Erasure.WAITING).exclude(host="").filter(again).filter(unheld(at))


class Erasure(Leased):
    """Deployed by whoever reaches the host: `host` is its uuid. Done when the host said so."""

    WAITING, DONE = "waiting", "done"
    STATES = [(WAITING, _("Waiting")), (DONE, _("Done"))]

    address = models.CharField(max_length=318)
    host = models.CharField(max_length=36, blank=True, default="")
    state = models.CharField(max_length=7, choices=STATES, default=WAITING)
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=2000, blank=True, default="")

    objects = ErasureQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.address} {self.state}"
