"""The host a request acts on: the table of paths, the way commands run, the daemons.

Commands run with a fixed environment, by full path, never through a shell; their output
goes to a file, so that a daemon which keeps it open cannot hold up the caller.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from . import durable, paths
from .wire import Emit, Refused

if TYPE_CHECKING:
    from .services import Service

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "TZ": "UTC",
}
_OUTPUT_CAP = 4 * 1024 * 1024


@dataclass(frozen=True)
class Ran:
    """How a command ended; `out` and `err` are bytes, `words` is what people should see."""

    status: int
    out: bytes = b""
    err: bytes = b""

    @property
    def words(self) -> str:
        said = (self.err.strip() or self.out.strip()).decode("utf-8", "replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return " / ".join(lines[-4:])[:800] or f"exit status {self.status}"


def _scratch() -> IO[bytes]:
    """An unnamed file; in memory where no disk has room, for a rollback has to go on."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return os.fdopen(os.memfd_create("hostctl"), "w+b")


def run(
    argv: List[str],
    *,
    stdin: bytes = b"",
    timeout: float = 30,
    user: Optional[Tuple[int, int]] = None,
    file_cap: Optional[int] = None,
    most: int = _OUTPUT_CAP,
) -> Ran:
    """Runs one command to its end.  Status 124: it took too long; 127: it is not there.

    `user` (uid, gid) gives up root and every group; `file_cap` bounds what it may write, and
    its seconds of processor time, for a program that interprets what others wrote.  `most`
    bounds what is kept of its output, in bytes.
    """

    def limit() -> None:
        assert file_cap is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_cap, file_cap))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with _scratch() as given, _scratch() as out, _scratch() as err:
        given.write(stdin)
        given.seek(0)
        who: Dict[str, Any] = {}
        if user is not None:
            who = {"user": user[0], "group": user[1], "extra_groups": []}
        try:
            process = subprocess.Popen(
                argv,
                stdin=given,
                stdout=out,
                stderr=err,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                preexec_fn=limit if file_cap is not None else None,
                **who,
            )
        except FileNotFoundError:
            return Ran(127, b"", f"{argv[0]} is not installed".encode())
        status = 124
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            err.write(f"{argv[0]} did not end within {timeout:g} seconds".encode())
        out.seek(0)
        err.seek(0)
        return Ran(status, out.read(most), err.read(_OUTPUT_CAP))


Run = Callable[..., Ran]


def spawn(argv: List[str]) -> None:
    """Starts a command that goes on by itself and is not waited for: killing a queue runner
    that takes long could deliver a message twice."""
    with contextlib.suppress(OSError):
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )


def _silent(event: Dict[str, Any]) -> None:
    return None


def relaunch() -> List[str]:
    """How this very program is started again, as the detached dead-man is."""
    return [sys.executable or "/usr/bin/python3", "-I", paths.HELPER]


@dataclass
class Host:
    layout: paths.Layout
    services: "Mapping[str, Service]"
    run: Run = run
    emit: Emit = _silent
    relaunch: List[str] = field(default_factory=relaunch)
    spawn: Callable[[List[str]], None] = spawn

    @property
    def real(self) -> bool:
        """On a host owners are set; in a folder of a unit test everything is one's own."""
        return self.layout.root == Path("/")

    def owner(self, user: str, group: str) -> Optional[Tuple[int, int]]:
        if not self.real:
            return None
        try:
            return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
        except KeyError:
            raise Refused(
                "not_installed",
                f"This host has no user {user} with the group {group}: install Dovecot first.",
            ) from None

    def prepare(self) -> None:
        """The folders of the table; cheap, so every writing verb begins with it."""
        layout = self.layout
        root = self.owner("root", "root")
        for place, mode in (
            (layout.state, 0o755),
            (layout.journal, 0o700),
            (layout.generations, 0o755),
            (layout.keys, 0o700),
            (layout.accounts_db.parent.parent, 0o755),
            (layout.maps, 0o755),
            (layout.run, 0o755),
        ):
            durable.folder(place, mode, root)

    @contextmanager
    def locked(self, patience: float = 0, what: str = "lock") -> Iterator[None]:
        """One of the files of `paths.LOCKS`, taken; `busy` when it is not free in time."""
        assert what in paths.LOCKS
        path = self.layout.state / what
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            until = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise Refused(
                            "busy", "Another change is being made on this host; try again shortly."
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)
