"""`manage.py flags`: what speaks against accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import flag_words, flags
from accounts.management.base import AccountsCommand
from accounts.models import FlagKind


class Command(AccountsCommand):
    help = """List what speaks against accounts: never used, weak password, no owner, and the like.

The console looks anew every hour; --refresh does it now.

  ./run manage flags --kind weak --kind never_used
"""
    permission = "accounts.view"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kind", action="append", choices=FlagKind.values, help="only these (several)"
        )
        parser.add_argument("--refresh", action="store_true", help="look anew first")
        parser.add_argument(
            "--set-aside", action="store_true", help="those that were set aside instead"
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if options["refresh"]:
            flags.refresh(at=self.now)
        rows = flags.listed(self.now, set_aside=options["set_aside"]).visible_to(self.by)
        if options["kind"]:
            rows = rows.filter(kind__in=options["kind"])
        found = rows.select_related("mailbox").order_by("-risk", "mailbox__address", "kind")
        listed = [
            {
                "id": flag.pk,
                "address": flag.mailbox.address,
                "kind": flag.kind,
                "since": flag.since,
                "sure": flag.sure,
                "risk": flag.risk,
                "evidence": flag.evidence,
                "sentence": flag_words.evidence(flag),
                "set_aside": flag.exempt_reason,
            }
            for flag in found.iterator(chunk_size=1000)
        ]
        return {"count": len(listed), "flags": listed}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        for each in result["flags"]:
            yield f"{each['risk']}  {each['address']}  {each['kind']}  {each['sentence']}"
        if not result["flags"]:
            yield _("No account is flagged")
