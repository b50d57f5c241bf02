"""Kill -9, silence, a daemon that does not come back, a restart: the host ends on one side.

Nothing here asks the helper to repair anything unless it says so: the dead-man has to do it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from tests.faults.hosts import KEY, all_on_the_old, managed, settled
from tests.live.conftest import FreshMachine
from tests.live.hostctl_host import HostError, MailHost, until


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(
    request: pytest.FixtureRequest,
    can_run_hosts: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MailHost]:
    with managed(request.param, tmp_path_factory.mktemp("authority")) as made:
        yield made


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


@pytest.mark.parametrize("release", ["bookworm"])  # on trixie: test_host_power
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
