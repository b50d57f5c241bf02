"""`manage.py drift`: what was changed on a mail host itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from deploy import rollout
from deploy.api_drift import drift_out
from deploy.management.base import PATIENCE, DeployCommand, check_job, host_named
from deploy.management.shown import drift_lines

DRIFTED = 2


class Command(DeployCommand):
    help = """Ask a mail host which managed files were changed on it by somebody else.

The next deployment would overwrite them. With --exit-code the status is 2 where there are any.

  ./run manage drift mail1.example.test --diff
"""
    patience = PATIENCE

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")
        parser.add_argument("--diff", action="store_true", help="every line that differs")
        parser.add_argument(
            "--exit-code", action="store_true", help=f"end with status {DRIFTED} where it drifted"
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.host = host_named(options["host"])
        if not self.host.is_ready:
            raise rollout.NotReady(self.host)
        self.job_of(check_job(self.host, self))
        self.host.refresh_from_db()
        self.drifted = list(self.host.reported().drift)
        self.diff = options["diff"]
        known = drift_out(self.host, rollout.live_generation(self.host), is_being_asked=False)
        self.files = known.files
        self.fails = bool(options["exit_code"] and self.drifted)
        return {
            "host": self.host.fqdn,
            "generation": self.host.reported().generation,
            "drift": self.drifted,
            "mark": known.mark,
            "files": known.model_dump(mode="json")["files"],
            "asked_at": self.host.facts_at,
        }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield from drift_lines(self.drifted)
        if self.diff:
            for file in self.files:
                yield f"{file.path}:"
                yield from (f"  {line}" for line in file.diff.splitlines())
        if not self.drifted:
            yield _("Nothing was changed on %(host)s itself.") % {"host": self.host.fqdn}

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if self.fails:
            sys.exit(DRIFTED)
