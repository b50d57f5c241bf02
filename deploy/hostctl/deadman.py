"""The dead-man: a detached process that rolls back when nobody confirms in time.

Started before a switch touches anything.  It also acts when the switch itself is gone (its
lock is free but the journal says it never ended).  It does not survive a reboot: `recover`,
run at boot and at every start of the helper, does its work then.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

from . import durable, services
from .host import ENVIRONMENT, Host
from .journal import FINAL, Journal
from .wire import Refused

_STARTS_WITHIN = 10.0


def _pid_file(host: Host, number: int) -> Path:
    return host.layout.run / f"deadman-{number}.pid"


def _pid(host: Host, number: int) -> int:
    """0 when none watches this switch."""
    try:
        pid = int(_pid_file(host, number).read_text())
    except (OSError, ValueError):
        return 0
    return pid if services.alive(pid, "deadman") else 0


def launch(host: Host, number: int) -> None:
    """Returns once it watches; a switch without one must not begin."""
    durable.folder(host.layout.run, 0o755)
    argv = [*host.relaunch, "deadman", str(number)]
    if services.under_systemd() and host.real:
        # Out of the SSH session's control group, which may be killed when that ends.
        argv = [
            "/usr/bin/systemd-run", "--quiet", "--collect",
            f"--unit=mailadmin-deadman-{number}-{os.getpid()}", *argv,
        ]  # fmt: skip
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until:
        if _pid(host, number):
            return
        if process.poll() not in (None, 0):
            break
        time.sleep(0.01)
    raise Refused("deadman", "The dead-man did not start.")


def ensure(host: Host, number: int) -> None:
    if not _pid(host, number):
        launch(host, number)


def watch(host: Host, number: int) -> None:
    """The dead-man's whole life."""
    pid_file = _pid_file(host, number)
    durable.write(pid_file, f"{os.getpid()}\n".encode(), 0o644)
    try:
        while not _settled(host, number):
            time.sleep(0.2)
    finally:
        with contextlib.suppress(OSError):
            pid_file.unlink()


def _settled(host: Host, number: int) -> bool:
    from . import switch

    journal = Journal(host.layout.journal)
    entry = journal.load(number)
    newest = journal.last()
    if entry is None or newest is None or newest.number != number or entry.state in FINAL:
        return True
    if entry.state == "rollback_failed":
        return True  # it would only fail again; people are told
    if entry.due is not None and entry.due > 0:
        return False
    # Due, or the switch is at work: then its lock is taken and there is nothing to do yet.  Once he
    # has gone back that is the end of it, even where it could not be written down.
    try:
        with host.locked():
            return switch.recover(host) is not None
    except Refused as refused:
        return refused.code == "rollback_failed"
    except OSError:  # not even the lock: until the disk can be written
        return False
