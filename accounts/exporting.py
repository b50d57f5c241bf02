"""Accounts as CSV, as `accounts.reading` takes them back; safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from accounts.models import Mailbox
from accounts.models.mailboxes import MailboxQuerySet
from accounts.reading import plain

CHUNK = 1000
COLUMNS = ("address", "display_name", "owner_contact", "quota_mb", "note", "state", "expires_at")


class _Echo:
    """A file whose `write` gives back what it is given."""

    def write(self, text: str) -> str:
        return text


def lines(rows: MailboxQuerySet, *, hashes: bool = False) -> Iterator[str]:
    """The whole list by address, however long, in pieces: nothing of it is held in memory.

    Never a password; their hashes only where asked for.
    """
    writer = csv.writer(_Echo())
    columns = (*COLUMNS, "password_hash") if hashes else COLUMNS
    # Spreadsheets take UTF-8 for something else without its mark.
    yield "\ufeff" + str(writer.writerow(columns))
    last = ""
    while chunk := list(rows.order_by("address").filter(address__gt=last)[:CHUNK]):
        last = chunk[-1].address
        yield "".join(writer.writerow(_cells(row, hashes)) for row in chunk)


def described(row: Mailbox, columns: Sequence[str]) -> dict[str, Any]:
    """The same for a program, which takes nothing for a formula."""
    return {
        name: row.password if name == "password_hash" else getattr(row, name) for name in columns
    }


def _cells(row: Mailbox, hashes: bool) -> list[str]:
    return [
        plain(row.unicode_address),
        plain(row.display_name),
        plain(row.owner_contact),
        str(row.quota_mb or 0),
        plain(row.note),
        row.state,
        timezone.localtime(row.expires_at).isoformat() if row.expires_at else "",
        *([row.password] if hashes else []),
    ]
