"""kill -9 of the worker between one host of a rollout and the others: what is stored is enough."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.test_commands import environment
from tests.terminal import CHECKOUT, Terminal, on_sqlite, started

pytestmark = on_sqlite


@pytest.fixture(scope="module")
def console() -> Iterator[Terminal]:
    """With two hosts, ready."""
    with started() as at:
        at.data.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.deploy.console"]
        subprocess.run(command, cwd=CHECKOUT, env=environment(at), check=True)
        yield at


def worker(at: Terminal, *words: object, killed: bool = False) -> Any:
    command = [sys.executable, "-m", "tests.deploy.fleet_worker", *map(str, words)]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment(at), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == (-signal.SIGKILL if killed else 0), done.stderr[-3000:]
    return None if killed else json.loads(done.stdout.splitlines()[-1])


def states(at: Terminal) -> list[str]:
    newest = "SELECT state FROM deploy_hostrollout ORDER BY rollout_id DESC, turn LIMIT 2"
    return [state for (state,) in at.sql(newest)]


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("sent", ["confirmed", "planned"]),
        ("claimed", ["confirmed", "planned"]),
        ("confirm", ["confirmed", "probing"]),
    ],
)
def test_the_next_worker_goes_on(console: Terminal, point: str, left: list[str]) -> None:
    first, second = worker(console, "ask")
    assert worker(console, "tick") == [first]
    worker(console, "carry", first, point, killed=True)
    assert states(console) == left
    # What twenty seconds do by themselves.
    console.sql("UPDATE deploy_hostrollout SET lease_until = '2000-01-01 00:00:00'")
    assert worker(console, "tick") == [second]
    worker(console, "carry", second)
    assert states(console) == ["confirmed", "confirmed"]
    (live,) = console.sql("SELECT count(*) FROM deploy_generation WHERE state = 'live'")
    assert live == (2,)
