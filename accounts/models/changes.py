"""The append-only log that mail hosts follow."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.db import connections, models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models.aliases import Alias
from accounts.models.mailboxes import Mailbox


class ChangeKind(models.TextChoices):
    """What a change is about. A delta reads the row's present state, not the change's."""

    MAILBOX = "mailbox", _("Mailbox")
    ALIAS = "alias", _("Alias")
    DOMAIN = "domain", _("Domain and all in it")
    REMOVE_DOMAIN = "remove_domain", _("Domain removed")


class ChangeQuerySet(models.QuerySet["Change"]):
    def since(self, host: str, change_id: int) -> ChangeQuerySet:
        """What a host that has reached `change_id` does not know yet, oldest first."""
        return self.filter(host=host, id__gt=change_id).order_by("id")

    def latest_id(self, host: str) -> int:
        """The change a host must have reached to be up to date; 0 when there is none."""
        return self.filter(host=host).order_by("-id").values_list("id", flat=True).first() or 0

    def latest_id_for(self, host: str, subject: str) -> int:
        """The last change of one address or domain name; it is live once the host reached it."""
        found = self.filter(host=host, subject=subject).order_by("-id")
        return found.values_list("id", flat=True).first() or 0

    def append(self, changes: Iterable[Change]) -> None:
        """Adds changes as the last step of a verb's transaction.

        PostgreSQL hands out ids before commit: without the lock a host could reach 12 while 11 is
        still uncommitted, and never learn of 11. SQLite has one writer anyway.
        """
        connection = connections[self.db]
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError("a change belongs to a transaction")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('accounts_change'))")
        self.bulk_create(changes)


class Change(models.Model):
    """One alteration that a host must learn of. Rows are only ever added."""

    at = models.DateTimeField()
    host = models.CharField(max_length=36, blank=True)
    kind = models.CharField(max_length=13, choices=ChangeKind.choices)
    subject = models.CharField(max_length=318)
    end_sessions = models.BooleanField(default=False)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["host", "id"], name="change_host_id"),
            models.Index(fields=["subject", "id"], name="change_subject_id"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind} {self.subject}"

    @classmethod
    def of(
        cls, row: Mailbox | Alias, *, at: datetime.datetime, end_sessions: bool = False
    ) -> Change:
        kind = ChangeKind.MAILBOX if isinstance(row, Mailbox) else ChangeKind.ALIAS
        return cls(
            at=at, host=row.domain.host, kind=kind, subject=row.address, end_sessions=end_sessions
        )
