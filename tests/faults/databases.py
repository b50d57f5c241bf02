"""The console's database, and what befalls it: PostgreSQL killed, SQLite locked or without room.

A way is a command that a worker runs at one of its points (`tests.faults.zygote`).
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = """
import os, sqlite3, sys, time
reader, writer = os.pipe()
if os.fork():
    os.close(writer)
    os.read(reader, 1)  # a lock is the process's that took it: not taken before the fork
    os._exit(0)
database = sqlite3.connect(sys.argv[1], timeout=0.5, isolation_level=None)
database.execute("BEGIN IMMEDIATE")  # fails where the worker itself is writing
os.close(writer)
time.sleep(float(sys.argv[2]))
database.execute("ROLLBACK")
"""
FILL = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=0.5, isolation_level=None)
database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or it would write over what is there
database.close()
with open(sys.argv[2], "wb", buffering=0) as filler:
    for size in (1 << 20, 4096, 1):
        try:
            while filler.write(bytes(size)) == size:
                pass
        except OSError:
            pass
"""


def postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """A cluster of its own, on a socket in its folder."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self.bin = folder, bin_folder
        self.url = f"postgres://postgres@{str(folder).replace('/', '%2F')}/postgres"
        self.become: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = "postgres" if "postgres" in names else "nobody"
            self.become = ["runuser", "-u", user, "--"]
            shutil.chown(folder, user)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8")  # fmt: skip
        self._run(*self._start)

    @property
    def _start(self) -> list[str]:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder}"
        return ["pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start"]

    def _run(self, program: str, *words: str) -> None:
        argv = [*self.become, str(self.bin / program), *words]
        subprocess.run(argv, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def killing(self) -> list[str]:
        """kill -9 of the server, which is started again as soon as its processes are gone."""
        start = [*self.become, str(self.bin / "pg_ctl"), *self._start[1:]]
        script = (
            'cd "$1" && shift && kill -9 "$(head -n 1 data/postmaster.pid)" && '
            'for _ in 1 2 3 4 5 6 7 8 9; do "$@" >&2 && exit; sleep 0.3; done; exit 1'
        )
        return ["sh", "-c", script, "sh", str(self.folder), *start]

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")


@contextmanager
def postgres(bin_folder: Path) -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="mailadmin-pg.", dir="/tmp") as folder:
        cluster = Postgres(Path(folder), bin_folder)
        try:
            yield cluster
        finally:
            cluster.stop()


def locking(data: Path, seconds: float) -> list[str]:
    """Another connection writes for that long."""
    return [sys.executable, "-c", LOCK, str(data / "db.sqlite3"), str(seconds)]


def filling(data: Path) -> list[str]:
    """Nothing more can be written in the folder until `filler` is removed."""
    return [sys.executable, "-c", FILL, str(data / "db.sqlite3"), str(data / "filler")]


@contextmanager
def small_disk(folder: Path, megabytes: int = 48) -> Iterator[Path]:
    folder.mkdir()
    options = f"size={megabytes}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
