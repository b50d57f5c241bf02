"""`manage.py import_accounts`: many accounts out of a CSV file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts import reading
from accounts.management.imports import ImportCommand


class Command(ImportCommand):
    help = f"""Bring in the accounts of a CSV file.

The first line names the columns, in any order: {", ".join(reading.COLUMNS)}.
Only the address must be there; a new account needs a password or its hash. A line that is refused
leaves the others alone, and the same file a second time changes nothing.

  ./run manage import_accounts staff.csv --dry-run
  ./run manage import_accounts staff.csv --make-domains
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="F", help="- for standard input")
        super().arguments(parser)

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        path = "/dev/stdin" if options["file"] == "-" else options["file"]
        stream = io.BytesIO(self.file(path, most=reading.MOST_BYTES))
        total = hashlib.sha256()
        rows = reading.read(stream, total=total)
        return self.bring(rows, total=total, name=Path(path).name, options=options)
