"""`manage.py plan`: what putting a mail host live would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from deploy import api, rollout
from deploy.management.base import DeployCommand, host_named
from deploy.management.shown import plan_lines


class Command(DeployCommand):
    help = """Show what putting a mail host live would do, and change nothing.

  ./run manage plan mail1.example.test --diff
  ./run manage plan practice
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")
        parser.add_argument("--diff", action="store_true", help="every line that differs")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        host = host_named(options["host"])
        if not host.is_ready:
            raise rollout.NotReady(host)
        self.diff = options["diff"]
        self.preview = rollout.preview(host)
        return api.plan_out(self.preview).model_dump(mode="json")

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield from plan_lines(self.preview, diff=self.diff)
        if self.preview.may_go:
            command = f"./run manage deploy {self.preview.host.fqdn}"
            yield _("Put it live: %(command)s") % {"command": command}
