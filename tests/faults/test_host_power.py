"""Everything on the host ends at once, at any moment: power cut, then a start."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from tests.faults.hosts import all_on_the_old, managed, power_cut, settled
from tests.live.hostctl_host import MailHost, until


@pytest.fixture(scope="module")
def host(can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    with managed("trixie", tmp_path_factory.mktemp("authority")) as made:
        yield made


def begun(host: MailHost) -> tuple[int, subprocess.Popen[bytes]]:
    """A switch that has just been asked for, with nobody who will confirm it."""
    number, _ = host.prepare()
    fields = {"generation": number, "base": host.generation, "deadline": 60}
    process = subprocess.Popen(
        host.machine.command([paths.HELPER]),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(host.request("switch", **fields))
    process.stdin.close()
    return number, process


def cut_after(host: MailHost, seconds: float) -> str:
    """How the last switch ended."""
    number, process = begun(host)
    time.sleep(seconds)
    power_cut(host)
    process.wait(20)
    records = host.journal()
    if not records or records[0]["generation"] != number:
        all_running(host)
        return "not begun"
    until(lambda: settled(host), 30)
    all_running(host)
    return host.outcome()


def all_running(host: MailHost) -> None:
    until(lambda: host.ask("facts")["services"]["sendmail"]["running"], 30)
    all_on_the_old(host)


def test_a_power_cut_in_the_middle_of_a_switch(host: MailHost) -> None:
    ends = [cut_after(host, seconds) for seconds in (0.1, 0.25, 0.5)]
    assert set(ends) <= {"not begun", "rolled_back"}
    assert "rolled_back" in ends


def test_a_power_cut_after_the_switch_with_the_console_gone(host: MailHost) -> None:
    number, _ = host.prepare()
    host.switch(number, deadline=3600)
    power_cut(host)
    until(lambda: settled(host), 30)
    assert host.outcome() == "rolled_back"
    all_running(host)


def test_a_power_cut_after_the_confirmation(host: MailHost) -> None:
    host.deploy()
    power_cut(host)
    all_running(host)
    assert host.outcome() == "confirmed"


@pytest.mark.soak
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_power_cut_at_any_moment(can_run_hosts, tmp_path, release: str) -> None:
    with managed(release, tmp_path) as host:
        ends = {cut_after(host, hundredths / 100) for hundredths in range(0, 120, 3)}
        assert ends == {"not begun", "rolled_back"}
