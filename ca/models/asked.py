"""What orders and ceremonies have in common: somebody asked, the signer answers."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from ca import wording
from core.leases import Leased


class Asked(Leased):
    """A wish that the signer fulfils or refuses; a refused one says why."""

    reason_code = models.CharField(max_length=60, blank=True)
    reason_detail = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        abstract = True

    @property
    def reason(self) -> str:
        """Why it was refused and what to do next, in the reader's language."""
        return wording.sentence(self.reason_code, self.reason_detail) if self.reason_code else ""
