"""`manage.py erase`: a closed mailbox and its mail, for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import closing
from accounts.management.base import (
    AccountsCommand,
    Unclear,
    described,
    mailbox_at,
    when_live,
)


class Command(AccountsCommand):
    help = """Erase a closed mailbox for good: its mail, and what the console knows of its owner.

  ./run manage erase anna@example.test --yes
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument("--yes", action="store_true", help="I mean it")
        parser.add_argument(
            "--early", action="store_true", help="although its mail was to be kept longer"
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        mailbox = mailbox_at(options["address"], self.by)
        if not options["yes"]:
            sentence = _("Erasing %(address)s cannot be undone. Say --yes to do it.")
            shown = mailbox.unicode_address
            raise Unclear("confirmation_missing", sentence % {"address": shown})
        self.mailbox = closing.erase(
            mailbox=mailbox,
            typed=mailbox.address,
            early=options["early"],
            by=self.by,
            at=self.now,
        )
        return described(self.mailbox)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(address)s was erased.") % {"address": self.mailbox.unicode_address}
        yield when_live(self.mailbox.domain)
