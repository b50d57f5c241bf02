"""`manage.py resume`: login and sending again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import lifecycle
from accounts.management.base import AccountsCommand, described, mailbox_at, when_live


class Command(AccountsCommand):
    help = """Resume a suspended mailbox, with the password it had.

  ./run manage resume anna@example.test
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.mailbox = lifecycle.resume(
            mailbox=mailbox_at(options["address"], self.by), by=self.by, at=self.now
        )
        return described(self.mailbox)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(address)s is active again.") % {"address": self.mailbox.unicode_address}
        yield when_live(self.mailbox.domain)
