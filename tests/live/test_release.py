"""A host given back to what was there before the console, and taken over again, on real daemons.

Before the console: system users (`test` with its password), an /etc/mail edited by hand that knows
`known.test`, Dovecot with PAM.  The console brings `example.test`.
"""

from __future__ import annotations

import os
import smtplib
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.hostctl import holding, paths
from deploy.practice import Machine
from tests.live.conftest import FreshMachine
from tests.live.hostctl_host import DOMAIN, HostError, MailHost, box, until

KNOWN = "known.test"
CF, CONF = "/etc/mail/sendmail.cf", "/etc/dovecot/dovecot.conf"
OLD_PASSWORD = "test"


def as_an_administrator_left_it(machine: Machine) -> None:
    for user in ("test", "carol"):
        machine.run(["useradd", "-m", "-s", "/bin/bash", user])
    machine.run(["chpasswd"], input=f"test:{OLD_PASSWORD}\ncarol:{OLD_PASSWORD}\n")
    machine.run(["sh", "-c", f"echo {KNOWN} >>/etc/mail/local-host-names"])
    machine.run(["sh", "-c", f"echo '# by hand, 2004' >>{CF}; chmod 0640 {CF}; chown smmta {CF}"])
    machine.run(
        ["sh", "-c", "(sendmail -Am -L sm-mta -bd -q10m; dovecot) >/dev/null 2>&1 </dev/null"]
    )


def looks(machine: Machine) -> dict[str, Any]:
    """The files at the well-known paths: bytes, mode and owner."""
    found = {}
    for name in paths.WELL_KNOWN:
        path = machine.path(name)
        if os.path.lexists(path):
            at = os.lstat(path)
            content = os.readlink(path) if path.is_symlink() else path.read_bytes()
            found[name] = (content, stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid)
    return found


def queued(machine: Machine) -> dict[str, str]:
    """Recipient → "" or why it is held, read from the queue files by the shell."""
    script = (
        "cd /var/spool/mqueue; for f in [qh]f*; do [ ! -e $f ] || grep -a '^[qR]' $f; echo; done"
    )
    found, why = {}, ""
    for line in machine.run(["sh", "-c", script]).stdout.splitlines():
        if line.startswith("q"):
            why = line[1:]
        elif line.startswith("R"):
            found[line.partition(":")[2].strip("<>")] = why
        else:
            why = ""
    return found


def log(machine: Machine) -> str:
    text: str = machine.run(["cat", "/var/log/mail.log"]).stdout
    return text


@pytest.fixture(params=["bookworm", "trixie"])
def host(
    request: pytest.FixtureRequest, fresh_machine: FreshMachine, tmp_path: Path
) -> tuple[MailHost, dict[str, Any]]:
    """Managed, with mail in the queue, and how the files looked before."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machine = fresh_machine(request.param)
    as_an_administrator_left_it(machine)
    before = looks(machine)
    made = MailHost(machine, tmp_path, key.with_suffix(".pub").read_text())
    made.fill("anna", "bob")
    hashed = made.hash()
    suspended = {"can_login": False, "can_send": False}
    others = [
        {"mailbox": {**box(name, hashed)["mailbox"], "address": f"{name}@{KNOWN}"}}
        for name in ("carol", "dave")
    ]
    made.accounts({"domain": {"name": KNOWN}}, *others, box("test", hashed, **suspended))
    made.deploy()
    return made, before


def queue_some(host: MailHost) -> None:
    """Mail that waits because Dovecot is down, and one for somewhere else."""
    host.machine.run(["doveadm", "stop"])
    client = host.smtp(25)
    for to in (f"anna@{DOMAIN}", f"carol@{KNOWN}", f"dave@{KNOWN}"):
        client.sendmail("s@elsewhere.example", [to], f"Subject: to {to}\r\n\r\nhello\r\n")
    client.quit()
    host.machine.run(["sendmail", "-Am", "far@elsewhere.example"], input="Subject: out\n\nx\n")
    until(lambda: len(queued(host.machine)) == 4)


def inbox(host: MailHost, user: str, domain: str = DOMAIN) -> int:
    folder = host.machine.path(f"{paths.MAIL}/{domain}/{user}")
    return sum(
        1 for each in folder.rglob("*") if each.is_file() and each.parent.name in ("new", "cur")
    )


def test_given_back_and_taken_over_again(host: tuple[MailHost, dict[str, Any]]) -> None:
    mail, before = host
    machine = mail.machine
    queue_some(mail)

    seen = mail.ask("release", look=True)
    assert seen["unknown"] == [DOMAIN]
    assert (seen["domains"], seen["queue"]["count"], seen["queue"]["held"]) == (2, 4, 0)
    assert dict(seen["to_hold"]["by_domain"]) == {DOMAIN: 1, KNOWN: 1}
    assert {row["name"]: row["by"] for row in seen["logins"]} == {
        "carol": ["dovecot"], "test": ["dovecot"],
    }  # fmt: skip
    assert seen["services"]["bridge"]["before"] is False
    assert seen["services"]["sendmail"]["before"] is True
    assert set(queued(machine).values()) == {""}, "looking changes nothing"
    assert mail.ask("queue")["count"] == 4

    mail.ask("release", base=mail.generation, deadline=60)
    mail.ask("confirm", generation=0)
    assert looks(machine) == before
    facts = mail.ask("facts")
    assert facts["generation"] == 0 and facts["last"]["outcome"] == "confirmed"
    assert {n: s["running"] for n, s in facts["services"].items()} == {
        "dovecot": True, "bridge": False, "sendmail": True,
    }  # fmt: skip

    machine.run(["sendmail", "-Am", "-qf"])  # whatever it would bounce, it bounces now
    held = {to for to, why in queued(machine).items() if why == holding.REASON}
    assert held == {f"anna@{DOMAIN}", f"dave@{KNOWN}"}
    spool = machine.path("/var/mail/carol")
    until(lambda: "Subject: to carol" in spool.read_text())
    assert spool.read_text().count("Subject: to carol") == 1
    said = log(machine)
    for sign in ("points back", "dsn=5", "returntosender", "DSN:"):
        assert sign not in said, sign

    mail.generation = 0
    mail.deploy()
    until(lambda: inbox(mail, "anna") > 0 and inbox(mail, "dave", KNOWN) > 0)
    machine.run(["sendmail", "-Am", "-qf"])
    assert (inbox(mail, "anna"), inbox(mail, "dave", KNOWN)) == (1, 1)
    assert inbox(mail, "carol", KNOWN) == 0
    assert holding.REASON not in queued(machine).values()
    assert "DSN:" not in log(machine)


def test_a_session_that_is_open_meanwhile_bounces_nothing(
    host: tuple[MailHost, dict[str, Any]],
) -> None:
    """One is in the middle of a message, one idle: both began with the console's configuration."""
    mail, _before = host
    slow, idle = mail.smtp(25), mail.smtp(25)
    slow.mail("s@elsewhere.example")
    slow.rcpt(f"anna@{DOMAIN}")
    assert slow.docmd("DATA")[0] == 354
    slow.send("Subject: slow\r\n\r\nfirst\r\n")
    mail.ask("release", base=mail.generation, deadline=60)
    took = {step["name"]: step["ms"] for step in mail.steps}
    assert took["switch.hold"] < 5000, "nobody is waited for in vain"
    mail.ask("confirm", generation=0)
    for client in (slow, idle):
        with pytest.raises((smtplib.SMTPException, OSError)):
            client.send("rest\r\n.\r\n")
            assert client.getreply()[0] == 421
            raise smtplib.SMTPServerDisconnected("told so")
    mail.machine.run(["sendmail", "-Am", "-qf"])
    assert queued(mail.machine) == {}
    assert "DSN:" not in log(mail.machine)


def test_silence_takes_it_over_again(host: tuple[MailHost, dict[str, Any]]) -> None:
    mail, _before = host
    queue_some(mail)
    mail.ask("release", base=mail.generation, deadline=2)
    until(lambda: mail.outcome() == "rolled_back", 60)
    until(lambda: inbox(mail, "anna") == 1 and inbox(mail, "dave", KNOWN) == 1)
    assert mail.fingerprints() == dict.fromkeys((25, 465, 587, 993, 995), mail.served)
    with pytest.raises(HostError) as late:
        mail.ask("confirm", generation=0)
    assert late.value.code == "too_late"


def test_a_first_deployment_that_goes_back_bounces_nothing(
    fresh_machine: FreshMachine, tmp_path: Path
) -> None:
    """What came in meanwhile for a domain of ours waits for the next deployment."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machine = fresh_machine("bookworm")
    as_an_administrator_left_it(machine)
    mail = MailHost(machine, tmp_path, key.with_suffix(".pub").read_text())
    mail.fill("anna", "bob")
    number, _tls = mail.prepare()
    mail.switch(number)
    mail.machine.run(["doveadm", "stop"])
    mail.smtp(25).sendmail("s@elsewhere.example", [f"anna@{DOMAIN}"], "Subject: x\r\n\r\nx\r\n")
    until(lambda: f"anna@{DOMAIN}" in queued(machine))
    mail.ask("rollback", generation=number)
    machine.run(["sendmail", "-Am", "-qf"])
    assert queued(machine) == {f"anna@{DOMAIN}": holding.REASON}
    mail.deploy()
    until(lambda: inbox(mail, "anna") == 1)
    until(lambda: queued(machine) == {})
