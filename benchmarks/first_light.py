"""The budgets of a start, on this machine: `./run manage bench first_light`.

    first start, a clone with nothing     21.4 s   budget 60 s
    first start, environment made          2.4 s
    start again                            1.6 s   budget 4 s
    idle memory, 14 processes              285 MB  budget 400 MB
    practice host, root in the cache       1.3 s
    first deployment, 100,000 accounts    11.4 s
    one click, median of 8                2.88 s  budget 5 s, slowest 3.28 s
    suspended during a rollout, p95       0.43 s  budget 1 s, 20 of 100,000 accounts, median 0.27 s

A start is measured from `./run` to the first answered page, on a data folder of its own; in the
clone it begins without `.venv`. Memory is the proportional set size of every process (PSS,
proc_pid_smaps_rollup(5)): pages that forks share are counted once. Reading it needs root where the
console runs as another user. The last four lines are `benchmarks.live_host`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import live_host

CHECKOUT = Path(__file__).resolve().parent.parent
IDLE_SECONDS = 8.0  # after the first page: the workers have forked and the tick has come once


def run() -> list[str]:
    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(clone)], check=True)
        with started(Path(folder) / "new", clone) as (new, _process):
            pass
        with started(data) as (first, _process):
            pass
        with started(data) as (again, process):
            time.sleep(IDLE_SECONDS)
            memory = [_pss(pid) for pid in tree(process.pid)]
            measured = _live_host(data) if os.geteuid() == 0 else None
    lines = [
        f"{'first start, a clone with nothing':36} {new:5.1f} s   budget 60 s",
        f"{'first start, environment made':36} {first:5.1f} s",
        f"{'start again':36} {again:5.1f} s   budget 4 s",
    ]
    known = [size for size in memory if size is not None]
    if len(known) == len(memory):
        name = f"idle memory, {len(memory)} processes"
        lines.append(f"{name:36} {sum(known) / 1024:5.0f} MB  budget 400 MB")
    else:
        lines.append("idle memory: needs root to be read")
    if measured is None:
        lines.append("one click and suspension: need root, for the practice host")
    else:
        lines += live_host.lines(measured)
    return lines


def _live_host(data: Path) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILADMIN_")}
    done = subprocess.run(
        [
            str(CHECKOUT / "run"),
            *("manage", "shell", "-v", "0", "-c"),
            "from benchmarks import live_host; live_host.main()",
        ],
        env=kept | {"MAILADMIN_DATA": str(data)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def started(
    data: Path, checkout: Path = CHECKOUT
) -> Iterator[tuple[float, subprocess.Popen[bytes]]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILADMIN_")}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [str(checkout / "run")],
        env=kept | {"MAILADMIN_DATA": str(data), "MAILADMIN_PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _answers(port):
            if process.poll() is not None:
                raise RuntimeError(f"./run ended with {process.returncode}")
            time.sleep(0.02)
        yield time.perf_counter() - begin, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(port: int) -> bool:
    address = f"http://localhost:{port}/healthz"
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def tree(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += tree(int(child))
    return found


def _pss(pid: int) -> int | None:
    """In KiB."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return None
