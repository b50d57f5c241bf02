"""`manage.py import_system_users`: the people of an old host, with their passwords."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts import reading
from accounts.management.base import domain_named
from accounts.management.imports import ImportCommand


class Command(ImportCommand):
    help = """Bring in the users of an old host, out of copies of its passwd and shadow.

Users below --least-uid are the system's own and are left out. A locked user with a password comes
in suspended; one without a password is refused and named. The passwords stay as they are.

  ./run manage import_system_users --passwd old/passwd --shadow old/shadow --domain example.test \\
      --dry-run
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--passwd", required=True, metavar="F")
        parser.add_argument("--shadow", required=True, metavar="F")
        parser.add_argument("--domain", required=True, metavar="D", help="one of the console's")
        parser.add_argument(
            "--least-uid", type=int, default=1000, metavar="N", help="500 on older hosts (1000)"
        )
        super().arguments(parser)

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        domain = domain_named(options["domain"], self.by)
        total = hashlib.sha256()
        rows = reading.system_users(
            io.BytesIO(self.file(options["passwd"], most=reading.MOST_BYTES)),
            io.BytesIO(self.file(options["shadow"], most=reading.MOST_BYTES)),
            domain=domain.name,
            least_uid=options["least_uid"],
            total=total,
        )
        return self.bring(rows, total=total, name="passwd", options=options)
