"""What an import found, file by file: the report, and until they are stored the certificates."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca.models.ceremonies import Ceremony

# A database without any is much smaller, and a certificate is stored once.
NOTHING = b""


class ImportedQuerySet(models.QuerySet["Imported"]):
    def of(self, ceremony: Ceremony) -> ImportedQuerySet:
        """What was uploaded for an import. One that is tried again has the same upload."""
        upload: Any = ceremony.wish.get("upload")
        return self.filter(upload=upload) if upload else self.none()

    def to_store(self) -> ImportedQuerySet:
        """Accepted, and not a certificate's row yet."""
        return self.exclude(der=NOTHING)


class Imported(models.Model):
    """One certificate (or what was taken for one) of an upload, and what is made of it.

    `code` and `detail` say why it is left out, or what its owner should know. Nothing here is
    secret: the key never is.
    """

    TAKEN, NOTED, LEFT = "taken", "noted", "left"
    ACCEPTED = (TAKEN, NOTED)
    VERDICTS = [
        (TAKEN, _("in order")),
        (NOTED, _("in order, with a note")),
        (LEFT, _("left out")),
    ]

    # In the wish of its ceremony, which is asked for when all of the upload is here.
    upload = models.UUIDField()
    position = models.PositiveIntegerField()
    source = models.CharField(_("file"), max_length=200)
    verdict = models.CharField(max_length=5, choices=VERDICTS)
    code = models.CharField(max_length=60, blank=True)
    detail = models.JSONField(default=dict)
    serial = models.CharField(_("serial number"), max_length=80, blank=True)
    subject = models.CharField(_("subject"), max_length=400, blank=True)
    not_after = models.DateTimeField(null=True)
    # As the old authority's index said.
    revoked_at = models.DateTimeField(null=True)
    revocation_reason = models.CharField(max_length=24, blank=True)
    # Until it is a certificate's row: that of the root with this serial number.
    der = models.BinaryField(default=bytes)

    objects = ImportedQuerySet.as_manager()

    class Meta:
        ordering = ["upload", "position"]
        constraints = [
            models.UniqueConstraint(fields=["upload", "position"], name="ca_imported_once"),
            models.CheckConstraint(
                name="ca_imported_left_has_its_reason",
                condition=~Q(verdict="left") | Q(code__gt="", der=NOTHING),
            ),
        ]

    def __str__(self) -> str:
        return self.source
