"""A real host for faults: where it may be killed, and whether it is whole afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.hostctl import paths
from tests.live.conftest import started
from tests.live.hostctl_host import MailHost, until

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7m0yP0oHn2q3Yc1s3hZt2x6k8u0sQwR5T4V7bN9m1K"

# Runs the installed helper, which kills itself at its n-th change; 0: never, and it then tells what
# each one was, as `pointer: durable.relink: symlink`.  Its arguments: the number, a file with the
# request, or the arguments of the helper itself.
KILLER = f"""
import io, os, signal, subprocess, sys
step, words = int(sys.argv[1]), sys.argv[2:]
sys.path.insert(0, "{paths.HELPER}")
from hostctl import __main__ as helper, wire
if words[0].startswith("/"):
    sys.stdin = io.TextIOWrapper(io.BytesIO(open(words[0], "rb").read()))
    words = []
taken, now = [], [""]
def where():
    frame = sys._getframe(2)
    while frame and "hostctl" not in frame.f_code.co_filename:
        frame = frame.f_back
    file = os.path.basename(frame.f_code.co_filename)[:-3] if frame else ""
    return file + "." + (frame.f_code.co_name if frame else "")
def counted(real, name):
    def call(*args, **options):
        taken.append(now[-1] + ": " + where() + ": " + name)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return call
for name in ("replace", "rename", "symlink", "link", "unlink", "fsync", "write", "mkdir"):
    setattr(os, name, counted(getattr(os, name), name))
real = os.kill
def kill(pid, number):  # Sendmail's HUP
    if pid == os.getpid():
        real(pid, number)
    if number:
        counted(real, "kill")(pid, number)
    else:
        real(pid, number)
os.kill = kill
subprocess.Popen.__init__ = counted(subprocess.Popen.__init__, "Popen")
stepping = wire.step
def step_of(emit, name):
    now[-1] = name
    return stepping(emit, name)
for module in list(sys.modules.values()):
    if getattr(module, "step", None) is stepping:
        module.step = step_of
status = helper.main(words)
print("\\n".join(taken), file=sys.stderr)
sys.exit(status)
"""


@contextmanager
def managed(release: str, folder: Path) -> Iterator[MailHost]:
    """Its first generation is live; anna has a mailbox there."""
    with started(release) as machine:
        made = MailHost(machine, folder, KEY)
        made.fill("anna")
        made.deploy()
        yield made


def settled(host: MailHost) -> bool:
    return host.outcome() in ("confirmed", "rolled_back", "rollback_failed")


def all_on_the_old(host: MailHost) -> None:
    assert host.current() == host.generation
    until(lambda: set(host.fingerprints().values()) == {host.served}, 20)
    host.submission("anna").quit()
    host.imap("anna").logout()


def killed_at(host: MailHost, step: int, what: bytes | str) -> list[str] | None:
    """What its changes were; None: it was killed at that one. `what` is a request, or a word for
    the helper's command line."""
    folder = host.machine.path("/root")
    (folder / "killer.py").write_text(KILLER)
    if isinstance(what, bytes):
        (folder / "request").write_bytes(what)
        what = "/root/request"
    done = host.machine.run(
        ["/usr/bin/python3", "-I", "/root/killer.py", str(step), what], check=False, timeout=120
    )
    assert done.returncode in (0, 137, -9), done.stdout + done.stderr
    return None if done.returncode else done.stderr.splitlines()


def first_of_each(labels: list[str]) -> list[int]:
    """The numbers of the first change of each kind, from 1."""
    seen: dict[str, int] = {}
    for number, label in enumerate(labels, start=1):
        seen.setdefault(label, number)
    return sorted(seen.values())


def power_cut(host: MailHost) -> None:
    """Every process of the host at once, without a word; then it starts again.

    The kernel is this machine's and goes on, so the next boot's name is put into the journal here.
    """
    pid = host.machine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    host.machine.stop()
    last = max(host.machine.path(f"{paths.STATE}/journal").glob("*.jsonl"))
    last.write_text(last.read_text().replace('"boot": "', '"boot": "before-'))
    host.machine.start(leash=True)


def outside(host: MailHost, *argv: str) -> None:
    """As the machine's owner, with more rights in it than its own root has: mounts, names."""
    pid = host.machine.pid
    enter = ["nsenter", f"--target={pid}", "--mount", "--uts", "--root", "--wd"]
    done = subprocess.run([*enter, "--", *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
