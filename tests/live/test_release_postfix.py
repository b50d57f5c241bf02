"""Leaving a Postfix for what was there before, on Postfix 3.7 and 3.10: the queue, what the
configuration from before takes, and a whole host given back and taken over again.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.hostctl import build
from deploy.practice import Machine
from tests.live.conftest import FreshMachine
from tests.live.hostctl_host import DOMAIN, MailHost, box, until
from tests.live.test_release import KNOWN, OLD_PASSWORD, inbox, log, looks

SET_UP = """
useradd -m carol
postconf -e "mydestination=known.test, localhost" "relay_domains=hash:/etc/postfix/relay" \
    "virtual_alias_domains=virt.test" "virtual_alias_maps=hash:/etc/postfix/virtual" \
    "defer_transports=smtp local relay" "relayhost=" "inet_protocols=ipv4"
echo "relay.test x" >/etc/postfix/relay
echo "joe@virt.test carol" >/etc/postfix/virtual
postmap /etc/postfix/relay
postmap /etc/postfix/virtual
postfix start >/dev/null 2>&1 </dev/null
for to in carol@known.test dave@known.test anna@ours.test far@else.test x@relay.test; do
    echo "Subject: x" | sendmail -f s@else.example $to
done
until [ "$(postqueue -j | wc -l)" = 5 ]; do sleep 0.2; done
"""
ASK = """
import json, shutil, sys
sys.path.insert(0, "/root/hostctl.pyz")
from hostctl import accounts, before, generations, holding, host, paths, queue, services

class Postfix(services.Service):
    name, word = "postfix", "master"
    def pid_file(self):
        return self.layout.at("/var/spool/postfix/pid/master.pid")

layout = paths.Layout()
here = host.Host(layout, {"postfix": Postfix(layout)})
here.prepare()
with accounts.opened(here) as database:
    for name in ("ours.test", "known.test", "relay.test", "virt.test"):
        database.execute("INSERT INTO domain (name) VALUES (?)", (name,))
copy = "etc.postfix.main.cf"
layout.generation(0).mkdir()
shutil.copy("/etc/postfix/main.cf", layout.generation(0) / copy)
kept = {"/etc/postfix/main.cf": {"kind": "file", "copy": copy}}
generations.write_manifest(here, layout.generation(0), {"generation": 0, "paths": kept})

then = before.Before(here)
def held():
    return sorted(m.recipients[0] for m in queue.messages(here) if m.held is not None)
asked = ("carol@known.test", "carol+x@known.test", "dave@known.test", "root@known.test",
         "x@relay.test", "joe@virt.test", "no@virt.test", "x@far.test", "anna@ours.test")
said = {"unknown": sorted(then.unknown), "refused": [a for a in asked if not then.takes(a)]}
said["queue"] = queue.collect(here)
here.run(["/usr/sbin/postsuper", "-h", next(
    m.id for m in queue.messages(here) if m.recipients == ("far@else.test",))])
said["moved"] = holding.hold(here, then)
said["counted"] = queue.counted(here)
said["held"] = held()
here.run(["/usr/sbin/postfix", "stop"])
said["held while it is down"] = held()
said["let go"] = holding.let_go(here)
said["left"] = held()
print(json.dumps(said))
"""


both = pytest.mark.parametrize("release", ["bookworm-postfix", "trixie-postfix"])


@both
def test_what_would_bounce_is_held_and_let_go(fresh_machine: FreshMachine, release: str) -> None:
    """The helper's own modules, as root, beside a Postfix that an administrator set up. What
    somebody else put on hold stays there."""
    machine = fresh_machine(release, "mail1.example.test")
    machine.path("/root/hostctl.pyz").write_bytes(build.build())
    machine.run(["sh", "-ec", SET_UP])
    said: dict[str, Any] = json.loads(machine.run(["python3", "-c", ASK]).stdout)
    assert said["unknown"] == ["ours.test"]
    assert said["refused"] == ["dave@known.test", "no@virt.test", "anna@ours.test"]
    assert (said["queue"]["count"], said["queue"]["domains"]) == (5, 4)
    everything = ["anna@ours.test", "dave@known.test", "far@else.test"]
    assert (said["moved"], said["held"]) == (2, everything)
    assert said["counted"] == {"count": 5, "held": 3}
    assert said["held while it is down"] == everything
    assert (said["let go"], said["left"]) == (2, ["far@else.test"])


def as_an_administrator_left_it(machine: Machine) -> None:
    for user in ("test", "carol"):
        machine.run(["useradd", "-m", "-s", "/bin/bash", user])
    machine.run(["chpasswd"], input=f"test:{OLD_PASSWORD}\ncarol:{OLD_PASSWORD}\n")
    setting = f"mydestination={KNOWN}, localhost"
    machine.run(["postconf", "-e", setting, "inet_protocols=ipv4", f"myhostname={machine.fqdn}"])
    machine.run(["sh", "-c", "echo '# by hand' >>/etc/postfix/main.cf"])
    machine.run(["chmod", "0640", "/etc/postfix/main.cf"])
    machine.run(["sh", "-c", "(postfix start; dovecot) >/dev/null 2>&1 </dev/null"])


def queued(machine: Machine) -> dict[str, str]:
    """Recipient → the queue it is in."""
    lines = machine.run(["postqueue", "-j"]).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return {each["address"]: row["queue_name"] for row in rows for each in row["recipients"]}


@both
def test_given_back_and_taken_over_again(
    fresh_machine: FreshMachine, tmp_path: Path, release: str
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machine = fresh_machine(release)
    as_an_administrator_left_it(machine)
    before = looks(machine)
    mail = MailHost(machine, tmp_path, key.with_suffix(".pub").read_text())
    mail.fill("anna", "bob")
    hashed = mail.hash()
    others = [
        {"mailbox": {**box(name, hashed)["mailbox"], "address": f"{name}@{KNOWN}"}}
        for name in ("carol", "dave")
    ]
    mail.accounts({"domain": {"name": KNOWN}}, *others)
    mail.deploy(mta="postfix")
    machine.run(["doveadm", "stop"])
    client = mail.smtp(25)
    for to in (f"anna@{DOMAIN}", f"carol@{KNOWN}", f"dave@{KNOWN}"):
        client.sendmail("s@elsewhere.example", [to], f"Subject: to {to}\r\n\r\nhello\r\n")
    until(lambda: len(queued(machine)) == 3)

    seen = mail.ask("release", look=True)
    assert (seen["mta"], seen["unknown"], seen["to_hold"]["count"]) == ("postfix", [DOMAIN], 2)
    assert [row["name"] for row in seen["logins"]] == ["carol", "test"]
    mail.ask("release", base=mail.generation, deadline=60)
    mail.ask("confirm", generation=0)
    assert looks(machine) == before
    facts = mail.ask("facts")
    assert {n: s["running"] for n, s in facts["services"].items()} == {
        "dovecot": True, "bridge": False, "postfix": True,
    }  # fmt: skip
    machine.run(["postqueue", "-f"])
    spool = machine.path("/var/mail/carol")
    until(lambda: spool.exists() and "Subject: to carol" in spool.read_text())
    assert queued(machine) == {f"anna@{DOMAIN}": "hold", f"dave@{KNOWN}": "hold"}
    assert "status=bounced" not in log(machine)

    mail.generation = 0
    mail.deploy(mta="postfix")
    until(lambda: inbox(mail, "anna") > 0 and inbox(mail, "dave", KNOWN) > 0)
    assert (inbox(mail, "anna"), inbox(mail, "dave", KNOWN)) == (1, 1)
    assert inbox(mail, "carol", KNOWN) == 0
    until(lambda: queued(machine) == {})
    assert "status=bounced" not in log(machine)
