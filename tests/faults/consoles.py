"""A console whose workers can be killed, and a real host on which it puts things live.

with console_of(machine, folder) as console:
    pk = console.ask()
    console.job("carry", pk, at="switching switch.pointer")      # killed there
    console.settle(pk)                                           # what the tick does then
    console.on_one_side(pk)
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.practice import Machine

CHECKOUT = Path(__file__).parents[2]
ENDS = {"confirmed", "rolled_back", "refused"}
OPEN = {"planned", "staging", "validating", "switching", "probing"}
KILLED = -9


class Console:
    def __init__(self, machine: Machine, data: Path, database: str = "") -> None:
        self.machine = machine
        self.data = data
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MAILADMIN_")
        }
        environment |= {
            "MAILADMIN_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "mailadmin.settings",
            **({"MAILADMIN_DATABASE_URL": database} if database else {}),
        }
        if cache := os.environ.get("MAILADMIN_CACHE"):
            environment["MAILADMIN_CACHE"] = cache
        self.log = (data.parent / f"{data.name}.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.megabytes = 20

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.log.close()

    def begin(
        self,
        verb: str,
        *args: object,
        at: int | str | None = None,
        run: list[str] | None = None,
        **database: object,
    ) -> int:
        """A job in a process of its own, whose id this is; `finish` waits for it."""
        job = {"verb": verb, "args": [str(each) for each in args], "at": at, "run": run}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({**job, "database": database}) + "\n")
        self.process.stdin.flush()
        return int(self._read()["pid"])

    def finish(self) -> dict[str, Any]:
        return self._read()

    def job(self, verb: str, *args: object, **more: Any) -> dict[str, Any]:
        self.begin(verb, *args, **more)
        return self.finish()

    def ok(self, verb: str, *args: object) -> Any:
        """The result of a job that must come to its end."""
        done = self.job(verb, *args)
        assert done["status"] == 0, done
        return done["result"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the zygote ended; see {self.log.name}"
        return json.loads(line)  # type: ignore[no-any-return]

    def ask(self) -> int:
        """Something to put live, and the rollout of it."""
        self.megabytes += 1
        return int(self.ok("ask", self.megabytes))

    def report(self, pk: int) -> dict[str, Any]:
        return self.ok("report", pk)  # type: ignore[no-any-return]

    def settle(self, pk: int, seconds: float = 150) -> dict[str, Any]:
        """What the tick does until the rollout has ended."""
        until = time.monotonic() + seconds
        while (said := self.report(pk))["state"] in OPEN and time.monotonic() < until:
            self.ok("tick")
            time.sleep(0.05)
        return said

    def on_one_side(self, pk: int) -> dict[str, Any]:
        """The rollout has ended, and the host and the database agree about where."""
        said = self.report(pk)
        told = "\n".join([str(said), *said["steps"]])
        assert said["state"] in ENDS, told
        assert not said["held"], told
        assert not said["under_way"], told
        facts = self.ok("facts")
        assert facts["generation"] == said["live"], (facts["last"], told)
        assert (said["live"] == said["generation"]) == (said["state"] == "confirmed"), told
        assert facts["pending"] is None, told
        assert facts["drift"] == [], told
        running = {name for name, each in facts["services"].items() if each["running"]}
        assert running == {"sendmail", "dovecot", "bridge"}, told
        return said


@contextmanager
def console_of(machine: Machine, data: Path, database: str = "") -> Iterator[Console]:
    """Its first generation is live on the machine."""
    data.mkdir(exist_ok=True)
    console = Console(machine, data, database)
    try:
        assert console.ok("prepare", machine.directory) == "confirmed"
        yield console
    finally:
        console.close()
