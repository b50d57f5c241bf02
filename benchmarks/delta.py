"""A change of one account among a million on a real host: at most 100 ms there.

    python -m benchmarks.delta [--rows 1000000] [--release bookworm]         needs root, 3 minutes

    whole database, 1,000,000 mailboxes   20.9 s   budget 60 s, helper 200 MB
    the same from the console             48.0 s   rows read, sent over SSH, stored; worker 150 MB
    one password, on the host              0.05 s  budget 0.1 s, slowest of 20 0.06 s
    …

The host is a practice host, without the daemons: real helper, SQLite, `makemap` and `editmap`. "On
the host" is from the start of the helper's process to its end. "From the console" is the verb that
a worker calls, from the first row read to the host's answer, over SSH.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks import ca_console

DOMAIN = "example.test"
TIMES = 20
HASH = "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + "aGFzaGhhc2g" * 4
OTHER = HASH[:-4] + "abcd"

# Runs inside the host: each line of standard input is a file with a request.
_DRIVER = """
import json, os, subprocess, sys, time
for path in sys.stdin.read().split():
    began = time.perf_counter()
    done = subprocess.Popen([sys.argv[1]], stdin=open(path), stdout=subprocess.PIPE)
    said = done.stdout.read().splitlines()[-1]
    _, status, used = os.wait4(done.pid, 0)
    took = time.perf_counter() - began
    print(json.dumps([took, used.ru_maxrss // 1024, json.loads(said)]), flush=True)
"""


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("delta")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--release", default="bookworm")
    asked = parser.parse_args()
    from deploy.practice import Machine

    with (
        ca_console.made(),
        # Not below /tmp where that is kept in memory: the maps are on a disk.
        tempfile.TemporaryDirectory(prefix="mailadmin-bench-", dir="/var/tmp") as folder,
    ):
        machine = Machine.create(Path(folder) / "host", asked.release, "mail.example.test")
        try:
            machine.start(leash=True)
            measure(machine, asked.rows)
        finally:
            machine.destroy()


def say(name: str, words: str) -> None:
    print(f"{name:38} {words}", flush=True)  # noqa: T201 - it is a command


def measure(machine: Any, rows: int) -> None:
    host = _enrolled(machine)
    _on_the_host(machine, host, rows)
    _from_the_console(machine, host, rows)


def _enrolled(machine: Any) -> Any:
    from django.utils import timezone

    from deploy import enrolment
    from deploy.models import Host

    host = enrolment.add(
        fqdn=machine.fqdn,
        address=machine.address,
        ssh_port=22,
        practice=True,
        by=None,
        at=timezone.now(),
    )
    enrolment.give_key(host)
    machine.authorize(host.ssh_public_key)
    Host.objects.filter(pk=host.pk).update(host_key=machine.host_key(), state=Host.READY)
    host.refresh_from_db()
    return host


# On the host


class Requests:
    """Files with requests for the helper, numbered on."""

    def __init__(self, machine: Any, uuid: str) -> None:
        self.machine, self.uuid, self.sequence = machine, uuid, 0

    def write(self, lines: Iterator[dict[str, Any]], *, whole: bool = False) -> str:
        self.sequence += 1
        name = f"/srv/request-{self.sequence}"
        header = {
            "v": 1,
            "verb": "accounts",
            "host": self.uuid,
            "sequence": self.sequence,
            "lineage": "bench",
            "from_change": 0,
            "through_change": 1,
            "whole": whole,
        }
        with self.machine.path(name).open("w") as file:
            for line in chain([header], lines):
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
        return name

    def carry_out(self, names: list[str]) -> list[tuple[float, int]]:
        """Seconds and MB of each."""
        from deploy.hostctl import paths

        done = self.machine.run(
            ["python3", "-c", _DRIVER, paths.HELPER], input="\n".join(names), timeout=900
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        for _, _, answer in found:
            if answer["event"] != "result":
                raise RuntimeError(f"the helper refused: {answer}")
        return [(took, memory) for took, memory, _ in found]


def _box(number: int, **changes: Any) -> dict[str, Any]:
    values = {"password": HASH, "can_login": True, "can_send": True, "receives": True}
    address = f"u{number:07}@{DOMAIN}"
    return {"mailbox": {"address": address, "quota_bytes": 0, **values, **changes}}


def _everybody(rows: int) -> Iterator[dict[str, Any]]:
    yield {"domain": {"name": DOMAIN}}
    for number in range(rows):
        yield _box(number)


def _on_the_host(machine: Any, host: Any, rows: int) -> None:
    requests = Requests(machine, str(host.uuid))
    ((took, memory),) = requests.carry_out([requests.write(_everybody(rows), whole=True)])
    say(f"whole database, {rows:,} mailboxes", f"{took:6.1f} s   budget 60 s, helper {memory} MB")
    targets = [f"u0000001@{DOMAIN}"]
    kinds: dict[str, Callable[[int], dict[str, Any]]] = {
        "one password": lambda n: _box(n, password=OTHER),
        "one suspension": lambda n: _box(n, can_login=False, can_send=False),
        "one new mailbox": lambda n: _box(rows + n),
        "one new alias": lambda n: {"alias": {"address": f"a{n}@{DOMAIN}", "targets": targets}},
        "one mailbox removed": lambda n: {"remove": f"u{n + 100:07}@{DOMAIN}"},
    }
    for name, line in kinds.items():
        asked = [requests.write(iter([line(number)])) for number in range(TIMES)]
        took_each = sorted(took for took, _ in requests.carry_out(asked))
        say(
            f"{name}, on the host",
            f"{statistics.median(took_each):6.3f} s  budget 0.1 s,"
            f" slowest of {TIMES} {took_each[-1]:.3f} s",
        )


# From the console


def _from_the_console(machine: Any, host: Any, rows: int) -> None:
    from deploy import accounts_push
    from deploy import helper as helpers
    from deploy.models import AccountPush, Host

    machine.run(["rm", "-rf", "/var/lib/mailadmin/accounts", "/var/lib/mailadmin/host.json"])
    _rows(str(host.uuid), rows)

    def whole() -> None:
        host = Host.objects.get()
        with helpers.Helper.of(host) as helper, accounts_push.held(host) as push:
            accounts_push.start(push, helper)

    took, memory = _in_a_child(whole)
    if AccountPush.objects.get().state != AccountPush.CURRENT:
        raise RuntimeError("the accounts did not get there")
    say("the same from the console", f"{took:6.1f} s   over SSH; worker {memory} MB")
    _suspensions(str(host.uuid))


def _rows(uuid: str, rows: int) -> None:
    """As the verb writes them, without an event and a change for each."""
    from django.utils import timezone

    from accounts.models import Domain, Mailbox

    now = timezone.now()
    domain = Domain.objects.create(name=DOMAIN, host=uuid, created_at=now)
    for start in range(0, rows, 5000):
        Mailbox.objects.bulk_create(
            (
                Mailbox(
                    domain=domain,
                    local_part=f"u{number:07}",
                    address=f"u{number:07}@{DOMAIN}",
                    password=HASH,
                    password_set_at=now,
                    state_since=now,
                    created_at=now,
                )
                for number in range(start, min(rows, start + 5000))
            ),
            batch_size=500,
        )


def _suspensions(uuid: str) -> None:
    from django.utils import timezone

    from accounts import lifecycle
    from accounts.models import Mailbox
    from deploy import accounts_push
    from deploy.models import AccountPush

    took = []
    for number in range(TIMES):
        mailbox = Mailbox.objects.get(address=f"u{number:07}@{DOMAIN}")
        began = time.perf_counter()
        lifecycle.suspend(mailbox=mailbox, by=None, at=timezone.now())
        accounts_push.push(uuid)
        took.append(time.perf_counter() - began)
    if AccountPush.objects.get().problem:
        raise RuntimeError(AccountPush.objects.get().problem_detail)
    took.sort()
    say(
        "one suspension, from the console",
        f"{statistics.median(took):6.3f} s  over SSH, slowest of {TIMES} {took[-1]:.3f} s",
    )


def _in_a_child(act: Callable[[], None]) -> tuple[float, int]:
    """Seconds and peak MB of a process that does this alone."""
    from django.db import connections

    connections.close_all()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError("the worker failed")
    return time.perf_counter() - began, used.ru_maxrss // 1024


if __name__ == "__main__":
    main()
