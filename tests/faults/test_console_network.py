"""What is between console and host goes away: a session, the cable, the console itself, a host."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy import sentences
from deploy.hostctl import paths
from deploy.practice import Machine
from tests.faults.consoles import KILLED, Console, console_of
from tests.faults.test_console_killed import one_of_each, undisturbed
from tests.live.conftest import started

DAY = 24 * 3600


@pytest.fixture(scope="module")
def console(can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with (
        started("trixie") as machine,
        console_of(machine, tmp_path_factory.mktemp("console") / "data") as made,
    ):
        yield made


def hangs_up(machine: Machine) -> list[str]:
    """Kills the console's SSH session, whatever it is doing."""
    return machine.command(["pkill", "-9", "-u", paths.ADMIN_USER, "-f", "^sshd"])


def cuts(machine: Machine) -> list[str]:
    """Nothing arrives any more, and nobody says so: frames go to an address that nobody has."""
    cable = ["dev", machine.cable.interface]
    nobody = ["lladdr", "02:00:00:00:00:99", "nud", "permanent"]
    return ["ip", "neighbour", "replace", machine.address, *nobody, *cable]


@contextmanager
def cable_back(machine: Machine) -> Iterator[None]:
    try:
        yield
    finally:
        gone = ["neighbour", "del", machine.address, "dev", machine.cable.interface]
        subprocess.run(["ip", *gone], check=False)


def outcome(machine: Machine) -> str:
    """The last word of the host's own journal; nobody is asked, who would finish it."""
    last = sorted(machine.path(f"{paths.STATE}/journal").glob("*.jsonl"))[-1]
    return str(json.loads(last.read_text().splitlines()[-1])["kind"])


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def hung_up(console: Console, at: "int | str") -> str:
    pk = console.ask()
    assert console.job("carry", pk, at=at, run=hangs_up(console.machine))["status"] == 0
    console.settle(pk)
    return str(console.on_one_side(pk)["state"])


def test_ssh_hung_up_at_a_step_of_each_state(console: Console) -> None:
    steps = {step.split()[0]: step for step in one_of_each(undisturbed(console))}.values()
    ends = {step: hung_up(console, step) for step in steps}
    assert set(ends.values()) <= {"confirmed", "rolled_back"}, ends


@pytest.mark.soak
def test_ssh_hung_up_at_every_write(console: Console) -> None:
    points = undisturbed(console)
    for number in range(len(points)):
        print(number, points[number], hung_up(console, number))


@pytest.mark.parametrize(
    "step",
    [
        "probing confirm",
        *(
            pytest.param(step, marks=pytest.mark.soak)
            for step in ("probing probe", "staging stage")
        ),
    ],
)
def test_the_cable_is_cut_and_the_host_goes_back_by_itself(console: Console, step: str) -> None:
    machine = console.machine
    pk = console.ask()
    with cable_back(machine):
        done = console.job("carry", pk, 4, at=step, run=cuts(machine))
        assert done["result"] == step.split()[0], "it waits for the host"
        said = console.report(pk)
        assert said["under_way"] == ["wait"]
        if step.startswith("probing"):
            until(lambda: outcome(machine) == "rolled_back")
    said = console.settle(pk)
    console.on_one_side(pk)
    expected = ("rolled_back", "went_back") if step.startswith("probing") else ("confirmed", "")
    assert (said["state"], said["problem"]) == expected


def test_a_console_that_comes_back_a_day_after_the_switch(console: Console) -> None:
    """The dead-man has acted; the page says so, and nothing is done a second time."""
    pk = console.ask()
    assert console.job("carry", pk, 3, at="probing probe")["status"] == KILLED
    until(lambda: outcome(console.machine) == "rolled_back")
    console.ok("tick", DAY)
    said = console.on_one_side(pk)
    assert (said["state"], said["problem"]) == ("rolled_back", "went_back")


def test_a_console_that_comes_back_a_day_before_the_switch(console: Console) -> None:
    pk = console.ask()
    assert console.job("carry", pk, at="validating validate")["status"] == KILLED
    console.ok("tick", DAY)
    said = console.on_one_side(pk)
    assert (said["state"], said["problem"]) == ("refused", "stale")


def test_a_host_that_says_nothing_holds_up_no_other(console: Console) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ours = console.ask()
        silent = console.ok("ask_silent", listening.getsockname()[1])
        other = Console(console.machine, console.data)
        try:
            other.begin("carry", silent)
            until(lambda: console.report(silent)["state"] == "staging")
            assert console.ok("carry", ours) == "confirmed"
            meanwhile = console.report(silent)
            assert (meanwhile["state"], meanwhile["held"]) == ("staging", True)
            assert other.finish()["result"] == "staging", "it gave up waiting by itself"
            said = console.report(silent)
            assert (said["under_way"], said["held"]) == (["wait"], False)
        finally:
            other.close()
            console.ok("forget_silent")
    console.on_one_side(ours)


def test_another_host_key_is_refused_with_what_it_means(console: Console) -> None:
    machine = console.machine
    key = "/etc/ssh/ssh_host_ed25519_key"
    machine.run(["sh", "-c", f"mkdir -p /root/k && mv {key} {key}.pub /root/k"])
    pk = console.ask()
    try:
        machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        _restart_sshd(machine)
        assert console.ok("carry", pk) == "refused"
    finally:
        machine.run(["sh", "-c", f"mv /root/k/* {key.rpartition('/')[0]}"])
        _restart_sshd(machine)
    said = console.on_one_side(pk)
    assert said["problem"] == "host_key"
    assert "not the one you confirmed" in sentences.problem(said["problem"], said["detail"])


def _restart_sshd(machine: Machine) -> None:
    before = machine.path("/run/sshd.pid").read_text()
    machine.run(["kill", before.strip()])
    until(lambda: machine.path("/run/sshd.pid").exists())
    until(lambda: machine.path("/run/sshd.pid").read_text() != before)
    machine._wait_for_sshd()


def holding(machine: Machine, lock: str, seconds: int) -> "subprocess.Popen[bytes]":
    """Another request is at work there: one of the helper's locks is taken for that long."""
    argv = machine.command(["flock", f"{paths.STATE}/{lock}", "sh", "-c", f"echo; sleep {seconds}"])
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_accounts_go_live_while_a_switch_is_at_work(console: Console) -> None:
    switching = holding(console.machine, "lock", 20)
    assert console.ok("push_mailbox", "anna@example.test") == "current"
    assert switching.poll() is None, "it did not wait for the switch"
    console.machine.run(["pkill", "-x", "sleep"])
    switching.wait(10)


def test_a_rollout_waits_for_accounts_that_are_being_sent(console: Console) -> None:
    sending = holding(console.machine, "accounts.lock", 3)
    pk = console.ask()
    console.ok("carry", pk)
    assert console.settle(pk)["state"] == "confirmed"
    console.on_one_side(pk)
    sending.wait(30)
