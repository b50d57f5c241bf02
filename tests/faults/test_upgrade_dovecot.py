"""Dovecot upgraded from 2.3 to 2.4 under a live generation, as Debian 12 becomes Debian 13.

The upgrade is what it leaves: a Debian 13 with the state of the Debian 12 that was there, on which
2.4 is to start with what 2.3 was given.
"""

import imaplib
import ssl
import time
from pathlib import Path

import pytest

from deploy import transport
from deploy.practice import Machine
from tests.faults.consoles import Console, console_of
from tests.live.conftest import started

STATE = "/var/lib/mailadmin"
KEPT = (STATE, "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub")
WELL_KNOWN = ("/etc/mail/sendmail.cf", "/etc/dovecot/dovecot.conf", "/etc/sasl2/Sendmail.conf")


def upgraded(old: Machine, folder: Path) -> Machine:
    """The same host on Debian 13, at the same address; nothing of the console's was started yet."""
    kept = old.run(["tar", "-c", "--ignore-failed-read", *KEPT, *WELL_KNOWN], text=False).stdout
    old_key = old.host_key()
    key = old.path(f"{STATE}/login/.ssh/authorized_keys").read_text().split('" ', 1)[1]
    old.stop()
    new = Machine.create(folder / "new", "trixie", old.fqdn, old.cable.index)
    new.start(leash=True)
    assert new.address == old.address
    new.run(["mkdir", "-p", "/etc/sasl2"])
    new.run(["tar", "-x", "-C", "/"], input=kept, text=False)
    new.authorize(key.strip())
    new.run(["chown", "-R", "root:dovecot", f"{STATE}/accounts/db"])  # the number is another one
    new.run(["sh", "-c", "kill $(cat /run/sshd.pid)"])
    until = time.monotonic() + 20
    while read_host_key(new.address, 22) != old_key and time.monotonic() < until:
        time.sleep(0.1)
    return new


def read_host_key(address: str, port: int) -> str:
    """Nothing while sshd starts again with the key that it was given."""
    try:
        return " ".join(transport.read_host_key(address, port).split()[:2])
    except transport.Unreachable:
        return ""


def can_connect(machine: Machine) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with imaplib.IMAP4_SSL(machine.address, 993, ssl_context=context, timeout=10) as client:
            return b"ready" in client.welcome
    except OSError:
        return False


@pytest.fixture
def console(can_run_hosts: None, tmp_path: Path):
    with started("bookworm") as machine, console_of(machine, tmp_path / "data") as made:
        yield made


def start_dovecot(machine: Machine) -> int:
    quiet = ["sh", "-c", "exec /usr/sbin/dovecot </dev/null >/root/dovecot.said 2>&1"]
    return machine.run(quiet, check=False).returncode


def link_of(machine: Machine, number: int) -> str:
    path = f"{STATE}/generations/{number}/dovecot/dovecot.conf"
    return str(machine.run(["readlink", path]).stdout.strip())


def test_the_rendering_for_the_new_version_is_served(console: Console, tmp_path: Path) -> None:
    console.ok("carry", console.ask())
    assert link_of(console.machine, 2) == "dovecot23.conf"
    machine = upgraded(console.machine, tmp_path)
    try:
        assert start_dovecot(machine) != 0, "2.4 does not start with what 2.3 was given"

        # What the drop-in of its unit does before each start.
        hostctl = ["/usr/bin/python3", "-I", "/usr/local/lib/mailadmin/hostctl"]
        machine.run([*hostctl, "follow"])
        assert link_of(machine, 2) == "dovecot24.conf"
        assert start_dovecot(machine) == 0
        assert can_connect(machine)

        # And where nobody did, whoever asks next: here the console, for the facts.
        machine.run(["doveadm", "stop"])
        machine.run(["ln", "-sfn", "dovecot23.conf", f"{STATE}/generations/2/dovecot/dovecot.conf"])
        assert console.ok("look") == []
        assert can_connect(machine)
        machine.run([*hostctl, "recover"])

        # The next rollout finds 2.4, and so does the way back to what 2.3 was given.
        pk = console.ask()
        console.ok("carry", pk)
        assert console.on_one_side(pk)["state"] == "confirmed"
        assert link_of(machine, 3) == "dovecot24.conf"
        assert console.ok("back_to", 1) == "confirmed"
    finally:
        machine.destroy()
