"""`manage.py deploy`: mail hosts as they should be, live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from deploy import fleet, rollout
from deploy.management.base import Refused, host_named
from deploy.management.following import RolloutCommand, outcome, unchanged
from deploy.management.shown import summary
from deploy.models import HostRollout, Rollout


class Command(RolloutCommand):
    help = """Put mail hosts live: copied, checked there, switched, proved; or gone back, all of it.

Of several one goes first, the others when it is confirmed; after a failure no further one begins.
Ends with status 0 only where every host is confirmed, or needed nothing; with --at, when it is
planned: a running console begins it. Without --yes it shows what would change and asks.

  ./run manage deploy mail1.example.test --reason "new certificate"
  ./run manage deploy mail1.example.test mail2.example.test --first mail2.example.test
  ./run manage deploy mail1.example.test --at 2026-12-24T03:00+08:00
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
        parser.add_argument("--first", metavar="HOST", help="goes alone (the first that is named)")
        parser.add_argument(
            "--at", metavar="TIME", help="begin then, within two weeks: 2026-12-24T03:00+08:00"
        )
        parser.add_argument("--reason", default="", metavar="R", help="kept with the generation")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        hosts = {host.pk: host for host in map(host_named, options["hosts"])}
        first = host_named(options["first"]) if options["first"] else None
        if first is not None and first.pk not in hosts:
            raise fleet.NotAmongThem(first)
        starts_at = moment(options["at"]) if options["at"] else None
        if starts_at is not None:
            fleet.check_start(starts_at, at=self.now)
        previews = [checked(rollout.preview(host)) for host in hosts.values()]
        same = [each for each in previews if not (each.may_go or options["again"])]
        going = [each for each in previews if each not in same]
        self.planned: Rollout | None = None
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
            # One that needs nothing has nothing to go first with.
            first=first if first in [each.host for each in going] else None,
            starts_at=starts_at,
        )
        self.planned = made if starts_at is not None else None
        if self.planned:
            result = outcome(made)
            return {**result, "hosts": result["hosts"] + others}
        return self.followed(made, others)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        if self.planned and self.planned.starts_at:
            sentence = _("Rollout %(number)s is planned for %(time)s; a running console begins it.")
            time = self.planned.starts_at.isoformat(timespec="minutes")
            yield sentence % {"number": self.planned.pk, "time": time}
        for host in self.same:
            yield _("%(host)s is already as it should be: nothing differs.") % {"host": host}


def moment(text: str) -> datetime:
    """A time with its zone; this process runs in UTC whatever the operator's clock says."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        sentence = _("“%(value)s” is not a time. Write it like 2026-12-24T03:00+08:00.")
        raise Refused("time_unreadable", sentence % {"value": text}) from None
    if found.tzinfo is None:
        sentence = _("Say in which time zone “%(value)s” is meant: %(value)s+08:00, for example.")
        raise Refused("time_without_zone", sentence % {"value": text})
    return found


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
