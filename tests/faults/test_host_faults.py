"""Kill -9, silence, a daemon that does not come back, a restart: the host ends on one side.

Nothing here asks the helper to repair anything unless it says so: the dead-man has to do it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from tests.live.conftest import FreshMachine, started
from tests.live.hostctl_host import HostError, MailHost, until

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7m0yP0oHn2q3Yc1s3hZt2x6k8u0sQwR5T4V7bN9m1K"

# Runs the installed helper, which kills itself at its n-th change.  Given on standard input of
# Python inside the host, the request follows in a file.
KILLER = f"""
import io, os, signal, subprocess, sys
step, request = int(sys.argv[1]), open(sys.argv[2], "rb").read()
sys.path.insert(0, "{paths.HELPER}")
from hostctl import __main__ as helper
sys.stdin = io.TextIOWrapper(io.BytesIO(request))
taken = 0
def counted(real):
    def call(*args, **options):
        global taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return call
for name in ("replace", "rename", "symlink", "unlink", "fsync", "write"):
    setattr(os, name, counted(getattr(os, name)))
real = os.kill
def kill(pid, number):  # Sendmail's HUP
    if pid == os.getpid():
        real(pid, number)
    counted(real)(pid, number)
os.kill = kill
subprocess.Popen.__init__ = counted(subprocess.Popen.__init__)
status = helper.main([])
print(taken, file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(
    request: pytest.FixtureRequest,
    can_run_hosts: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MailHost]:
    with started(request.param) as machine:
        made = MailHost(machine, tmp_path_factory.mktemp("authority"), KEY)
        made.fill("anna")
        made.deploy()
        yield made


def settled(host: MailHost) -> bool:
    return host.outcome() in ("confirmed", "rolled_back", "rollback_failed")


def all_on_the_old(host: MailHost) -> None:
    assert host.current() == host.generation
    until(lambda: set(host.fingerprints().values()) == {host.served}, 10)
    host.submission("anna").quit()
    host.imap("anna").logout()


def test_silence_rolls_back_by_itself(host: MailHost) -> None:
    number, tls = host.prepare()
    host.switch(number, deadline=2)
    until(lambda: set(host.fingerprints().values()) == {tls.fingerprint_sha256}, 10)
    took = until(lambda: settled(host))
    assert host.outcome() == "rolled_back" and took < 15
    all_on_the_old(host)
    with pytest.raises(HostError) as refused:
        host.ask("confirm", generation=number)
    assert refused.value.code == "too_late"
    last = host.ask("facts")["last"]
    assert (last["outcome"], last["why"]) == (
        "rolled_back",
        "The new generation was not confirmed in time.",
    )


def test_a_confirmation_stays_when_the_deadline_passes(host: MailHost) -> None:
    number, tls = host.prepare()
    host.switch(number, deadline=3)
    host.ask("confirm", generation=number)
    host.generation, host.served = number, tls.fingerprint_sha256
    time.sleep(3.5)
    all_on_the_old(host)
    assert host.ask("facts")["pending"] is None


def killed_at(host: MailHost, step: int, request: bytes) -> bool:
    """False: it came to its end first."""
    folder = host.machine.path("/root")
    (folder / "killer.py").write_text(KILLER)
    (folder / "request").write_bytes(request)
    done = host.machine.run(
        ["/usr/bin/python3", "-I", "/root/killer.py", str(step), "/root/request"],
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 137, -9), done.stdout + done.stderr
    return done.returncode != 0


def test_killed_while_switching(host: MailHost) -> None:
    """Every third step on real daemons (all of them: tests/faults/test_helper_killed.py)."""
    seen = set()
    for step in range(1, 200, 3):
        number, _ = host.prepare()
        fields = {"generation": number, "base": host.generation, "deadline": 60}
        if not killed_at(host, step, host.request("switch", **fields)):
            break
        if host.journal()[0]["generation"] == number:
            # The dead-man, or before him nobody: then the next start of the helper.
            if not list(host.machine.path(paths.RUN).glob("deadman-*.pid")):
                host.ask("facts")
            if host.outcome() == "switched":  # only the answer was lost
                host.ask("rollback", generation=number)
            until(lambda: settled(host), 30)
            seen.add(host.outcome())
        all_on_the_old(host)
    else:
        pytest.fail("it never ends")
    assert seen == {"rolled_back"}
    host.ask("rollback", generation=number)
    all_on_the_old(host)


def test_killed_while_rolling_back(host: MailHost) -> None:
    for step in range(1, 60, 3):
        number, _ = host.prepare()
        host.switch(number, deadline=60)
        if not killed_at(host, step, host.request("rollback", generation=number)):
            break
        host.ask("recover")
        assert host.current() in (host.generation, number)
        if host.outcome() == "switched":  # it had not begun
            host.ask("rollback", generation=number)
        assert host.outcome() == "rolled_back"
        all_on_the_old(host)
    else:
        pytest.fail("it never ends")
    all_on_the_old(host)


def test_the_client_goes_away_in_the_middle(host: MailHost) -> None:
    """The switch goes to its end, and the dead-man takes it back."""
    number, _ = host.prepare()
    fields = {"generation": number, "base": host.generation, "deadline": 3}
    process = subprocess.Popen(
        host.machine.command([paths.HELPER]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(host.request("switch", **fields))
    process.stdin.close()
    process.stdout.readline()
    process.stdout.close()
    process.wait(60)
    assert [record["kind"] for record in host.journal()][1:2] == ["switched"]
    until(lambda: settled(host))
    all_on_the_old(host)


def test_a_dovecot_that_does_not_come_back(host: MailHost) -> None:
    """An address that is not this host's: valid to the parser, fatal to the daemon."""
    number, _ = host.prepare(snippet_dovecot="listen = 203.0.113.9")
    host.machine.run(["doveadm", "stop"])
    with pytest.raises(HostError) as failed:
        host.switch(number)
    assert failed.value.code == "rolled_back"
    assert failed.value.event["outcome"] == "rolled_back"
    all_on_the_old(host)


def test_a_sendmail_that_died_is_started_not_signalled(host: MailHost) -> None:
    pid = host.machine.path("/run/sendmail/mta/sendmail.pid")
    host.machine.run(["kill", "-9", pid.read_text().split()[0]])
    until(lambda: not host.ask("facts")["services"]["sendmail"]["running"])
    number, tls = host.prepare()
    assert host.switch(number)["services"]["sendmail"] == "started"
    host.ask("confirm", generation=number)
    host.generation, host.served = number, tls.fingerprint_sha256
    all_on_the_old(host)


def test_a_bridge_that_died_is_started_by_the_next_switch(host: MailHost) -> None:
    host.machine.run(["kill", "-9", host.machine.path(paths.BRIDGE_PID).read_text().strip()])
    host.deploy()
    all_on_the_old(host)


def test_dovecot_restarting_is_not_a_wrong_password(host: MailHost) -> None:
    """The bridge waits for it; and wrong passwords of one do not slow down another."""
    host.machine.run(["doveadm", "stop"])
    starting = subprocess.Popen(host.machine.command(["sh", "-c", "sleep 1; /usr/sbin/dovecot"]))
    host.submission("anna").quit()
    starting.wait(20)


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_restart_of_the_host_while_it_waits(
    fresh_machine: FreshMachine, tmp_path_factory: pytest.TempPathFactory, release: str
) -> None:
    machine = fresh_machine(release)
    host = MailHost(machine, tmp_path_factory.mktemp("authority"), KEY)
    host.fill("anna")
    host.deploy()
    number, _ = host.prepare()
    host.switch(number, deadline=8)
    machine.stop()
    machine.start(leash=True)
    until(lambda: settled(host), 40)
    assert host.outcome() == "rolled_back"
    until(lambda: host.ask("facts")["services"]["sendmail"]["running"], 30)
    all_on_the_old(host)
