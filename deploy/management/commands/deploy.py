"""`manage.py deploy`: mail hosts as they should be, live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from deploy import rollout
from deploy.management.base import Refused, host_named
from deploy.management.following import RolloutCommand, unchanged
from deploy.management.shown import summary
from deploy.models import HostRollout


class Command(RolloutCommand):
    help = """Put mail hosts live: copied, checked there, switched, proved; or gone back, all of it.

Ends with status 0 only where every host is confirmed, or needed nothing. Without --yes it shows
what would change and asks.

  ./run manage deploy mail1.example.test --reason "new certificate"
  ./run manage deploy practice --yes --json
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hosts", metavar="HOST", nargs="+", help="full names, or: practice")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="with --yes: also what was changed on the hosts themselves (see drift --diff)",
        )
        parser.add_argument("--again", action="store_true", help="also where nothing differs")
        parser.add_argument("--reason", default="", metavar="R", help="kept with the generation")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        hosts = {host.pk: host for host in map(host_named, options["hosts"])}
        previews = [checked(rollout.preview(host)) for host in hosts.values()]
        same = [each for each in previews if not (each.may_go or options["again"])]
        going = [each for each in previews if each not in same]
        self.same = [each.host.fqdn for each in same]
        others = [unchanged(each.host, each.live) for each in same]
        if not going:
            return {"confirmed": True, "rollout": None, "hosts": others}
        nobody = _("Nobody is there to be asked whether to put it live. Say --yes to do it.")
        lines = [line for each in going for line in summary(each)]
        if options["yes"]:
            for line in lines:
                self.tell(line)
        elif not self.agreed(_("Put it live?"), lines, otherwise=nobody):
            raise Refused("declined", _("Nothing was put live."))
        seen = options["overwrite"] or not options["yes"]
        made = rollout.request(
            hosts=[each.host for each in going],
            by=self.by,
            at=self.now,
            reason=options["reason"][:200],
            even_if_same=options["again"],
            overwrite=[each.host.reported().drift_mark for each in going] if seen else (),
        )
        return self.followed(made, others)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        for host in self.same:
            yield _("%(host)s is already as it should be: nothing differs.") % {"host": host}


def checked(preview: rollout.Preview) -> rollout.Preview:
    """What `rollout.request` would refuse, before anybody is asked, and naming the host."""
    host = preview.host
    if not host.is_ready:
        raise rollout.NotReady(host)
    if preview.objections:
        raise Refused("objected", f"{host.fqdn}: {' '.join(preview.objections)}")
    if HostRollout.objects.open().filter(host=host).exists():
        raise rollout.UnderWay(host)
    return preview
