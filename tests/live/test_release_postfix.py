"""Postfix's queue, and what a configuration from before takes, on Postfix 3.7 and 3.10.

The helper's own modules run on the host, as root, beside a Postfix that an administrator set up.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy.hostctl import build
from tests.live.conftest import FreshMachine

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


@pytest.mark.parametrize("release", ["bookworm-postfix", "trixie-postfix"])
def test_what_would_bounce_is_held_and_let_go(fresh_machine: FreshMachine, release: str) -> None:
    """What somebody else put on hold stays there."""
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
