"""`manage.py add_host`: a mail server for the console, from its name to a connection that works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from deploy import enrolment, practising, sentences
from deploy import transport as ssh
from deploy.forms import AddHostForm
from deploy.hostctl import build
from deploy.management.base import (
    PATIENCE,
    PRACTICE,
    DeployCommand,
    Refused,
    check_job,
    host_named,
)
from deploy.management.shown import marked
from deploy.models import Host, HostJob
from deploy.plan import NAMES

PRACTICE_PATIENCE = 900.0
"""Debian's packages are fetched the first time."""
ON_THE_SERVER = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"


class Command(DeployCommand):
    help = """Add a mail server: a key for the console, one command to paste there, then the check.

  ./run manage add_host mail1.example.test --address 192.0.2.10     prints the command
  ./run manage add_host mail1.example.test --check                  connects, once it was pasted

The server's own key is pinned: --check shows its fingerprint and asks whether it is the one that
the server prints; where nobody is there to be asked, --host-key names it.

  ./run manage add_host practice                                    the practice host, all of it
"""
    permission = "deploy.manage"
    patience = PATIENCE

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")
        parser.add_argument("--address", default="", metavar="A", help="for SSH (its name)")
        parser.add_argument("--port", type=int, metavar="P", help="for SSH (22)")
        parser.add_argument("--check", action="store_true", help="the command was pasted: connect")
        parser.add_argument("--host-key", default="", metavar="SHA256:…", help="its fingerprint")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if options["host"].strip().lower() == PRACTICE:
            return self.practise()
        if options["check"]:
            host = host_named(options["host"])
            if host.practice:
                return self.practise()
            self.confirmed(host, options["host_key"])
            self.job_of(check_job(host, self))
        else:
            host = self.added(options)
            if options["host_key"]:
                self.confirmed(host, options["host_key"])
        host.refresh_from_db()
        return described(host)

    # The steps

    def added(self, options: Mapping[str, Any]) -> Host:
        """The row, with the console's key; one that is being added already goes on."""
        form = AddHostForm(
            {
                "fqdn": options["host"],
                "address": options["address"],
                "ssh_port": options["port"] or 22,
            }
        )
        if not form.is_valid():
            words = [str(text) for texts in form.errors.values() for text in texts]
            raise Refused("host_refused", " ".join(words))
        wish = form.cleaned_data
        host = Host.objects.filter(fqdn=wish["fqdn"], state=Host.ENROLLING, practice=False).first()
        if host is None:
            host = enrolment.add(**wish, by=self.by, at=self.now)
        elif (options["address"] and host.address != wish["address"]) or (
            options["port"] and host.ssh_port != wish["ssh_port"]
        ):
            raise enrolment.HostTaken(host.fqdn)
        try:
            self.read_key(host)
        except Refused as refusal:
            host.refresh_from_db()
            if not host.ssh_public_key:
                raise
            # It need not answer yet: the command to paste there is what is wanted.
            self.stderr.write(refusal.sentence)
        return host

    def read_key(self, host: Host) -> None:
        """Make the console's key where it is missing, and read the server's."""
        enrolment.try_again(host=host, by=self.by, at=self.now)
        self.job_of(host.jobs.filter(kind=HostJob.PREPARE).latest("pk"))
        host.refresh_from_db()

    def confirmed(self, host: Host, told: str) -> None:
        """The server's key pinned, after somebody compared it."""
        if host.host_key:
            if told and ssh.fingerprint(host.host_key) != told:
                raise enrolment.KeyChanged(
                    _("%(host)s was added with another key: %(fingerprint)s.")
                    % {"host": host.fqdn, "fingerprint": ssh.fingerprint(host.host_key)}
                )
            return
        self.read_key(host)
        offered = ssh.fingerprint(host.offered_host_key)
        if not told:
            self.ask_about(offered)
        enrolment.confirm_key(host=host, offered=told or offered, by=self.by, at=self.now)
        host.refresh_from_db()

    def ask_about(self, offered: str) -> None:
        lines = [
            _("The server shows this SSH key:"),
            f"  {offered}",
            _("Compare it with what this command prints when you type it on the server:"),
            f"  {ON_THE_SERVER}",
        ]
        without = _(
            "The server shows the key %(fingerprint)s. Compare it with what %(command)s prints on "
            "the server, then say --host-key %(fingerprint)s."
        )
        detail = {"fingerprint": offered, "command": ON_THE_SERVER}
        if not self.agreed(_("Are they the same?"), lines, otherwise=without % detail):
            raise Refused("host_key_declined", _("Then nothing was asked of it."))

    def practise(self) -> dict[str, Any]:
        """Made, started, let in and checked by the root helper of this machine."""
        if obstacle := practising.obstacle():
            raise Refused("practice", sentences.problem("practice", obstacle))
        job = practising.begin(by=self.by, at=self.now)
        said: list[str] = []

        def look() -> None:
            row = HostJob.objects.get(pk=job.pk)
            if row.step and row.is_open and row.step not in said:
                said.append(row.step)
                self.tell(marked(None, f"{sentences.job_step(row.step)} ({row.percent} %)"))

        self.wait = max(self.wait, PRACTICE_PATIENCE)
        self.job_of(job, look)
        return described(host_named(PRACTICE))

    # What came out

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        if result["state"] == Host.READY:
            yield _("%(host)s is connected: %(mta)s %(version)s, Dovecot %(dovecot)s.") % {
                "host": result["host"],
                "mta": NAMES[result["mta"]],
                "version": result[result["mta"]] or "-",
                "dovecot": result["dovecot"] or "-",
            }
            return
        yield _("%(host)s was added. The console's key:") % {"host": result["host"]}
        yield f"  {result['public_key']}"
        if result["offered_host_key"]:
            yield _("The server shows this SSH key:")
            yield f"  {result['offered_host_key']}"
        yield _(
            "Paste this one command into a shell on the server, as root or as somebody who may use "
            "sudo. It makes a user for the console that can do nothing but run the console's "
            "helper. It holds no secret."
        )
        yield ""
        yield result["command"]
        command = f"./run manage add_host {result['host']} --check"
        yield _("Then type here: %(command)s") % {"command": command}


def described(host: Host) -> dict[str, Any]:
    """A host for `--json`; `command` is what to paste there, as long as it is being added."""
    reported = host.reported()
    adding = host.state == Host.ENROLLING and bool(host.ssh_public_key)
    installer = build.installer(host.ssh_public_key) if adding else ""
    return {
        "host": host.fqdn,
        "address": host.address,
        "port": host.ssh_port,
        "state": host.state,
        "public_key": host.ssh_public_key,
        "host_key": ssh.fingerprint(host.host_key) if host.host_key else "",
        "offered_host_key": ssh.fingerprint(host.offered_host_key) if host.offered_host_key else "",
        "command": enrolment.to_paste(installer) if adding else "",
        "mta": host.mta,
        "sendmail": reported.sendmail_version,
        "postfix": reported.postfix_version,
        "dovecot": reported.dovecot_version,
    }
