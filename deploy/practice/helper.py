"""The root helper: makes and runs practice hosts for a console that is not root itself.

One request a connection, one line of JSON; answers are lines of JSON:

    {"verb": "practice.create", "release": "bookworm", "fqdn": "mail1.example.test", …}
    {"event": "progress", "step": "download", "fraction": 0.07}
    {"event": "result", "state": "running", "address": "192.0.2.6", "host_key": "ssh-ed25519 …", …}
    {"event": "error", "code": "mirror", "message": "The Debian mirror … could not be reached; …"}

The verbs are those of `deploy.practice.verbs` and nothing else; who asks is told by the kernel
(SO_PEERCRED, unix(7)). One job runs at a time. It does not end when its client does: whoever asks
the same again is shown what happened so far and the rest. The last progress is repeated every few
seconds, so that a client sees that the job lives.
"""

import contextlib
import json
import logging
import os
import select
import signal
import socket
import stat
import struct
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from deploy.practice import verbs
from deploy.practice.debian import cache_directory
from deploy.practice.errors import PracticeError

log = logging.getLogger(__name__)

REQUEST_BYTES = 8192
REPEAT_SECONDS = 3.0

Event = dict[str, Any]


class Job:
    """One running verb and all it has said."""

    def __init__(self, verb: str, arguments: dict[str, str]) -> None:
        self.verb = verb
        self.arguments = arguments
        self.events: list[Event] = []
        self.changed = threading.Condition()

    @property
    def is_over(self) -> bool:
        return bool(self.events) and self.events[-1]["event"] in ("result", "error")

    def say(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def progress(self, step: str, fraction: float) -> None:
        last = self.events[-1] if self.events else {}
        if last.get("step") != step or abs(fraction - last.get("fraction", 0.0)) >= 0.01:
            self.say({"event": "progress", "step": step, "fraction": round(fraction, 3)})

    def run(self, directory: Path) -> None:
        function, _ = verbs.VERBS[self.verb]
        try:
            result = function(directory, progress=self.progress, **self.arguments)
            self.say({"event": "result", **result})
        except PracticeError as refusal:
            log.warning("%s: %s: %s", self.verb, refusal.code, refusal.message)
            self.say(_error(refusal.code, refusal.message))
        except Exception as failure:
            log.exception("%s", self.verb)
            message = f"The practice host failed: {type(failure).__name__}: {failure}"
            self.say(_error("internal", message))


class Helper:
    def __init__(self, client_uid: int, directory: Path) -> None:
        self.client_uid = client_uid
        self.directory = directory
        self.job: Job | None = None
        self.one_job = threading.Lock()

    def converse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            _, uid, _ = struct.unpack(
                "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            )
            try:
                request = _request(connection)  # read first, or a refusal would break their pipe
                if uid not in (0, self.client_uid):
                    raise PracticeError("denied", "Only the console itself may ask.")
                job = self.order(request)
            except PracticeError as refusal:
                _send(connection, _error(refusal.code, refusal.message))
                return
            if isinstance(job, dict):
                _send(connection, job)
                return
            _follow(job, connection)

    def order(self, request: Event) -> Job | Event:
        """The job that does it, new or already running; for `status` the answer itself."""
        verb = request.pop("verb", None)
        if not all(isinstance(value, str) for value in (verb, *request.values())):
            raise PracticeError("request", "The verb and every argument are texts.")
        if verb == "practice.status":
            if set(request) - {"name"}:
                raise PracticeError("request", "practice.status takes a name and nothing else.")
            return self.status(request)
        if verb not in verbs.VERBS:
            raise PracticeError("request", "There is no such verb.")
        if unknown := set(request) - verbs.VERBS[verb][1]:
            raise PracticeError("request", f"{verb} takes no {sorted(unknown)[0][:40]}.")
        with self.one_job:
            if self.job is not None and not self.job.is_over:
                if (self.job.verb, self.job.arguments) == (verb, request):
                    return self.job
                raise PracticeError(
                    "busy",
                    "The practice host is busy with something else: try again when it is done.",
                )
            self.job = job = Job(verb, request)
            threading.Thread(target=job.run, args=(self.directory,), daemon=True).start()
            return job

    def status(self, request: dict[str, str]) -> Event:
        job = self.job
        running = None
        if job is not None and not job.is_over:
            last = job.events[-1] if job.events else {}
            running = {
                "verb": job.verb,
                "step": last.get("step", ""),
                "fraction": last.get("fraction", 0.0),
            }
        return {"event": "result", **verbs.status(self.directory, **request), "job": running}


def serve(socket_path: Path | str, client_uid: int, directory: Path | str) -> None:
    """Answer on `socket_path` until SIGTERM or SIGINT; then the hosts are stopped, and started
    again by the next `serve` on the same directory.
    """
    socket_path, directory = Path(socket_path), safe_directory(Path(directory))
    helper = Helper(client_uid, directory)
    with contextlib.suppress(FileNotFoundError):
        socket_path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o111)  # anyone may connect: the kernel says who it is
        listener.bind(str(socket_path))
        os.umask(mask)
        listener.listen(16)

        # A handler that raised could do so where Python drops what is raised, in a destructor.
        ended, alarm = socket.socketpair()
        alarm.setblocking(False)
        signal.set_wakeup_fd(alarm.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        threading.Thread(target=_resume, args=(directory,), daemon=True).start()
        try:
            while ended not in select.select([listener, ended], [], [])[0]:
                connection, _ = listener.accept()
                threading.Thread(target=helper.converse, args=(connection,), daemon=True).start()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            with contextlib.suppress(FileNotFoundError):
                socket_path.unlink()
            verbs.pause_all(directory)


def _resume(directory: Path) -> None:
    for failure in verbs.resume_all(directory):
        log.warning("a practice host did not start again: %s", failure)


def safe_directory(wanted: Path) -> Path:
    """`wanted`, made if need be, if root alone decides what is in it; else a place below the cache.

    The hosts' files are root's, set-user-id programs included. In a folder that someone else could
    rename, its owner would choose what root mounts and runs.
    """
    wanted = wanted.absolute()
    if _only_root_decides(wanted):
        directory = wanted
    else:
        directory = cache_directory() / "instances" / sha256(str(wanted).encode()).hexdigest()[:12]
        directory.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    return directory


def _only_root_decides(path: Path) -> bool:
    if path.resolve() != path:
        return False
    for folder in (path, *path.parents):
        try:
            found = folder.stat()
        except FileNotFoundError:
            continue
        shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid != 0 or (shared and not found.st_mode & stat.S_ISVTX):
            return False
    return True


def _request(connection: socket.socket) -> Event:
    received = b""
    while b"\n" not in received:
        piece = connection.recv(REQUEST_BYTES)
        received += piece
        if not piece or len(received) > REQUEST_BYTES:
            raise PracticeError("request", "A request is one line of JSON.")
    try:
        request = json.loads(received.partition(b"\n")[0])
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise PracticeError("request", "A request is one line of JSON.")
    return request


def _follow(job: Job, connection: socket.socket) -> None:
    shown = 0
    while True:
        with job.changed:
            if shown == len(job.events):
                job.changed.wait(REPEAT_SECONDS)
            events = job.events[shown:] or job.events[-1:]
            shown = len(job.events)
        for event in events:
            _send(connection, event)
            if event["event"] != "progress":
                return


def _send(connection: socket.socket, event: Event) -> None:
    connection.sendall(json.dumps(event).encode() + b"\n")


def _error(code: str, message: str) -> Event:
    return {"event": "error", "code": code, "message": message}
