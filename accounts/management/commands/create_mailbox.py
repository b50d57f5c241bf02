"""`manage.py create_mailbox`: a mailbox with its password, or with a link that sets it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import invitations, lifecycle
from accounts.management.base import (
    AccountsCommand,
    Unclear,
    described,
    domain_named,
    end_of_day,
    when_live,
)
from accounts.refusals import PasswordAndInvitation


class Command(AccountsCommand):
    help = """Make a mailbox.

The file holds the password alone; - reads it from standard input. A password that is not good
enough is refused with every reason. With --invite there is none yet: the link that is printed, this
once, lets the owner set it within a week.

  ./run manage create_mailbox anna@example.test --password-file anna.pass --quota 2G --name "Anna"
  ./run manage create_mailbox visit@example.test --password-file - --expires 2027-01-31 \\
      --owner "reception, 200"
  ./run manage create_mailbox bert@example.test --invite
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument("--password-file", metavar="F", help="- for standard input")
        parser.add_argument(
            "--invite", action="store_true", help="print a link with which the owner sets it"
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

    link: dict[str, Any] | None = None

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        local, _at, domain = options["address"].strip().rpartition("@")
        quota, expires = options["quota"], options["expires"]
        if options["invite"] and options["password_file"]:
            raise PasswordAndInvitation
        if not options["invite"] and not options["password_file"]:
            sentence = _("Give the file with its password, or let its owner set one: --invite.")
            raise Unclear("password_missing", sentence)
        given: dict[str, Any] = {
            "domain": domain_named(domain, self.by),
            "local_part": local,
            "display_name": options["name"],
            "owner_contact": options["owner"],
            "note": options["note"],
            "quota_mb": megabytes(quota) if quota else None,
            "expires_at": end_of_day(expires) if expires else None,
            "name_reason": options["reason"],
            "by": self.by,
            "at": self.now,
        }
        if options["invite"]:
            self.mailbox, invitation, secret = invitations.create(**given)
            path = reverse("accounts:invitation", args=[secret])
            self.link = {
                "url": settings.CONSOLE_URL + path, "expires_at": invitation.expires_at
            }  # fmt: skip
        else:
            password = self.password(options["password_file"])
            self.mailbox = lifecycle.create(password=password, **given)
        return described(self.mailbox) | {"invitation": self.link}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("%(address)s was made.") % {"address": self.mailbox.unicode_address}
        if self.link:
            told = {"day": f"{timezone.localtime(self.link['expires_at']):%Y-%m-%d %H:%M}"}
            yield _("The owner sets the password here, once, until %(day)s:") % told
            yield self.link["url"]
        yield when_live(self.mailbox.domain)


_UNITS = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}


def megabytes(text: str) -> int:
    """500M, 2G, 1T; a number alone is megabytes."""
    found = re.fullmatch(r"(\d{1,12}) ?([MGT]?)(?:I?B)?", text.strip().upper(), re.ASCII)
    if found is None:
        sentence = _("“%(value)s” is no quota. Write 500M or 2G, for example.")
        raise Unclear("quota_malformed", sentence % {"value": text})
    return int(found[1]) * _UNITS[found[2]]
