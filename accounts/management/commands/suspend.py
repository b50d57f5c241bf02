"""`manage.py suspend`: no login and no sending for a mailbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import lifecycle
from accounts.management.base import AccountsCommand, described, mailbox_at, when_live


class Command(AccountsCommand):
    help = """Suspend a mailbox: no login and no sending, and open sessions end.

Mail goes on arriving, unless you refuse it.

  ./run manage suspend anna@example.test --reason "password stolen"
"""
    permission = "accounts.help"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument("--reason", default="", metavar="R")
        parser.add_argument("--refuse-mail", action="store_true", help="refuse new mail, too")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.mailbox = lifecycle.suspend(
            mailbox=mailbox_at(options["address"], self.by),
            reason=options["reason"],
            refuses_mail=options["refuse_mail"],
            by=self.by,
            at=self.now,
        )
        return described(self.mailbox)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(address)s is suspended.") % {"address": self.mailbox.unicode_address}
        yield when_live(self.mailbox.domain)
