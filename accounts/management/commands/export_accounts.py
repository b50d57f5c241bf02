"""`manage.py export_accounts`: all accounts as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts import exporting
from accounts.management.base import AccountsCommand, domain_named
from accounts.models import Mailbox


class Command(AccountsCommand):
    help = """Write the accounts as CSV, as import_accounts takes them back.

  ./run manage export_accounts --domain example.test > accounts.csv
"""
    permission = "accounts.view"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--domain", metavar="D", help="only those of this domain")
        parser.add_argument(
            "--hashes",
            action="store_true",
            help="with the passwords' hashes: whoever has the file can guess at them",
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        hashes = options["hashes"]
        if hashes:
            # A viewer sees no hash anywhere else.
            self.allowed("accounts.manage", by=self.by)
        rows = Mailbox.objects.visible_to(self.by).present()
        if options["domain"]:
            rows = rows.filter(domain=domain_named(options["domain"], self.by))
        self.pieces = exporting.lines(rows, hashes=hashes)
        if not options["json"]:
            return {}
        columns = (*exporting.COLUMNS, "password_hash") if hashes else exporting.COLUMNS
        return {"accounts": [exporting.described(row, columns) for row in rows.order_by("address")]}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        for piece in self.pieces:
            # The command's frame ends each with a newline of its own.
            yield piece.replace("\r\n", "\n").removesuffix("\n")
