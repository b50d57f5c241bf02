"""`manage.py create_domain`: a mail domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import domains
from accounts.management.base import AccountsCommand, when_live


class Command(AccountsCommand):
    help = """Add a mail domain.

  ./run manage create_domain example.test --note "customers in the north"
"""
    permission = "accounts.domains"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="what stands after the @; in any script")
        parser.add_argument("--note", default="", metavar="TEXT", help="a remark")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.domain = domains.create(
            name=options["name"], note=options["note"], by=self.by, at=self.now
        )
        return {"name": self.domain.name, "host": self.domain.host, "live": False}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(name)s was added.") % {"name": self.domain.unicode_name}
        yield when_live(self.domain)
