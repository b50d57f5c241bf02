"""Configurations as they were put on hosts."""

import json
import zlib

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from deploy.bundle import Bundle
from deploy.models.hosts import Host


class GenerationQuerySet(models.QuerySet["Generation"]):
    def live(self) -> "GenerationQuerySet":
        return self.filter(state=Generation.LIVE)


class Generation(models.Model):
    """One configuration as it was staged. At most one is live; others are kept to go back to."""

    STAGED, LIVE, KEPT, DISCARDED = "staged", "live", "kept", "discarded"
    STATES = [
        (STAGED, _("Prepared")),
        (LIVE, _("Live")),
        (KEPT, _("Kept")),
        (DISCARDED, _("Never live")),
    ]

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="generations")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    files = models.BinaryField(help_text="zlib-compressed JSON, path to text")
    snapshot = models.JSONField(help_text="deploy.render.values.to_record")
    key_id = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, blank=True)
    certificate = models.ForeignKey(
        "ca.Certificate", null=True, on_delete=models.PROTECT, related_name="+"
    )
    came_from = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=STATES, default=STAGED)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    live_at = models.DateTimeField(null=True)

    objects = GenerationQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["host", "number"], name="generation_number_once"),
            models.UniqueConstraint(
                fields=["host"], condition=Q(state="live"), name="one_live_generation_a_host"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host} #{self.number}"

    @staticmethod
    def pack(bundle: Bundle) -> bytes:
        text = {path: content.decode("utf-8") for path, content in bundle.files.items()}
        return zlib.compress(json.dumps(text, sort_keys=True).encode(), level=6)

    def bundle(self) -> Bundle:
        text = json.loads(zlib.decompress(bytes(self.files)))
        return Bundle({path: content.encode("utf-8") for path, content in text.items()})
