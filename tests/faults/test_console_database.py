"""The console's database goes away in the middle of a rollout, at each step that it writes down.

The worker cannot even note it: what it raises is logged, its lease ends, and the tick's next turn
takes the row up again.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.consoles import Console, console_of
from tests.faults.databases import filling, locking, postgres, postgres_bin, small_disk
from tests.faults.test_console_killed import one_of_each, undisturbed
from tests.live.conftest import started

BUSY_SECONDS = 1
LOCKED_SECONDS = 3.5
"""Longer than two attempts to write: of the step, and of why it failed."""


@pytest.fixture
def on_postgres(can_run_hosts: None, tmp_path: Path) -> Iterator[tuple[Console, list[str]]]:
    bin_folder = postgres_bin()
    if bin_folder is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    with (
        postgres(bin_folder) as cluster,
        started("bookworm") as machine,
        console_of(machine, tmp_path / "data", cluster.url) as console,
    ):
        yield console, cluster.killing()


@pytest.fixture
def on_small_disk(can_run_hosts: None, tmp_path: Path) -> Iterator[Console]:
    with (
        small_disk(tmp_path / "data") as data,
        started("trixie") as machine,
        console_of(machine, data) as console,
    ):
        yield console


def ended_after(console: Console, at: "int | str", run: list[str], **options: object) -> str:
    """What the worker said that met the fault, when the rollout had ended on one side."""
    pk = console.ask()
    done = console.job("carry", pk, at=at, run=run, **options)
    assert done["status"] == 0
    (console.data / "filler").unlink(missing_ok=True)
    console.settle(pk)
    console.on_one_side(pk)
    return str(done["result"])


def steps_of(console: Console) -> list[str]:
    """The last of each state."""
    found = {step.split()[0]: step for step in one_of_each(undisturbed(console))}
    return list(found.values())


def test_postgresql_killed_at_a_step_of_each_state(on_postgres) -> None:
    console, kill = on_postgres
    said = {step: ended_after(console, step, kill) for step in steps_of(console)}
    assert set(said.values()) <= {"OperationalError", "InterfaceError"}, said


def test_sqlite_locked_for_longer_than_the_patience_and_full(on_small_disk: Console) -> None:
    console = on_small_disk
    steps = steps_of(console)
    lock = locking(console.data, LOCKED_SECONDS)
    said = {step: ended_after(console, step, lock, timeout=BUSY_SECONDS) for step in steps[::2]}
    assert set(said.values()) == {"OperationalError"}, said
    fill = filling(console.data)
    said = {step: ended_after(console, step, fill) for step in steps[1::2]}
    assert set(said.values()) == {"OperationalError"}, said


@pytest.mark.soak
def test_postgresql_killed_at_every_write(on_postgres) -> None:
    console, kill = on_postgres
    at_every_write(console, lambda at: ended_after(console, at, kill))


@pytest.mark.soak
def test_sqlite_locked_at_every_write(on_small_disk: Console) -> None:
    lock = locking(on_small_disk.data, LOCKED_SECONDS)
    at_every_write(
        on_small_disk, lambda at: ended_after(on_small_disk, at, lock, timeout=BUSY_SECONDS)
    )


@pytest.mark.soak
def test_sqlite_without_room_at_every_write(on_small_disk: Console) -> None:
    fill = filling(on_small_disk.data)
    at_every_write(on_small_disk, lambda at: ended_after(on_small_disk, at, fill))


def at_every_write(console: Console, ended: Callable[[int], str]) -> None:
    points = undisturbed(console)
    for number in range(len(points)):
        print(number, points[number], ended(number))
