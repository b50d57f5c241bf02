"""`manage.py close`: the end of a mailbox, with its mail kept for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import closing
from accounts.management.base import (
    AccountsCommand,
    described,
    end_of_day,
    mailbox_at,
    when_live,
)


class Command(AccountsCommand):
    help = f"""Close a mailbox: no login, no sending, no new mail, and open sessions end.

Its mail is kept until a day, {closing.KEPT_DAYS} days from now without --until.

  ./run manage close anna@example.test --until 2027-01-31 --reason "left"
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument("--until", metavar="DATE", help="the last day its mail is kept")
        parser.add_argument("--reason", default="", metavar="R")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        now, days = self.now, closing.KEPT_DAYS
        if options["until"]:
            last = timezone.localtime(end_of_day(options["until"])).date()
            days = (last - timezone.localtime(now).date()).days
        self.mailbox = closing.close(
            mailbox=mailbox_at(options["address"], self.by),
            days=days,
            reason=options["reason"],
            by=self.by,
            at=now,
        )
        return {**described(self.mailbox), "kept_until": self.mailbox.kept_until}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(address)s is closed; its mail is kept until %(day)s.") % {
            "address": self.mailbox.unicode_address,
            "day": f"{timezone.localtime(result['kept_until']):%Y-%m-%d}",
        }
        yield when_live(self.mailbox.domain)
