"""Valkey killed (-9) while a rollout is on its way, in a whole console: supervisor, workers, tick.

A nudge is lost with it or comes twice; the row is found by the tick, and once.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.consoles import ENDS, OPEN, Console, console_of
from tests.live.conftest import started
from tests.run.console import Console as Running
from tests.run.console import alive


@pytest.fixture(scope="module")
def console(can_run_hosts: None) -> Iterator[Console]:
    # Not below pytest's own folder, which the user that the console becomes cannot enter.
    with tempfile.TemporaryDirectory(prefix="mailadmin-run-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with started("bookworm") as machine, console_of(machine, folder / "data") as made:
            yield made


@pytest.fixture(scope="module")
def running(console: Console) -> Iterator[Running]:
    """The same data, served by `manage.py up`."""
    made = Running(data=console.data)
    yield made.start().ready()
    made.clear()


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.02)


def kill(running: Running, *names: str) -> None:
    before = running.children()
    for name in names:
        os.kill(before[name], signal.SIGKILL)
    until(lambda: all(running.children().get(n, before[n]) != before[n] for n in names), 60)
    assert not any(alive(before[name]) for name in names)


def ended(console: Console, pk: int) -> str:
    end = time.monotonic() + 150
    while (said := console.report(pk))["state"] in OPEN:
        logs = (f"{log.name}: {log.read_text()[-1500:]}" for log in console.data.glob("log/*.log"))
        assert time.monotonic() < end, "\n".join([str(said), *logs])
        time.sleep(0.1)
    return str(console.on_one_side(pk)["state"])


def at(console: Console, state: str) -> int:
    """A rollout that the running console has brought that far."""
    pk = console.ask()  # nobody is nudged: the tick finds it
    until(lambda: console.report(pk)["state"] in {state, *ENDS}, 60)
    return pk


def test_the_broker_alone_costs_a_rollout_nothing(console: Console, running: Running) -> None:
    pk = at(console, "validating")
    kill(running, "valkey")
    assert ended(console, pk) == "confirmed"


def test_the_broker_and_the_worker_in_one_moment(console: Console, running: Running) -> None:
    pk = at(console, "staging")
    kill(running, "valkey", "work")
    console.ok("end_leases")
    assert ended(console, pk) == "confirmed"


@pytest.mark.soak
@pytest.mark.parametrize("also", [(), ("work",), ("work", "beat"), ("work", "now", "beat", "web")])
def test_the_broker_killed_in_every_state(
    console: Console, running: Running, also: tuple[str, ...]
) -> None:
    for state in sorted(OPEN):
        pk = at(console, state)
        kill(running, "valkey", *also)
        console.ok("end_leases")
        print(state, also, ended(console, pk))
