"""`manage.py release`: a mail host given back to what was there before the console."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.commands import few
from deploy import leaving, sentences
from deploy.api_leaving import leaving_out
from deploy.management.base import DeployCommand, Refused, host_named
from deploy.models import HostJob

PATIENCE = 300.0


class Command(DeployCommand):
    help = """Give a mail host back: what was there before the console runs again, as generation 0.

It shows first which logins open again and which queued mail is held, and asks. Mail, accounts and
generations stay on the host; `deploy` puts it live again and delivers what was held.

  ./run manage release mail1.example.test
"""
    permission = "deploy.rollout"
    patience = PATIENCE

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        host = host_named(options["host"])
        job = leaving.ask(host=host, by=self.by, at=self.now, anew=True)
        self.job_of(job or host.jobs.filter(kind=HostJob.LOOK).latest("pk"))
        report = leaving.seen(host)
        assert report is not None
        lines = list(said_of(report))
        nobody = _("Nobody is there to be asked whether to give it back. Say --yes to do it.")
        question = _("Give %(host)s back?") % {"host": host.fqdn}
        if options["yes"]:
            for line in lines:
                self.tell(line)
        elif not self.agreed(question, lines, otherwise=nobody):
            raise Refused("declined", _("Nothing was given back."))
        job = leaving.give_back(
            host=host, typed=host.fqdn, mark=report.mark, by=self.by, at=self.now
        )
        self.step = ""
        self.job_of(job, look=lambda: self._say_step(job))
        host.refresh_from_db()
        self.host, self.held = host, leaving.held(host)
        return {**leaving_out(host).model_dump(mode="json"), "held": self.held}

    def _say_step(self, job: HostJob) -> None:
        step = HostJob.objects.values_list("step", flat=True).get(pk=job.pk)
        if step and step != self.step:
            self.step = step
            self.tell(f"  {sentences.job_step(step)}")

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        sentence = _("%(host)s is as it was before the console. deploy puts it live again.")
        yield sentence % {"host": self.host.fqdn}
        if self.held:
            sentence = ngettext(
                "%(count)s message is held in its queue until then.",
                "%(count)s messages are held in its queue until then.",
                self.held,
            )
            yield sentence % {"count": self.held}


def said_of(report: leaving.Report) -> Iterator[str]:
    """What would happen, for a terminal."""
    if report.reviving:
        yield _("These logins were closed here and would open again:")
        for login in report.reviving:
            states = ", ".join(f"{row.address} ({row.get_state_display()})" for row in login.closed)
            yield f"  {login.name}: {states}"
    if report.others:
        sentence = _("These would open again, too: %(names)s.")
        yield sentence % {"names": few(login.name for login in report.others)}
    if report.unlisted:
        sentence = _("Logins are also kept where they cannot be listed: %(places)s.")
        yield sentence % {"places": ", ".join(report.unlisted)}
    if report.unknown:
        sentence = _("It would not know these domains: %(names)s.")
        yield sentence % {"names": few(report.unknown)}
    sentence = _("In the queue: %(count)s, of which %(held)s would be held.")
    yield sentence % {"count": report.queued, "held": report.to_hold}
