"""What an import found, file by file: the report, and until they are stored the certificates."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca.models.ceremonies import Ceremony
from ca.models.certificates import Certificate


class ImportedQuerySet(models.QuerySet["Imported"]):
    def to_store(self) -> ImportedQuerySet:
        """Accepted, and not a certificate's row yet."""
        return self.filter(verdict__in=Imported.ACCEPTED, certificate=None)


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

    ceremony = models.ForeignKey(Ceremony, on_delete=models.CASCADE, related_name="found")
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
    # Until it is a certificate's row.
    der = models.BinaryField(default=bytes)
    certificate = models.ForeignKey(
        Certificate, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    objects = ImportedQuerySet.as_manager()

    class Meta:
        ordering = ["ceremony", "position"]
        constraints = [
            models.UniqueConstraint(fields=["ceremony", "position"], name="ca_imported_once"),
            models.CheckConstraint(
                name="ca_imported_left_has_its_reason",
                condition=~Q(verdict="left") | Q(code__gt="", certificate=None),
            ),
        ]

    def __str__(self) -> str:
        return self.source
