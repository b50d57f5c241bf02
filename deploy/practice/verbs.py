"""What may be asked about practice hosts: five verbs with plain values in and out.

    status                              → what there is, and whether it can be
    create  release, fqdn, public_key   → make it, start it, let the console in
    start, stop, destroy

Every verb takes `name`; a console has one practice host unless it asks for more. Each may be asked
again after it was cut off: `create` goes on where it was.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.practice.debian import Progress, silent
from deploy.practice.errors import PracticeError
from deploy.practice.machine import Machine
from deploy.practice.readiness import check

Result = dict[str, Any]

NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
# The comment of a key is free text; this one ends up in a file of root's, so it is not.
PUBLIC_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/]+=*( [\w.@:-]{1,80})?")

# Where each part of `create` ends on one bar; the image takes nearly all the time.
IMAGE, INSTANCE, START = 0.90, 0.93, 0.97


def place(directory: Path, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise PracticeError("name", f"{name[:40]!r} is no name for a practice host.")
    return directory / name


def status(directory: Path, *, name: str = "practice") -> Result:
    try:
        machine = Machine(place(directory, name))
    except PracticeError as absent:
        if absent.code != "absent":
            raise
        try:
            check()
        except PracticeError as refusal:
            return {
                "state": "absent",
                "possible": False,
                "code": refusal.code,
                "reason": refusal.message,
            }
        return {"state": "absent", "possible": True, "code": "", "reason": ""}
    return {"possible": True, "code": "", "reason": "", **describe(machine)}


def describe(machine: Machine) -> Result:
    found: Result = {
        "state": "running" if machine.running else "stopped",
        "release": machine.release,
        "fqdn": machine.fqdn,
        "address": machine.address,
        "port": 22,
        "console_address": machine.console_address,
        "foreign_address": machine.foreign_address,
    }
    if machine.running:
        found["host_key"] = machine.host_key()
    return found


def create(
    directory: Path,
    *,
    name: str = "practice",
    release: str = "bookworm",
    fqdn: str = "mail1.example.test",
    public_key: str = "",
    progress: Progress = silent,
) -> Result:
    """Without a public key the console is not let in."""
    if public_key and not PUBLIC_KEY.fullmatch(public_key):
        raise PracticeError("public_key", "That is not a public SSH key of a kind known here.")

    def bar(step: str, fraction: float) -> None:
        begin, end = {"instance": (IMAGE, INSTANCE), "start": (INSTANCE, START)}.get(
            step, (0.0, IMAGE)
        )
        progress(step, round(begin + fraction * (end - begin), 3))

    here = place(directory, name)
    if (here / "machine.json").exists():
        machine = Machine(here)
        if (machine.release, machine.fqdn) != (release, fqdn):
            raise PracticeError(
                "exists",
                f"There is a practice host already: {machine.fqdn} on Debian {machine.release}. "
                "Remove it first.",
            )
    else:
        check(release)
        machine = Machine.create(here, release, fqdn, progress=bar)
    machine.start(bar)
    if public_key:
        progress("authorize", START)
        machine.authorize(public_key)
    progress("done", 1.0)
    return describe(machine)


def start(directory: Path, *, name: str = "practice", progress: Progress = silent) -> Result:
    machine = Machine(place(directory, name))
    machine.start(progress)
    return describe(machine)


def stop(directory: Path, *, name: str = "practice", progress: Progress = silent) -> Result:
    machine = Machine(place(directory, name))
    progress("stop", 0.0)
    machine.stop()
    return describe(machine)


def destroy(directory: Path, *, name: str = "practice", progress: Progress = silent) -> Result:
    progress("destroy", 0.0)
    try:
        Machine(place(directory, name)).destroy()
    except PracticeError as absent:
        if absent.code != "absent":
            raise
    return {"state": "absent"}


VERBS: dict[str, tuple[Callable[..., Result], frozenset[str]]] = {
    "practice.create": (create, frozenset({"name", "release", "fqdn", "public_key"})),
    "practice.start": (start, frozenset({"name"})),
    "practice.stop": (stop, frozenset({"name"})),
    "practice.destroy": (destroy, frozenset({"name"})),
}


def pause_all(directory: Path) -> None:
    """Stop what runs, leaving the note that it ran: the console is going down."""
    for machine in _machines(directory):
        if machine.running:
            machine.stop(for_now=True)


def resume_all(directory: Path) -> list[str]:
    """Start what ran when the console or the machine went down; names of those that failed."""
    failed = []
    for machine in _machines(directory):
        if machine.was_running and not machine.running:
            try:
                machine.start()
            except PracticeError as failure:
                failed.append(f"{machine.fqdn}: {failure.message}")
    return failed


def _machines(directory: Path) -> list[Machine]:
    return [Machine(path.parent) for path in sorted(directory.glob("*/machine.json"))]
