"""Accounts brought in from a file: the file, its rows' outcomes, how far it is."""

from __future__ import annotations

import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.leases import Leased, unheld
from core.models import Operator


class AccountImportQuerySet(models.QuerySet["AccountImport"]):
    def due(self, at: datetime.datetime) -> AccountImportQuerySet:
        return self.filter(state=AccountImport.RUNNING).filter(unheld(at))


class AccountImport(Leased):
    """One file of accounts. With `dry_run` nothing but the report is made.

    Parts hold what was read, passwords among it only as hashes or sealed, and are deleted once they
    are done.
    """

    RUNNING, DONE, CANCELLED, FAILED = "running", "done", "cancelled", "failed"
    STATES = [
        (RUNNING, _("Running")),
        (DONE, _("Done")),
        (CANCELLED, _("Cancelled")),
        (FAILED, _("Failed")),
    ]

    state = models.CharField(max_length=9, choices=STATES, default=RUNNING)
    dry_run = models.BooleanField(default=True)
    name = models.CharField(max_length=200, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    # What the operator chose: make missing domains, update existing accounts, and the like.
    choices = models.JSONField(default=dict)
    asked_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    cancel_asked = models.BooleanField(default=False)
    problem = models.CharField(max_length=40, blank=True, default="")

    objects = AccountImportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name or str(self.pk)


class ImportPart(models.Model):
    """At most 500 rows of a file, sealed: passwords may be among them."""

    batch = models.ForeignKey(AccountImport, on_delete=models.CASCADE, related_name="parts")
    first = models.PositiveIntegerField()
    rows = models.BinaryField()

    class Meta:
        ordering = ["first"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "first"], name="import_part_once"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} from {self.first}"


class ImportOutcome(models.Model):
    """What became of one row of the file."""

    batch = models.ForeignKey(AccountImport, on_delete=models.CASCADE, related_name="outcomes")
    line = models.PositiveIntegerField()
    address = models.CharField(max_length=400, blank=True, default="")
    outcome = models.CharField(max_length=9)
    # [[code, values], …]: the words are made when they are read.
    reasons = models.JSONField(default=list)

    class Meta:
        ordering = ["line"]
        indexes = [models.Index(fields=["batch", "outcome", "line"], name="outcome_of_batch")]

    def __str__(self) -> str:
        return f"{self.batch_id} line {self.line} {self.outcome}"
