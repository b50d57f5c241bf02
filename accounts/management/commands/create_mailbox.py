"""`manage.py create_mailbox`: a mailbox with its password."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import lifecycle
from accounts.management.base import (
    AccountsCommand,
    Unclear,
    described,
    domain_named,
    end_of_day,
    when_live,
)


class Command(AccountsCommand):
    help = """Make a mailbox.

The file holds the password alone; - reads it from standard input. A password that is not good
enough is refused with every reason.

  ./run manage create_mailbox anna@example.test --password-file anna.pass --quota 2G --name "Anna"
  ./run manage create_mailbox visit@example.test --password-file - --expires 2027-01-31 \\
      --owner "reception, 200"
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument(
            "--password-file", required=True, metavar="F", help="- for standard input"
        )
        parser.add_argument("--quota", metavar="Q", help="500M, 2G; the domain's without it")
        parser.add_argument("--name", default="", metavar="N", help="the person or the purpose")
        parser.add_argument("--owner", default="", metavar="WHO", help="who looks after it")
        parser.add_argument("--note", default="", metavar="TEXT", help="a remark")
        parser.add_argument(
            "--expires", metavar="DATE", help="a temporary one's last day; needs --owner"
        )
        parser.add_argument(
            "--reason", default="", metavar="R", help="why one whose name looks like a test stays"
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        local, _at, domain = options["address"].strip().rpartition("@")
        quota, expires = options["quota"], options["expires"]
        self.mailbox = lifecycle.create(
            domain=domain_named(domain, self.by),
            local_part=local,
            password=self.password(options["password_file"]),
            display_name=options["name"],
            owner_contact=options["owner"],
            note=options["note"],
            quota_mb=megabytes(quota) if quota else None,
            expires_at=end_of_day(expires) if expires else None,
            name_reason=options["reason"],
            by=self.by,
            at=self.now,
        )
        return described(self.mailbox)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(address)s was made.") % {"address": self.mailbox.unicode_address}
        yield when_live(self.mailbox.domain)


_UNITS = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}


def megabytes(text: str) -> int:
    """500M, 2G, 1T; a number alone is megabytes."""
    found = re.fullmatch(r"(\d{1,12}) ?([MGT]?)(?:I?B)?", text.strip().upper(), re.ASCII)
    if found is None:
        sentence = _("“%(value)s” is no quota. Write 500M or 2G, for example.")
        raise Unclear("quota_malformed", sentence % {"value": text})
    return int(found[1]) * _UNITS[found[2]]
