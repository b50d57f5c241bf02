"""`manage.py rollback`: a mail host as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from core.commands import few
from deploy import going_back, rollout
from deploy.management.base import Refused, host_named
from deploy.management.following import RolloutCommand, unchanged
from deploy.management.shown import summary
from deploy.models import Generation, Host


class Command(RolloutCommand):
    help = """Go back to an earlier generation of a mail host: checked, switched and proved, as any.

Accounts are in no generation and stay as they are, suspended ones too. The generations are on the
host's page.

  ./run manage rollback mail1.example.test --to 4
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")
        parser.add_argument("--to", type=int, required=True, metavar="N", help="the generation")
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="also what was changed on the host itself (see drift --diff)",
        )

        parser.add_argument(
            "--despite-certificate",
            action="store_true",
            help="although the generation's certificate was revoked since, or is on hold",
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        host = host_named(options["host"])
        live = rollout.live_generation(host)
        self.same = ""
        if live is not None and live.number == options["to"]:
            sentence = _("%(host)s is on generation %(number)s already.")
            self.same = sentence % {"host": host.fqdn, "number": live.number}
            return {"confirmed": True, "rollout": None, "hosts": [unchanged(host, live)]}
        wanted = kept(host, options["to"])
        going_back.check(wanted, at=self.now, insist=options["despite_certificate"])
        preview = rollout.preview(host, to=wanted)
        try:
            made = rollout.request(
                hosts=[host],
                to=wanted,
                by=self.by,
                at=self.now,
                overwrite=[host.reported().drift_mark] if options["overwrite"] else (),
                despite_certificate=options["despite_certificate"],
            )
        except rollout.NothingToDo as same:
            self.same = same.sentence
            return {"confirmed": True, "rollout": None, "hosts": [unchanged(host, live)]}
        for line in summary(preview):
            self.tell(line)
        if waiting := (host.facts.get("queue") or {}).get("count"):
            sentence = _("Mail in its queue, %(count)s, is delivered by whatever is live then.")
            self.tell(sentence % {"count": waiting})
        problem = going_back.objection(wanted, self.now)
        if problem is not None:
            self.tell(problem.sentence)
        return self.followed(made)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        if self.same:
            yield self.same


def kept(host: Host, number: int) -> Generation:
    """A generation that was live before; the refusal names those there are."""
    rows = Generation.objects.filter(host=host, state=Generation.KEPT)
    found = rows.filter(number=number).first()
    if found is None:
        sentence = _(
            "%(host)s cannot go back to generation %(number)s. It was live with: %(kept)s."
        )
        numbers = few(str(each) for each in rows.values_list("number", flat=True))
        detail = {"host": host.fqdn, "number": number, "kept": numbers}
        raise Refused("not_kept", sentence % detail)
    return found
