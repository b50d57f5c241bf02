"""kill -9 of the worker in the middle of a rollout, in each state it can be in.

The worker is a process; the host is real; another worker takes over. Whatever was under way, the
host ends on one side, and the console knows on which.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
OPEN = ("planned", "staging", "validating", "switching", "probing")


class Console:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.environment = {
            **os.environ,
            "MAILADMIN_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "mailadmin.settings",
        }

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.live.worker", *words],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Any:
        process = self.start(*words)
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err[-3000:]
        return json.loads(out.splitlines()[-1])

    def ask_database(self, question: str, *values: object) -> Any:
        with sqlite3.connect(self.data / "db.sqlite3", timeout=20) as database:
            return database.execute(question, values).fetchone()

    def state(self, pk: int) -> str:
        (found,) = self.ask_database("SELECT state FROM deploy_hostrollout WHERE id = ?", pk)
        return str(found)

    def expire_lease(self, pk: int) -> None:
        """What twenty seconds do by themselves."""
        past = "2000-01-01 00:00:00"
        self.ask_database("UPDATE deploy_hostrollout SET lease_until = ? WHERE id = ?", past, pk)


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_killed_worker_leaves_the_host_on_one_side(release, fresh_machine, tmp_path) -> None:
    machine = fresh_machine(release)
    console = Console(tmp_path / "data")
    console.data.mkdir()
    assert console.run("prepare", str(machine.directory)) == "confirmed"

    for number, moment in enumerate(OPEN[1:]):
        pk = console.run("ask", str(20 + number))
        worker = console.start("carry", str(pk))
        until = time.monotonic() + 60
        while console.state(pk) != moment and time.monotonic() < until:
            time.sleep(0.002)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        assert console.state(pk) == moment, "killed too late to test anything"

        until = time.monotonic() + 120
        while console.state(pk) in OPEN and time.monotonic() < until:
            console.expire_lease(pk)
            console.run("carry", str(pk))
        end = console.state(pk)
        assert end in {"confirmed", "rolled_back"}, (moment, end)
        facts = console.run("facts")
        (live,) = console.ask_database("SELECT number FROM deploy_generation WHERE state = 'live'")
        assert facts["generation"] == live, (moment, end)
        assert facts["pending"] is None, (moment, end)
        assert facts["services"]["sendmail"]["running"], (moment, end)
        assert facts["services"]["dovecot"]["running"], (moment, end)
