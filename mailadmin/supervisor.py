"""`manage.py up`: one parent that imports once, forks every process, and keeps them running.

    mailadmin-up          root where possible: the practice host's helper needs it
    ├── valkey-server     the embedded broker, unless MAILADMIN_BROKER_URL names another
    ├── web, sign, now, work, beat      see mailadmin.processes
    └── practice          as root only

A child loads the key rings of its role, gives up root, and asks the kernel to be told when the
parent dies. One that ends is started again, after a pause that grows while it keeps failing. On
TERM or Ctrl-C they are stopped in order, the broker last. What they print goes to `log/` in the
data folder; in production to standard error.
"""

import contextlib
import fcntl
import gc
import getpass
import importlib.util
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import seal
from mailadmin import broker, logs, processes
from mailadmin.privileges import LOCK, CannotStart, Ground, drop
from mailadmin.sockets import listen

PAUSES = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)  # before a child that ended is started again
STEADY = 30.0  # seconds up after which the pauses begin anew
READY_WITHIN = 60.0
GRACE = {"valkey": 10.0, "practice": 20.0}
GRACE_OTHERS = 15.0
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass
class Child:
    name: str
    role: str | None  # whose key rings it loads
    run: Callable[[], None]
    keeps_root: bool = False
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0


@dataclass
class Supervisor:
    ground: Ground
    port: int
    production: bool = False
    embedded_broker: bool = True
    names: tuple[str, ...] = processes.ALL
    children: dict[str, Child] = field(default_factory=dict)
    sockets: list[socket.socket] = field(default_factory=list)
    _lock: Any = None

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def run(self) -> None:
        """Start, keep running, stop. Raises CannotStart before anything is started."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._take_lock()
        if "web" in self.names:
            self.sockets = listen(self.port)
        self._write_lock()
        processes.named("mailadmin-up")
        processes.preload()
        gc.collect()
        gc.freeze()
        try:
            self._start()
            self._keep()
        finally:
            self._stop()

    # Before the first child

    def _take_lock(self) -> None:
        path = self.ground.data / "run" / LOCK
        self._lock = os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+")
        try:
            # A record lock: unlike flock(2), the forks do not inherit it.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            try:
                other = json.loads(self._lock.read())
            except ValueError:
                other = {"pid": "?", "address": "?"}
            raise CannotStart(
                f"Mailadmin runs already on {self.ground.data}: process {other['pid']}, "
                f"{other['address']}. Stop it first, or choose another folder with MAILADMIN_DATA."
            ) from None

    def _write_lock(self) -> None:
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(json.dumps({"pid": os.getpid(), "address": self.address}))
        self._lock.flush()

    # Starting

    def _start(self) -> None:
        if self.embedded_broker:
            self._spawn(self._valkey())
        outcome = self._ask(lambda: _bootstrap(migrates="web" in self.names))
        if "refused" in outcome:
            raise CannotStart(outcome["refused"])
        if "web" in self.names:
            self._spawn(Child("web", "web", processes.main_of("web", self.sockets)))
            self._until_web_answers()
        for name in self.names:
            if name != "web":
                self._spawn(Child(name, name, processes.main_of(name, [])))
        if helper := self._practice():
            self._spawn(helper)
        self._announce(outcome.get("setup"))

    def _valkey(self) -> Child:
        data = self.ground.data
        program = broker.binary()
        if program is None:
            raise CannotStart(
                "There is no Valkey for this machine. Type: apt-get install redis-server "
                "(or name a server with MAILADMIN_BROKER_URL)."
            )
        if len(os.fsencode(broker.socket_path(data))) > broker.LONGEST_PATH:
            raise CannotStart(
                f"The path of the data folder {data} is too long for a socket in it. "
                "Choose a shorter one with MAILADMIN_DATA."
            )
        argv = broker.arguments(program, data)
        return Child("valkey", None, lambda: os.execv(argv[0], argv))

    def _practice(self) -> Child | None:
        """The helper that makes practice hosts: fixed verbs on a socket for our own user."""
        if os.geteuid() != 0 or self.production or not importlib.util.find_spec("deploy.practice"):
            return None
        data = self.ground.data
        client = self.ground.account.uid if self.ground.account else 0

        def run() -> None:
            from deploy import practice

            practice.serve(data / "run" / "local.sock", client, data / "practice")

        return Child("practice", None, run, keeps_root=True)

    def _until_web_answers(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        probe: socket.socket | None = None
        while time.monotonic() < deadline:
            self._wait(0.05)
            try:
                if probe is None:
                    probe = socket.create_connection(("127.0.0.1", self.port), timeout=1)
                    probe.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                    probe.setblocking(False)
                answer = probe.recv(64)
                if answer.startswith(b"HTTP/1.") and answer[9:10] != b"5":
                    return
                probe.close()
                probe = None
            except BlockingIOError:
                continue
            except OSError:
                probe = None
        raise CannotStart(
            f"The web process does not answer. Its last lines:\n{logs.last_lines(self._log('web'))}"
        )

    def _announce(self, setup: str | None) -> None:
        for note in self.ground.notes:
            say(note)
        if "web" not in self.names:
            say(f"Running {', '.join(self.names)}. Ctrl-C stops.")
            return
        say(f"Mailadmin is at {self.address}")
        if setup:
            say("Make the owner's account there; this link works once, for an hour:")
            say(f"  {self.address}{setup}")
        if not self.production:
            user = os.environ.get("SUDO_USER") or getpass.getuser()
            forward = f"ssh -L {self.port}:localhost:{self.port} {user}@{socket.gethostname()}"
            say("From another computer, type there first:")
            say(f"  {forward}")
        say("Ctrl-C stops everything.")

    # Running

    def _keep(self) -> None:
        looked_at_logs = time.monotonic()
        while True:
            self._wait(1.0)
            if time.monotonic() - looked_at_logs > 60:
                looked_at_logs = time.monotonic()
                self._trim_logs()

    def _wait(self, seconds: float) -> None:
        """Sleep until a signal or for `seconds`; bury the dead and start them again."""
        arrived = signal.sigtimedwait(_SIGNALS, seconds)
        if arrived and arrived.si_signo != signal.SIGCHLD:
            raise Stopped
        self._bury()
        now = time.monotonic()
        for child in self.children.values():
            if not child.pid and now >= child.again_at:
                self._spawn(child)

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self.children.values():
                if child.pid == pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, code: int) -> None:
        if not child.keeps_root:
            kill_group(child.pid)  # a killed worker leaves its pool behind
        if time.monotonic() - child.started > STEADY:
            child.failures = 0
        pause = PAUSES[min(child.failures, len(PAUSES) - 1)]
        child.pid, child.failures = 0, child.failures + 1
        child.again_at = time.monotonic() + pause
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        where = "" if self.production else f" See {self._log(child.name)}."
        say(f"{child.name} {how}; starting it again in {pause:g} s.{where}")

    def _spawn(self, child: Child) -> None:
        parent = os.getpid()
        child.started = time.monotonic()
        pid = os.fork()
        if pid:
            child.pid = pid
            self.children[child.name] = child
            return
        code = 1
        try:
            os.setsid()
            _default_signals()
            if child.role:
                seal.load(child.role, self.ground.data)
            if self.ground.account and not child.keeps_root:
                drop(self.ground.account)
            self._redirect(child.name)
            processes.named(f"mailadmin-{child.name}")
            processes.die_with_parent(parent)
            child.run()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except BaseException:  # noqa: BLE001 - this is the bottom of the process
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _ask(self, question: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Answer `question` in a child that has given up root; the parent never opens the
        database."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reader)
                _default_signals()
                if self.ground.account:
                    drop(self.ground.account)
                self._redirect("bootstrap")
                with os.fdopen(writer, "w") as out:
                    json.dump(question(), out)
                code = 0
            except BaseException:  # noqa: BLE001 - the traceback is the log's, the sentence below ours
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader) as answer:
            text = answer.read()
        _, status = os.waitpid(pid, 0)
        if status:
            raise CannotStart(
                f"The database could not be prepared:\n{logs.last_lines(self._log('bootstrap'))}"
            )
        found: dict[str, str] = json.loads(text)
        return found

    # Logs

    def _log(self, name: str) -> Path:
        return self.ground.data / "log" / f"{name}.log"

    def _redirect(self, name: str) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        if self.production:
            os.dup2(2, 1)
            return
        log = os.open(
            self._log(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600
        )
        os.dup2(log, 1)
        os.dup2(log, 2)

    def _trim_logs(self) -> None:
        """Done by a child that has given root up: the folder is not root's alone."""
        if large := logs.too_large(self.ground.data / "log"):
            with contextlib.suppress(CannotStart):
                self._ask(lambda: logs.trim(large))

    # Stopping

    def _stop(self) -> None:
        first = [child for name, child in self.children.items() if name == "beat"]
        last = [child for name, child in self.children.items() if name in GRACE]
        middle = [one for one in self.children.values() if one not in first and one not in last]
        for one in self.sockets:
            one.close()
        for group in (first, middle, *([one] for one in reversed(last))):
            self._end(group)

    def _end(self, group: Sequence[Child]) -> None:
        for child in group:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + max(
            (GRACE.get(c.name, GRACE_OTHERS) for c in group), default=0
        )
        for child in group:
            while child.pid and not _reaped(child.pid):
                if time.monotonic() > deadline:
                    os.kill(child.pid, signal.SIGKILL)
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            if child.pid and not child.keeps_root:
                kill_group(child.pid)
            child.pid = 0


class Stopped(Exception):
    """TERM, HUP or Ctrl-C."""


def up(ground: Ground) -> None:
    """The command. Exits with one sentence when it cannot start."""
    from django.conf import settings

    try:
        names = processes.wanted(os.environ.get("MAILADMIN_PROCESSES"))
    except ValueError as unknown:
        sys.exit(f"MAILADMIN_PROCESSES names {unknown}; it knows {', '.join(processes.ALL)}.")
    supervisor = Supervisor(
        ground=ground,
        port=settings.PORT,
        production=settings.PRODUCTION,
        embedded_broker=not os.environ.get("MAILADMIN_BROKER_URL"),
        names=names,
    )
    try:
        supervisor.run()
    except Stopped:
        say("Stopped.")
    except CannotStart as refusal:
        sys.exit(str(refusal))


def _bootstrap(*, migrates: bool) -> dict[str, str]:
    from mailadmin.bootstrap import bootstrap  # after Django's apps are ready

    return bootstrap(migrates=migrates)


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def say(line: str) -> None:
    print(line, flush=True)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _default_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_DFL)
