"""`manage.py plan`: what putting mail hosts live would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from deploy import api, rollout
from deploy.management.base import DeployCommand, host_named
from deploy.management.shown import plan_lines


class Command(DeployCommand):
    help = """Show what putting mail hosts live would do, and change nothing.

With --json one object for one host, and for several {"hosts": [one each]}.

  ./run manage plan mail1.example.test --diff
  ./run manage plan mail1.example.test mail2.example.test
  ./run manage plan practice
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hosts", metavar="HOST", nargs="+", help="full names, or: practice")
        parser.add_argument("--diff", action="store_true", help="every line that differs")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        hosts = {host.pk: host for host in map(host_named, options["hosts"])}
        for host in hosts.values():
            if not host.is_ready:
                raise rollout.NotReady(host)
        self.diff = options["diff"]
        self.previews = [rollout.preview(host) for host in hosts.values()]
        plans = [api.plan_out(each).model_dump(mode="json") for each in self.previews]
        return plans[0] if len(plans) == 1 else {"hosts": plans}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        for preview in self.previews:
            yield from plan_lines(preview, diff=self.diff)
        going = [each.host.fqdn for each in self.previews if each.may_go]
        if going:
            command = f"./run manage deploy {' '.join(going)}"
            yield _("Put it live: %(command)s") % {"command": command}
