"""`manage.py probe`: whether the running daemons serve what is live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deploy import proof, rollout
from deploy.management.base import DeployCommand, host_named
from deploy.management.shown import probe_line


class Command(DeployCommand):
    help = """Ask a mail host's daemons, as a client would, whether they serve what is live.

The same questions as after every deployment, with a login made for them and taken away again.

  ./run manage probe mail1.example.test
"""
    permission = "deploy.rollout"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        host = host_named(options["host"])
        live = rollout.live_generation(host)
        probes = []
        for each in proof.of_live(host=host):
            self.tell(probe_line(each.kind, each.protocol, each.ok, each.evidence))
            probes.append(asdict(each))
        probes.sort(key=lambda probe: (probe["port"], probe["kind"]))
        failed = sum(not probe["ok"] for probe in probes)
        result = {
            "host": host.fqdn,
            "generation": live.number if live else None,
            "probes": probes,
        }
        if failed:
            sentence = ngettext(
                "%(host)s did not prove one thing that must be so.",
                "%(host)s did not prove %(count)s things that must be so.",
                failed,
            )
            named = {"host": host.fqdn, "count": failed}
            self.fail(sentence % named, "probe_failed", **result)
        return result

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        sentence = _("%(host)s serves generation %(number)s, and everything was proved.")
        yield sentence % {"host": result["host"], "number": result["generation"]}
