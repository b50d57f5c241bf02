"""One of the many hosts of `benchmarks.fleet`: the real helper on a folder of its own.

    fleet-17                      a request on standard input: what the 17th host's key opens
    fleet-17 deadman 3            the helper started again by itself
    fleet_host.py prepare 100     the folders, and these programs
    fleet_host.py daemons         the daemons of all of them, which only pretend

Runs inside the benchmark's Debian root, by its Python (3.9 and later, standard library only).  The
helper is the installed one, asked to work below /srv/fleet/17: staging, m4, maps, openssl, journal,
dead-man, pointer and links are what they are everywhere.  Pretended are the daemons
(`benchmarks.fleet_daemons`) and what their own programs say during validation.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

PROGRAMS = "/usr/local/lib/mailadmin"
HELPER = PROGRAMS + "/hostctl"
ROOTS = Path("/srv/fleet")
DOMAIN = "fleet.test"
PRETENDED_SENDMAIL = ROOTS / "sendmail"
_DIALOGUE = """#!/bin/sh
echo '220 pretended ESMTP'
while read -r line; do
    case "$line" in
    EHLO*) printf '250-pretended\\n250 STARTTLS\\n' ;;
    'RCPT TO:<no-such'*) echo '550 5.1.1 no such user' ;;
    QUIT*) echo '221 bye'; exit ;;
    *) echo '250 ok' ;;
    esac
done
"""
SMTP, SUBMISSION, SUBMISSIONS, IMAP, IMAPS, POP3, POP3S = 25, 587, 465, 143, 993, 110, 995
AT_ONCE_IN_TLS = {SUBMISSIONS, IMAPS, POP3S}
FAILURE_SECONDS = 2.0  # Dovecot's auth_failure_delay


def root_of(number):
    return ROOTS / str(number)


def program_of(number):
    return Path(f"{PROGRAMS}/fleet-{number}")


_PROGRAM = """#!/usr/bin/python3 -I
import sys

sys.path.insert(0, {folder!r})
import fleet_host

sys.exit(fleet_host.helper({number}, sys.argv[1:]))
"""


def prepare(count):
    """Hosts as they are before the console comes."""
    for number in range(1, count + 1):
        root = root_of(number)
        for folder in ("etc/mail", "etc/dovecot", "etc/sasl2", "daemons"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "etc/mail/sendmail.cf").write_text("the system's own\n")
        (root / "etc/dovecot/dovecot.conf").write_text("the system's own\n")
        (root / "etc/os-release").write_text(Path("/etc/os-release").read_text())
        program_of(number).write_text(_PROGRAM.format(folder=PROGRAMS, number=number))
        program_of(number).chmod(0o755)
    PRETENDED_SENDMAIL.write_text(_DIALOGUE)
    PRETENDED_SENDMAIL.chmod(0o755)


# The helper


def helper(number, argv):
    sys.path.insert(0, HELPER)
    entry = importlib.import_module("hostctl.__main__")
    host = importlib.import_module("hostctl.host")
    services = importlib.import_module("hostctl.services")
    layout = importlib.import_module("hostctl.paths").Layout(root_of(number))
    services.Sendmail.binary = str(PRETENDED_SENDMAIL)

    class Pretended(services.Service):
        def __init__(self, name, ports):
            super().__init__(layout)
            self.name, self.ports = name, frozenset(ports)
            self.file = layout.root / "daemons" / name

        def pid(self):
            return 1 if self.file.exists() else None

        def start(self, ports=frozenset()):
            # What it works with from now on.
            beside = self.file.with_suffix(".new")
            beside.write_text(os.readlink(layout.current))
            beside.replace(self.file)
            self.wait(ports)

        reload = restart = start

        def stop(self):
            self.file.unlink(missing_ok=True)

    def run(argv, **options):
        return pretended_command(number, argv, host.Ran) or host.run(argv, **options)

    def made(_layout, _services, emit):
        daemons = (
            Pretended("dovecot", (993, 995)),
            Pretended("bridge", ()),
            Pretended("sendmail", (25, 465, 587)),
        )
        again = [str(program_of(number))]
        return host.Host(layout, {each.name: each for each in daemons}, run, emit, again)

    entry.Host = made
    return entry.main(argv)


def pretended_command(number, argv, ran):
    """What the daemons' own programs would say; None for everything else, which is run."""
    program, name = Path(argv[0]).name, f"mail{number}.{DOMAIN}"
    if program == "getent":
        return ran(0, f"192.0.2.1 {name} mail{number}\n".encode())
    if program == "dovecot":
        return ran(0, b"2.3.19.1\n")
    if program == "doveconf":
        return ran(0, b"# pretended\n")
    if program == "doveadm":
        return ran(68)
    if program == "sendmail" and "-bv" in argv:
        return ran(0, b"pretended... deliverable: mailer dovecot\n")
    if program == "sendmail" and "-bt" in argv:
        return ran(0, b"Local_check_mail   returns: ok\nLocal_check_mail   returns: $# error\n")
    return None


def main(argv):
    if argv[0] == "prepare":
        prepare(int(argv[1]))
    else:
        sys.path.insert(0, PROGRAMS)
        importlib.import_module("fleet_daemons").serve()


if __name__ == "__main__":
    main(sys.argv[1:])
