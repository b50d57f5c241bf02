"""A console of its own for a test: `manage.py up` on a new data folder and a free port."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(what: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"still not so after {seconds} s: {what}"
        time.sleep(0.05)


class Console:
    def __init__(
        self, *, prefix: Sequence[str] = (), checkout: Path = CHECKOUT, data: Path | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mailadmin-run-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.data = data or self.folder / "data"
        self.port = free_port()
        self.prefix, self.checkout = list(prefix), checkout
        self.output = self.folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MAILADMIN_")}
        kept.pop("DJANGO_SETTINGS_MODULE", None)
        return kept | {"MAILADMIN_DATA": str(self.data), "MAILADMIN_PORT": str(self.port)}

    def command(self, *arguments: str) -> list[str]:
        python = self.checkout / ".venv/bin/python"
        interpreter = str(python) if python.exists() else sys.executable
        return [*self.prefix, interpreter, str(self.checkout / "manage.py"), *arguments]

    def start(self) -> "Console":
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command("up"),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self

    def ready(self) -> "Console":
        def said_so() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            return "Ctrl-C stops everything." in self.said()

        wait_for(said_so, 60)
        wait_for(lambda: {"sign", "now", "work", "beat"} <= set(self.children()))
        return self

    def once(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command that is expected to end by itself."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def link(self) -> str:
        found = re.search(r"http://\S+/setup/\S+", self.said())
        assert found, self.said()
        return found[0]

    def get(self, path: str = "/healthz") -> int:
        with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=20) as answer:
            return int(answer.status)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> dict[str, int]:
        """The supervisor's children by name: {"web": pid, …}."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if int(_stat(folder)[1]) != self.pid:
                    continue
                name = (folder / "comm").read_text().strip()
            except OSError:
                continue
            if name == "mailadmin-up":
                continue  # forked, and not yet what it will be
            # The kernel cuts a name after 15 bytes.
            name = name.removeprefix("mailadmin-").removesuffix("-server")
            found["practice" if name == "pract" else name] = int(folder.name)
        return found

    def everything(self) -> set[int]:
        """The supervisor and every process below it."""
        tree, grew = {self.pid}, True
        while grew:
            grew = False
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    above = int(_stat(folder)[1])
                except OSError:
                    continue
                if above in tree and int(folder.name) not in tree:
                    tree.add(int(folder.name))
                    grew = True
        return tree

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(by)
        return self.process.wait(60)

    def clear(self) -> None:
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def owner_of(pid: int) -> str:
    return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


def alive(pid: int) -> bool:
    try:
        return _stat(Path(f"/proc/{pid}"))[0] != "Z"
    except OSError:
        return False


def _stat(folder: Path) -> list[str]:
    """State, parent, … of proc_pid_stat(5): what follows the name in brackets."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
