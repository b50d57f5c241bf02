"""When a mailbox was last used, and since when anybody looks."""

from __future__ import annotations

from django.db import models

from accounts.models.mailboxes import Mailbox

PROTOCOLS = ("imap", "pop3", "smtp")


class LastUse(models.Model):
    """The newest login of a mailbox with one protocol; `address` is where from, if known."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="uses")
    protocol = models.CharField(max_length=4, choices=[(each, each) for each in PROTOCOLS])
    at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "protocol"], name="use_once"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.protocol} {self.at:%Y-%m-%d}"


class Evidence(models.Model):
    """Since when a host's logins with one protocol are known: before it nothing can be said.

    `cursor` is where the next reading goes on, in the words of the host's helper.
    """

    host = models.CharField(max_length=36)
    protocol = models.CharField(max_length=4, choices=[(each, each) for each in PROTOCOLS])
    since = models.DateTimeField()
    through = models.DateTimeField()
    cursor = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "protocol"], name="evidence_once"),
        ]

    def __str__(self) -> str:
        return f"{self.host} {self.protocol} since {self.since:%Y-%m-%d}"
