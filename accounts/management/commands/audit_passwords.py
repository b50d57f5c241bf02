"""`manage.py audit_passwords`: a few guesses at every hash, to the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import flags, tasks, weakness
from accounts.management.base import AccountsCommand
from accounts.models import Flag, FlagKind, WeaknessAudit
from core.inline import PAUSE


class Command(AccountsCommand):
    help = """Try a few likely passwords at every account, and flag those that fit.

It runs at the lowest priority, and goes on where it was when it is interrupted; an audit that runs
already is brought to its end. Nothing is guessed twice, and no password is stored.

  ./run manage audit_passwords
"""
    permission = "accounts.domains"

    def arguments(self, parser: CommandParser) -> None:
        pass

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        with suppress(weakness.AuditRuns):
            weakness.start(by=self.by, at=self.now)
        audit = weakness.latest()
        assert audit is not None
        seen = -1
        while audit.state == WeaknessAudit.RUNNING:
            tasks.audit_passwords(audit.pk)
            audit.refresh_from_db()
            if audit.looked_at == seen:  # a worker of the console is at it
                time.sleep(PAUSE)
            elif audit.state == WeaknessAudit.RUNNING:
                self.stderr.write(f"{audit.looked_at}/{audit.total}")
            seen = audit.looked_at
        flags.refresh(at=self.now)
        weak = Flag.objects.filter(kind=FlagKind.WEAK).select_related("mailbox")
        return {
            "state": audit.state,
            "accounts": audit.looked_at,
            "found": audit.found,
            "weak": [
                {"address": flag.mailbox.address, "reason": flag.evidence["reason"]}
                for flag in weak.order_by("mailbox__address")
            ],
        }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        for each in result["weak"]:
            yield f"{each['address']}  {each['reason']}"
        count = result["found"]
        yield ngettext(
            "%(count)d weak password in %(all)d accounts.",
            "%(count)d weak passwords in %(all)d accounts.",
            count,
        ) % {"count": count, "all": result["accounts"]}
        if result["state"] == WeaknessAudit.STOPPED:
            yield _("It was stopped before its end.")
