"""One practice host: an instance of a Debian root, in namespaces of its own.

    directory/
        machine.json    release, image, fqdn, index, overlay
        state.json      pid, started, boot: the host's process 1, if it runs
        root/           where it is mounted, inside its own mount namespace only; else the copy
        upper/ work/    what differs from the image

Started, it has sshd and a log; Sendmail and Dovecot are there as Debian ships them, not running:
starting them is the business of the host's helper. It outlives the process that started it. A
process id that is stale, after a reboot or a kill, is recognised by its start time and boot id.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from deploy.practice import network
from deploy.practice.debian import DebianRoot, Progress, silent
from deploy.practice.errors import PracticeError
from deploy.practice.launch import CAPABILITIES, start_time
from deploy.practice.network import Cable

HERE = Path(__file__).parent
FQDN = re.compile(r"(?=.{1,63}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "dumb"),
}


class Machine:
    def __init__(self, directory: Path | str) -> None:
        """An instance that is there. Raises PracticeError."""
        self.directory = Path(directory)
        try:
            record = json.loads((self.directory / "machine.json").read_text())
        except FileNotFoundError:
            raise PracticeError("absent", "There is no practice host yet.") from None
        self.release: str = record["release"]
        self.image = Path(record["image"])
        self.fqdn: str = record["fqdn"]
        self.overlay: bool = record["overlay"]
        self.cable = Cable(record["index"])
        self._leash: int | None = None

    @classmethod
    def create(
        cls,
        directory: Path | str,
        release: str,
        fqdn: str,
        address_index: int | None = None,
        progress: Progress = silent,
        *,
        cache: Path | None = None,
        overlay: bool | None = None,
    ) -> Self:
        """Make an instance in `directory`, which does not exist or is empty. Raises PracticeError.

        The image is made first if it is not in the cache. `overlay=False` copies it even where the
        disk could share it.
        """
        directory = Path(directory).resolve()
        if (directory / "machine.json").exists():
            raise PracticeError("exists", f"There is a practice host in {directory} already.")
        if not FQDN.fullmatch(fqdn):
            raise PracticeError(
                "fqdn", f"{fqdn} is not a full host name such as mail.example.test."
            )
        image = DebianRoot.ensure(release, progress, cache=cache)
        progress("instance", 0.0)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        if overlay is None:
            overlay = overlay_works(image, directory)
        cable, lock = network.claim(address_index)
        os.close(lock)  # the process that runs the host will hold it
        if overlay:
            for name in ("root", "upper", "work"):
                (directory / name).mkdir(exist_ok=True)
                (directory / name).chmod(0o755)
        else:
            copy = ["cp", "--archive", "--reflink=auto", f"{image}/.", str(directory / "root")]
            done = subprocess.run(copy, capture_output=True, text=True)
            if done.returncode:
                raise PracticeError("disk", f"Debian could not be copied: {done.stderr[-300:]}")
        DebianRoot(release, cache).add_user(directory)
        machine = {"release": release, "image": str(image), "fqdn": fqdn}
        _write(directory / "machine.json", {**machine, "index": cable.index, "overlay": overlay})
        made = cls(directory)
        made._write_names()
        progress("instance", 1.0)
        return made

    # --- running ---------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The host's process 1 as this machine numbers it; None when it does not run."""
        try:
            state = json.loads((self.directory / "state.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        if state["boot"] != BOOT_ID.read_text().strip():
            return None
        return state["pid"] if _alive(state["pid"], state["started"]) else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def address(self) -> str:
        return self.cable.host

    @property
    def console_address(self) -> str:
        return self.cable.console

    @property
    def foreign_address(self) -> str:
        """An address of this machine that the host does not trust; bind to it to test relaying."""
        return self.cable.foreign

    def start(self, progress: Progress = silent, *, leash: bool = False) -> None:
        """Start it unless it runs; returns when sshd answers. Raises PracticeError.

        `address` may differ from before when something else took the addresses in between. On a
        leash it ends with this process, however that ends: for tests.
        """
        if self.running:
            return
        progress("start", 0.0)
        if not self.image.is_dir():
            raise PracticeError(
                "image_gone",
                "The Debian this practice host stands on was removed from the cache: "
                "remove the practice host and make it again.",
            )
        cable, lock = network.claim(self.cable.index)
        handed_on = [lock]
        try:
            if cable != self.cable:
                self.cable = cable
                record = json.loads((self.directory / "machine.json").read_text())
                _write(self.directory / "machine.json", {**record, "index": cable.index})
                self._write_names()
            order = self._order(lock)
            if leash:
                order["leash"], self._leash = os.pipe()
                handed_on.append(order["leash"])
            started = launch(order, pass_fds=handed_on)
        finally:
            for descriptor in handed_on:
                os.close(descriptor)
        _write(self.directory / "state.json", {**started, "boot": BOOT_ID.read_text().strip()})
        progress("start", 0.5)
        self._wait_for_sshd()
        progress("start", 1.0)

    @property
    def was_running(self) -> bool:
        """It runs, or it did when the console or the machine went down."""
        return (self.directory / "state.json").exists()

    def stop(self, *, for_now: bool = False) -> None:
        """End everything in it; a second call does nothing. `for_now` keeps it `was_running`."""
        if (pid := self.pid) is not None:
            handle: int = os.pidfd_open(pid)
            try:
                for number, seconds in ((15, 6.0), (9, 10.0)):
                    if not self.running:
                        break
                    _signal(handle, number)
                    _until(lambda: not self.running, seconds)
            finally:
                os.close(handle)
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        if not for_now:
            (self.directory / "state.json").unlink(missing_ok=True)
        # The kernel takes a moment to remove the cable of a network namespace that ended.
        _until(lambda: not self.cable.is_laid, 5.0)

    def destroy(self) -> None:
        """Stop it and remove all of it; a second call does nothing."""
        self.stop()
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def host_key(self) -> str:
        """sshd's public key, as in known_hosts without the name. Made at the first start."""
        text = self.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(text.split()[:2])

    def authorize(self, public_key: str) -> None:
        """Let the console in: its user, the forced command, the helper. As on any other host."""
        from deploy.hostctl.build import installer

        self.run(["sh"], input=installer(public_key), timeout=120)

    # --- what is in it ---------------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        """The file `inside` as this machine reaches it."""
        relative = inside.lstrip("/")
        if (pid := self.pid) is not None:
            return Path(f"/proc/{pid}/root") / relative
        for layer in ("upper", "root") if self.overlay else ("root",):
            if (path := self.directory / layer / relative).exists():
                return path
        return self.image / relative

    def command(self, argv: Sequence[str], *, user: str = "root") -> list[str]:
        """The command line that runs `argv` inside, with the capabilities of its process 1."""
        if (pid := self.pid) is None:
            raise PracticeError("stopped", "The practice host is not running.")
        enter = ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        enter += ["--root", "--wd"]
        kept = ",".join(f"+cap_{number}" for number in CAPABILITIES)
        confine = ["/usr/bin/setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all"]
        become = [] if user == "root" else ["/usr/sbin/runuser", f"--user={user}", "--"]
        return [*enter, *confine, "--", *become, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,
        check: bool = True,
        timeout: float | None = 60,
        text: bool = True,
        user: str = "root",
    ) -> subprocess.CompletedProcess[Any]:
        """Run `argv` inside and wait for it. `text=False` gives bytes.

        Raises PracticeError when it fails and `check` is set, TimeoutExpired.
        """
        given = input.encode() if isinstance(input, str) else input
        done: subprocess.CompletedProcess[Any] = subprocess.run(
            self.command(argv, user=user),
            **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
            capture_output=True,
            timeout=timeout,
            env=ENVIRONMENT,
        )
        if text:
            done.stdout = done.stdout.decode(errors="replace")
            done.stderr = done.stderr.decode(errors="replace")
        if check and done.returncode:
            said = done.stderr if text else done.stderr.decode(errors="replace")
            raise PracticeError(
                "command", f"{argv[0]} ended with {done.returncode}: {said.strip()[-500:]}"
            )
        return done

    # --- how -------------------------------------------------------------------------------------

    def _order(self, lock: int) -> dict[str, Any]:
        return {
            "image": str(self.image),
            "root": str(self.directory / "root"),
            "upper": str(self.directory / "upper"),
            "work": str(self.directory / "work"),
            "overlay": self.overlay,
            "fqdn": self.fqdn,
            "interface": self.cable.interface,
            "host": self.cable.host,
            "console": self.cable.console,
            "foreign": self.cable.foreign,
            "lock": lock,
            "init": (HERE / "init.py").read_text(),
        }

    def _write_names(self) -> None:
        """The files that say who the host is. Without its full name Sendmail waits a minute."""
        short = self.fqdn.split(".")[0]
        hosts = (
            "127.0.0.1 localhost\n"
            f"{self.cable.host} {self.fqdn} {short}\n"
            f"{self.cable.console} console.practice.example\n"
            f"{self.cable.foreign} elsewhere.example\n"
        )
        files = {
            "hosts": hosts,
            "hostname": f"{self.fqdn}\n",
            "mailname": f"{self.fqdn}\n",
            "resolv.conf": "search .\nnameserver 127.0.0.1\n",
        }
        etc = self.directory / ("upper" if self.overlay else "root") / "etc"
        etc.mkdir(exist_ok=True)
        etc.chmod(0o755)
        for name, text in files.items():
            (etc / name).write_text(text)

    def _wait_for_sshd(self, seconds: float = 30.0) -> None:
        def answers() -> bool:
            try:
                with socket.create_connection((self.address, 22), 1.0) as connection:
                    connection.settimeout(2.0)
                    return connection.recv(4) == b"SSH-"
            except OSError:
                return False

        if not _until(lambda: answers() or not self.running, seconds) or not self.running:
            log = self.path("/var/log/practice-init.log")
            said = log.read_text(errors="replace")[-400:] if log.exists() else ""
            self.stop()
            raise PracticeError("start", f"The practice host did not come up: {said.strip()}")


def launch(order: dict[str, Any], pass_fds: Sequence[int] = ()) -> dict[str, Any]:
    """Run `launch.py`, which needs a process of its own. Raises PracticeError."""
    done = subprocess.run(
        [sys.executable, "-I", str(HERE / "launch.py")],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        pass_fds=pass_fds,
        cwd="/",
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        result = {"error": done.stderr.strip()[-300:]}
    if "error" in result:
        raise PracticeError("start", f"The practice host could not be started: {result['error']}.")
    return result


def overlay_works(image: Path, directory: Path) -> bool:
    """Whether `directory`'s disk can hold what differs from the image; some container disks cannot.

    Tried for real, in namespaces of its own.
    """
    probe = directory / ".probe"
    layers = {name: str(probe / name) for name in ("root", "upper", "work")}
    for path in layers.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    try:
        launch({"probe": "overlay", "overlay": True, "image": str(image), **layers})
    except PracticeError:
        return False
    finally:
        shutil.rmtree(probe)
    return True


def _alive(pid: int, started: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" and start_time(pid) == started
    except (FileNotFoundError, ProcessLookupError):
        return False


def _signal(handle: int, number: int) -> None:
    from signal import pidfd_send_signal

    try:
        pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return


def _until(holds: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)
