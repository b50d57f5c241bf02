"""Talking to a host's helper over SSH: one request in, events out.

    with connect(target) as host:
        for event in host.call({"v": 1, "verb": "facts", "host": "…"}):
            ...                    # {"event": "step", …}, at last {"event": "result", …}

The host runs one forced command, `hostctl`, whatever is asked for: the request is a JSON header
line on its standard input, followed by the payload; the answer is JSON lines. The host's key is
pinned: a different one is refused before anything is sent. Values in, values out: nothing here
knows a model or the database.

asyncssh (measured: 29-41 ms for a request on an open connection, 120 ms with a new one) runs in one
background thread a process; callers are ordinary blocking code.
"""

import asyncio
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import asyncssh

USER = "mailadmin"
HEADER_MOST = 64 * 1024
LINE_MOST = 4 * 1024 * 1024
CONNECT_SECONDS = 10.0
CALL_SECONDS = 60.0
IDLE_SECONDS = 60.0

Event = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a host is, who it must prove to be, and the key that opens it (OpenSSH PEM)."""

    uuid: str
    fqdn: str
    address: str
    port: int
    host_key: str
    private_key: bytes


class TransportError(Exception):
    """Something between here and the host's helper failed."""


class Unreachable(TransportError):
    """No connection: nothing was asked of the host."""


class HostKeyMismatch(TransportError):
    """Another machine, or a reinstalled one, answers there: nothing was asked of it."""


class LoginRefused(TransportError):
    """The host does not accept the console's key: nothing was asked of it."""


class Broken(TransportError):
    """The connection ended before the result: whether the host did it is not known."""


class HostError(Exception):
    """The helper answered with an error: `code` for programs, the message for people."""

    def __init__(self, code: str, message: str, event: Event) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.event = event


def nothing() -> None: ...


class Connection(Protocol):
    def call(
        self,
        header: Mapping[str, Any],
        payload: bytes = b"",
        *,
        seconds: float = CALL_SECONDS,
        beat: Callable[[], None] = nothing,
    ) -> Iterator[Event]:
        """Yield the helper's `step` events and at last its `result`.

        Raises HostError for its `error`, Broken when the answer stops short. `beat` is called at
        least every two seconds while the host works: whoever waits may have a lease to renew.
        """

    def close(self) -> None: ...


class Transport(Protocol):
    def connect(self, target: Target) -> Connection:
        """Raises Unreachable, HostKeyMismatch or LoginRefused."""


class _Loop:
    """One event loop in one thread, made at first use in each process (workers fork)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True).start()
            return self._loop

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(coroutine, self.get())

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        return self.start(coroutine).result(seconds)


_loop = _Loop()


def encode_header(header: Mapping[str, Any]) -> bytes:
    line = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    if len(line) > HEADER_MOST:
        raise ValueError("a request's header has at most 64 KiB")
    return line


def read_event(line: str) -> Event:
    """One line of the helper's answer; anything else than an event is a broken answer."""
    try:
        event = json.loads(line)
    except ValueError:
        raise Broken(f"not an answer of the helper: {line.strip()[:200]}") from None
    if not isinstance(event, dict) or event.get("event") not in {"step", "result", "error"}:
        raise Broken(f"not an answer of the helper: {line.strip()[:200]}")
    return event


class SshConnection:
    """An open connection; each call is a session of its own on it."""

    def __init__(self, client: asyncssh.SSHClientConnection, name: str) -> None:
        self._client = client
        self._name = name

    @property
    def is_open(self) -> bool:
        return not self._client.is_closed()

    def call(
        self,
        header: Mapping[str, Any],
        payload: bytes = b"",
        *,
        seconds: float = CALL_SECONDS,
        beat: Callable[[], None] = nothing,
    ) -> Iterator[Event]:
        lines: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        running = _loop.start(self._talk(encode_header(header), payload, lines))
        until = time.monotonic() + seconds
        try:
            while True:
                beat()
                try:
                    line = lines.get(timeout=min(2.0, max(0.0, until - time.monotonic())))
                except queue.Empty:
                    if time.monotonic() < until:
                        continue
                    raise Broken(
                        f"{self._name} did not finish within {seconds:.0f} seconds"
                    ) from None
                if isinstance(line, Unreachable):
                    raise line
                if isinstance(line, BaseException):
                    raise Broken(f"the connection to {self._name} ended: {line}") from line
                if line is None:
                    raise Broken(f"{self._name} ended its answer early")
                event = read_event(line)
                if event["event"] == "error":
                    raise HostError(
                        str(event.get("code", "")), str(event.get("message", "")), event
                    )
                yield event
                if event["event"] == "result":
                    return
        finally:
            running.cancel()

    async def _talk(
        self,
        header: bytes,
        payload: bytes,
        lines: "queue.SimpleQueue[str | BaseException | None]",
    ) -> None:
        try:
            process = await self._client.create_process(encoding=None)
        except (OSError, asyncssh.Error) as error:
            lines.put(Unreachable(str(error) or type(error).__name__))
            return
        try:
            async with process:
                process.stdin.write(header)
                for start in range(0, len(payload), 256 * 1024):
                    process.stdin.write(payload[start : start + 256 * 1024])
                    await process.stdin.drain()
                process.stdin.write_eof()
                async for raw in process.stdout:
                    lines.put(raw.decode("utf-8", "replace"))
                said = await process.stderr.read(2000)
                lines.put(Broken(said.decode("utf-8", "replace").strip()) if said else None)
        except (OSError, asyncssh.Error, ValueError) as error:
            lines.put(error)

    def close(self) -> None:
        _loop.get().call_soon_threadsafe(self._client.close)


class SshTransport:
    """Opens connections; keeps one a host open for `idle` seconds after its last use."""

    def __init__(self, *, idle: float = IDLE_SECONDS) -> None:
        self._idle = idle
        self._kept: dict[Target, tuple[SshConnection, float]] = {}
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def connect(self, target: Target) -> "KeptConnection":
        now = time.monotonic()
        with self._lock:
            if self._pid != os.getpid():  # a connection does not survive a fork
                self._kept, self._pid = {}, os.getpid()
            for other, (old, used) in list(self._kept.items()):
                if now - used > self._idle or not old.is_open:
                    del self._kept[other]
                    old.close()
            found = self._kept.pop(target, None)
        connection = found[0] if found else open_ssh(target)
        return KeptConnection(self, target, connection, fresh=found is None)

    def forget(self, fqdn: str) -> None:
        """Close what is kept open to a host: its connection does not answer any more."""
        with self._lock:
            for target in [kept for kept in self._kept if kept.fqdn == fqdn]:
                self._kept.pop(target)[0].close()

    def give_back(self, target: Target, connection: SshConnection) -> None:
        with self._lock:
            if connection.is_open and target not in self._kept:
                self._kept[target] = (connection, time.monotonic())
                return
        connection.close()


class KeptConnection:
    """A connection on loan from the transport; `close` gives it back."""

    def __init__(
        self, owner: SshTransport, target: Target, connection: SshConnection, *, fresh: bool
    ) -> None:
        self._owner, self._target, self._connection = owner, target, connection
        self._fresh = fresh

    def call(
        self,
        header: Mapping[str, Any],
        payload: bytes = b"",
        *,
        seconds: float = CALL_SECONDS,
        beat: Callable[[], None] = nothing,
    ) -> Iterator[Event]:
        fresh, self._fresh = self._fresh, True
        try:
            yield from self._connection.call(header, payload, seconds=seconds, beat=beat)
        except Unreachable:
            if fresh:
                raise
            # It was kept from an earlier job and has died since; nothing was sent on it.
            self._connection.close()
            self._connection = open_ssh(self._target)
            yield from self._connection.call(header, payload, seconds=seconds, beat=beat)

    def close(self) -> None:
        self._owner.give_back(self._target, self._connection)


def open_ssh(target: Target, *, seconds: float = CONNECT_SECONDS) -> SshConnection:
    pinned = asyncssh.import_public_key(target.host_key)
    key = asyncssh.import_private_key(target.private_key)

    async def dial() -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            target.address,
            target.port,
            username=USER,
            client_keys=[key],
            known_hosts=([pinned], [], []),
            server_host_key_algs=_signatures_of(pinned),
            config=None,
            agent_path=None,
            agent_forwarding=False,
            preferred_auth="publickey",
            connect_timeout=seconds,
            login_timeout=seconds,
            keepalive_interval=5,
            keepalive_count_max=3,
        )

    try:
        client = _loop.run(dial(), seconds + 5)
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyMismatch(str(error)) from error
    except asyncssh.PermissionDenied as error:
        raise LoginRefused(str(error)) from error
    except asyncssh.KeyExchangeFailed as error:
        # The pinned key's kind is not offered any more: the host was given other keys.
        raise HostKeyMismatch(str(error)) from error
    except asyncssh.ConnectionLost as error:
        # A host that has no key of the pinned kind may hang up before it says so.
        if asyncssh.import_public_key(read_host_key(target.address, target.port)) != pinned:
            raise HostKeyMismatch(str(error)) from error
        raise Unreachable(str(error)) from error
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    return SshConnection(client, target.fqdn)


def _signatures_of(key: asyncssh.SSHKey) -> list[str]:
    kind = key.get_algorithm()
    return ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]


def read_host_key(address: str, port: int, *, seconds: float = CONNECT_SECONDS) -> str:
    """The host's public key in OpenSSH's format, as it shows it to anybody: not proven yet."""

    async def read() -> asyncssh.SSHKey | None:
        return await asyncio.wait_for(
            asyncssh.get_server_host_key(address, port, config=None), seconds
        )

    try:
        key = _loop.run(read(), seconds + 5)
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    if key is None:
        raise Unreachable("no host key")
    return key.export_public_key().decode().strip()


def fingerprint(public_key: str) -> str:
    """`SHA256:…` as `ssh-keygen -lf` prints it."""
    return str(asyncssh.import_public_key(public_key).get_fingerprint("sha256"))


def make_key_pair(comment: str) -> tuple[bytes, str]:
    """An Ed25519 pair: the private half in OpenSSH's format, the public half as one line."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
    return key.export_private_key(), key.export_public_key().decode().strip()


def last(events: Iterable[Event]) -> Event:
    """The result of a call whose steps nobody wants to see."""
    return list(events)[-1]
