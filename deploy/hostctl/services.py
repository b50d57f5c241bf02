"""Sendmail or Postfix, Dovecot and the bridge: whether they run, start, stop, reload.

A running daemon is told by signal or by its own tool, whoever started it.  A daemon that
is not running is *started*, never signalled: through systemd where that is PID 1, else
directly by full path (a HUP makes Sendmail execute argv[0] again: a bare name kills it).

"Up" means: its process is alive and each of its ports is listened on.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import signal
import time
from pathlib import Path
from typing import Dict, FrozenSet, List, Optional

from . import durable, paths
from .host import Run, run

PATIENCE = 75.0
"""Seconds a daemon may take to come back.  A name that is not fully qualified costs Sendmail
a minute at every start (measured 59.7 s); that is slow, not broken."""
_DEAD_FOR = 3.0
_REBINDS, _REBOUND = 0.1, 2.0
"""Seconds until Dovecot has closed and opened its ports in a reload, and until it must have."""
_DELIVERY_ENDS = 10.0
_DELIVERS = re.compile(r": (client |user open)")
"""In the title of a process of Sendmail's that hands a message on."""
_PORTS = (25, 110, 143, 465, 587, 993, 995)


class ServiceFailed(Exception):
    """A daemon did not do as told; the message holds its own words."""


def under_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def listening() -> FrozenSet[int]:
    """Which of the mail ports anything listens on, in this network namespace."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                found.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(port for port in _PORTS if port in found)


def alive(pid: int, word: str) -> bool:
    """Whether this process lives and is what we take it for (a pid may have been given away)."""
    exe = ""
    with contextlib.suppress(OSError):  # a container's root may not look into other users'
        exe = os.readlink(f"/proc/{pid}/exe")
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status not in ("Z", "X") and (word in exe or word in line)


class Service:
    """One daemon.  `ports` are what proves that it came up with a configuration of ours."""

    name = ""
    word = ""
    unit = ""
    ports: FrozenSet[int] = frozenset()

    def __init__(self, layout: paths.Layout, run: Run = run, patience: float = PATIENCE) -> None:
        self.layout = layout
        self.run = run
        self.patience = patience

    def pid_file(self) -> Path:
        raise NotImplementedError

    def pid(self) -> Optional[int]:
        try:
            found = int(self.pid_file().read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return found if alive(found, self.word) else None

    def launch(self) -> None:
        """Starts it without systemd."""
        raise NotImplementedError

    def signal_reload(self, pid: int) -> None:
        raise NotImplementedError

    def signal_stop(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)

    def signal_kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def start(self, ports: FrozenSet[int] = frozenset()) -> None:
        if self.pid() is not None:
            return
        if under_systemd():
            self.run(["/usr/bin/systemctl", "reset-failed", self.unit], timeout=10)
            # A unit that systemd believes to be active would not be started again.
            told = self.run(["/usr/bin/systemctl", "restart", self.unit], timeout=self.patience)
            if told.status != 0:
                raise ServiceFailed(f"{self.name} did not start: {told.words}")
        else:
            self.launch()
        self.wait(ports)

    def stop(self) -> None:
        pid = self.pid()
        if pid is None:
            return
        if under_systemd():
            self.run(["/usr/bin/systemctl", "stop", self.unit], timeout=60)
        if self.pid() == pid:
            with contextlib.suppress(ProcessLookupError):
                self.signal_stop(pid)
        self._wait_gone(pid, 30)
        if self.pid() == pid:
            with contextlib.suppress(ProcessLookupError):
                self.signal_kill(pid)
            self._wait_gone(pid, 5)

    def stop_for_good(self) -> None:
        """No session that it began goes on either."""
        self.stop()

    def restart(self, ports: FrozenSet[int] = frozenset()) -> None:
        self.stop()
        self.start(ports)

    def reload(self, ports: FrozenSet[int] = frozenset()) -> None:
        """Starts it when it is not running, or when the reload was its end."""
        pid = self.pid()
        if pid is None:
            self.start(ports)
            return
        try:
            self.signal_reload(pid)
            if self.pid() is None:  # looked for long enough: each second more, nobody gets mail in
                raise ServiceFailed(f"{self.name} is not running any more.")
            self.wait(ports)
        except ServiceFailed:
            if self.pid() is not None:
                raise
            self.start(ports)

    def act(self, what: str, ports: FrozenSet[int] = frozenset()) -> None:
        if what == "stop":
            self.stop()
            return
        {"start": self.start, "reload": self.reload, "restart": self.restart}[what](ports)

    def wait(self, ports: FrozenSet[int], patience: Optional[float] = None) -> None:
        """Until it is up; gives up early when no process of it is left."""
        patience = self.patience if patience is None else patience
        until = time.monotonic() + patience
        gone_since: Optional[float] = None
        closed = ports
        while True:
            now = time.monotonic()
            if self.pid() is not None:
                gone_since = None
                closed = ports - listening()
                if not closed:
                    return
            elif gone_since is None:
                gone_since = now
            if gone_since is not None and now - gone_since > _DEAD_FOR:
                raise ServiceFailed(f"{self.name} is not running any more.")
            if now > until:
                raise ServiceFailed(
                    f"{self.name} runs, but after {patience:g} seconds nothing listens on "
                    f"port {', '.join(map(str, sorted(closed)))}."
                )
            time.sleep(0.02)

    def _wait_gone(self, pid: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and alive(pid, self.word):
            time.sleep(0.02)


class Sendmail(Service):
    name, word, unit = "sendmail", "sendmail", "sendmail.service"
    ports = frozenset({25, 465, 587})
    binary = "/usr/sbin/sendmail"

    def pid_file(self) -> Path:
        """Where the live cf says; the system's own place when it does not."""
        with contextlib.suppress(OSError):
            for line in self.layout.at("/etc/mail/sendmail.cf").open(errors="replace"):
                if line.startswith("O PidFile="):
                    return self.layout.at(line.split("=", 1)[1].strip())
        return self.layout.at(paths.FAMILIES[self.layout.family].sendmail_pid)

    def launch(self) -> None:
        family = paths.FAMILIES[self.layout.family]
        folder = self.layout.at(family.sendmail_pid).parent
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(KeyError, PermissionError):
            if family.sendmail_user:
                user, group = family.sendmail_user, family.sendmail_group
                os.chown(folder, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
                folder.chmod(0o2755)
        told = self.run([self.binary, "-Am", "-L", "sm-mta", "-bd", "-q10m"], timeout=self.patience)
        if told.status != 0:
            raise ServiceFailed(f"Sendmail did not start: {told.words}")

    def stop_for_good(self) -> None:
        """A child goes on serving its client with the configuration that it began with: it would
        take mail that nobody then delivers.  What it has not acknowledged is sent again; what is
        being delivered is given some seconds."""
        pid = self.pid()
        group = os.getpgid(pid) if pid is not None else 0
        self.stop()
        until = time.monotonic() + _DELIVERY_ENDS
        left = _of_group(group)
        while left and time.monotonic() < until:
            for child, title in left.items():
                if not _DELIVERS.search(title):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGTERM)
            time.sleep(0.1)
            left = _of_group(group)

    def signal_reload(self, pid: int) -> None:
        started = start_time(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        # It executes itself again and detaches anew, as another process.  Until then the old
        # one would pass for the new one.
        until = time.monotonic() + self.patience
        gone_since: Optional[float] = None
        while time.monotonic() < until:
            now = self.pid()
            if now is not None and (now != pid or start_time(now) != started):
                return
            if now is None:
                gone_since = gone_since or time.monotonic()
                if time.monotonic() - gone_since > _DEAD_FOR:
                    return
            time.sleep(0.01)
        raise ServiceFailed(f"Sendmail did not answer a HUP within {self.patience:g} seconds.")


class Postfix(Service):
    """Stopped by TERM, which is all that `postfix stop` does, too: that one would first read the
    configuration, and a broken one must not keep us from stopping what runs."""

    name, word, unit = "postfix", "master", "postfix.service"
    ports = frozenset({25, 465, 587})
    binary = paths.POSTFIX

    def __init__(self, layout: paths.Layout, run: Run = run, patience: float = 20) -> None:
        super().__init__(layout, run, patience)

    def pid_file(self) -> Path:
        return self.layout.at(paths.POSTFIX_PID)

    def launch(self) -> None:
        self._told("start")

    def signal_reload(self, pid: int) -> None:
        self._told("reload")

    def signal_kill(self, pid: int) -> None:
        os.killpg(pid, signal.SIGKILL)  # as `postfix stop` does: its master leads all the others

    def _told(self, what: str) -> None:
        told = self.run([self.binary, what], timeout=self.patience)
        if told.status != 0:
            raise ServiceFailed(f"Postfix did not {what}: {told.words}")


class Dovecot(Service):
    name, word, unit = "dovecot", "dovecot", "dovecot.service"
    ports = frozenset({993, 995})

    def pid_file(self) -> Path:
        return self.layout.at(paths.DOVECOT_PID)

    def launch(self) -> None:
        told = self.run(["/usr/sbin/dovecot"], timeout=self.patience)
        if told.status != 0:
            raise ServiceFailed(f"Dovecot did not start: {told.words}")

    def signal_reload(self, pid: int) -> None:
        told = self.run(["/usr/bin/doveadm", "reload"], timeout=30)
        if told.status != 0:
            raise ServiceFailed(f"Dovecot did not reload: {told.words}")
        time.sleep(_REBINDS)

    def reload(self, ports: FrozenSet[int] = frozenset()) -> None:
        """Restarts it when the reload lost a port: one that moves between all addresses and a
        single one meets itself ("Address already in use"), and stays closed."""
        pid = self.pid()
        if pid is None or not ports:
            super().reload(ports)
            return
        self.signal_reload(pid)
        try:
            self.wait(ports, _REBOUND)
        except ServiceFailed:
            self.restart(ports)


class Bridge(Service):
    name, word, unit = "bridge", "hostctl", "mailadmin-bridge.service"

    def __init__(
        self,
        layout: paths.Layout,
        run: Run = run,
        patience: float = 10,
        program: Optional[List[str]] = None,
    ) -> None:
        super().__init__(layout, run, patience)
        self.program = program or ["/usr/bin/python3", "-I", paths.HELPER]

    def pid_file(self) -> Path:
        return self.layout.at(paths.BRIDGE_PID)

    def launch(self) -> None:
        durable.folder(self.layout.run, 0o755)
        # It detaches by itself once its socket is bound.
        told = self.run([*self.program, "bridge"], timeout=10)
        if told.status != 0:
            raise ServiceFailed(f"The auth bridge did not start: {told.words}")

    def signal_reload(self, pid: int) -> None:
        return None  # it has no configuration of its own


def start_time(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _of_group(group: int) -> Dict[int, str]:
    """Sendmail's processes of this process group -> what each says it is doing."""
    found: Dict[int, str] = {}
    for name in os.listdir("/proc") if group else ():
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if os.getpgid(int(name)) == group and alive(int(name), "sendmail"):
                said = Path(f"/proc/{name}/cmdline").read_bytes()
                found[int(name)] = said.decode("utf-8", "replace")
    return found


def all_of(layout: paths.Layout, run: Run = run) -> Dict[str, Service]:
    """In the order in which they are told: who is asked before who asks."""
    mta = Postfix if layout.mta == "postfix" else Sendmail
    found: List[Service] = [Dovecot(layout, run), Bridge(layout, run), mta(layout, run)]
    return {service.name: service for service in found}
