"""The bridge against a backend that speaks Dovecot's auth protocol (1.2)."""

import base64
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.hostctl import bridge, listening, uses
from deploy.hostctl.delays import Delays

Answer = Callable[[bytes, bytes], bytes]


class Backend:
    """Dovecot's auth-client socket; `answer(login, password)` gives the reply's rest."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path, self.answer = path, answer
        self.asked: list[tuple[bytes, bytes]] = []
        self.requests: list[list[bytes]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            stream = client.makefile("rb")
            assert stream.readline().startswith(b"VERSION\t1\t")
            assert stream.readline().startswith(b"CPID\t")
            client.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t7\nCUID\t1\nDONE\n")
            fields = stream.readline().rstrip(b"\n").split(b"\t")
            if not fields[0]:
                return
            assert fields[:3] == [b"AUTH", b"1", b"PLAIN"]
            initial = next(f for f in fields if f.startswith(b"resp="))[5:]
            _, login, password = base64.b64decode(initial).split(b"\0")
            self.asked.append((login, password))
            self.requests.append(fields)
            client.sendall(self.answer(login, password))

    def close(self) -> None:
        self.listener.close()
        self.path.unlink()


def judge(login: bytes, password: bytes) -> bytes:
    if password == b"right":
        return b"OK\t1\tuser=" + login + b"\n"
    if password == b"abcd2345right":
        return b"OK\t1\tuser=" + login + b"\tapp=abcd2345\n"
    return b"FAIL\t1\tuser=" + login + b"\n"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = Backend(tmp_path / "auth-client", judge)
    yield made
    if made.path.exists():
        made.close()


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., bytes]]:
    """Asks as the SASL library does; the reply, empty when there was none."""
    served = bridge.Bridge(str(tmp_path / "auth-client"))
    listener = listening.listen(tmp_path / "bridge.sock")

    def serve() -> None:
        with contextlib.suppress(OSError):  # until the test closes the socket
            served.serve(listener)

    threading.Thread(target=serve, daemon=True).start()

    def question(login: str, password: str, service: str = "smtp", realm: str = "") -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(tmp_path / "bridge.sock"))
            for text in (login, password, service, realm):
                client.sendall(struct.pack(">H", len(text.encode())) + text.encode())
            reply = client.makefile("rb").read()
        if not reply:
            return b""
        assert struct.unpack(">H", reply[:2])[0] == len(reply) - 2
        return reply[2:]

    yield question
    listener.close()


Ask = Callable[..., bytes]


def test_right_and_wrong(backend: Backend, ask: Ask) -> None:
    assert ask("anna@example.test", "right") == b"OK"
    assert ask("anna@example.test", "wrong") == b"NO"
    assert b"no-penalty" in backend.requests[0], "or bystanders wait for others' mistakes"
    assert b"secured" in backend.requests[0] and b"service=smtp" in backend.requests[0]


def test_the_realm_completes_a_bare_login(backend: Backend, ask: Ask) -> None:
    ask("anna", "right", realm="example.test")
    ask("bob@example.test", "right", realm="mail.example.test")
    assert [login for login, _ in backend.asked] == [b"anna@example.test", b"bob@example.test"]


def test_a_login_that_may_not_log_in_may_not_send(tmp_path: Path, ask: Ask) -> None:
    made = Backend(tmp_path / "auth-client", lambda u, p: b"OK\t1\tuser=x\tnologin\n")
    assert ask("anna@example.test", "right") == b"NO"
    made.close()


def test_nul_cannot_move_the_password_into_the_login(backend: Backend, ask: Ask) -> None:
    assert ask("anna@example.test", "x\0right") == b"NO"
    assert ask("victim\0anna@example.test", "right") == b"NO"
    assert backend.asked == []


def test_a_temporary_failure_is_not_a_wrong_password(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "_BACKEND_PATIENCE", 0.3)
    made = Backend(tmp_path / "auth-client", lambda u, p: b"FAIL\t1\tuser=x\ttemp\n")
    assert ask("anna@example.test", "right") == b""
    made.close()


def test_a_backend_that_is_down_is_not_a_wrong_password(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "_BACKEND_PATIENCE", 0.3)
    assert ask("anna@example.test", "right") == b""


def test_a_backend_that_restarts_is_waited_for(tmp_path: Path, ask: Ask) -> None:
    made: list[Backend] = []
    timer = threading.Timer(0.8, lambda: made.append(Backend(tmp_path / "auth-client", judge)))
    timer.start()
    assert ask("anna@example.test", "right") == b"OK"
    made[0].close()


@pytest.mark.parametrize("sent", [b"", b"\0", b"\xff\xff" + b"x" * 70000, b"\0\4ab"])
def test_nonsense_is_hung_up_on(tmp_path: Path, ask: Ask, backend: Backend, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(tmp_path / "bridge.sock"))
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(10) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert ask("anna@example.test", "right") == b"OK"


def test_only_its_owner_may_ask(tmp_path: Path) -> None:
    listener = listening.listen(tmp_path / "socket")
    assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600
    listener.close()


def test_a_guesser_does_not_slow_down_others(backend: Backend, ask: Ask) -> None:
    guesses = [
        threading.Thread(target=ask, args=("anna@example.test", f"guess{n}"), daemon=True)
        for n in range(12)
    ]
    for guess in guesses:
        guess.start()
    time.sleep(0.3)
    started = time.monotonic()
    assert ask("bob@example.test", "right") == b"OK"
    assert time.monotonic() - started < 1
    assert len([1 for login, _ in backend.asked if login.startswith(b"anna")]) < 12


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_three_are_free_then_each_waits_longer() -> None:
    clock = Clock()
    delays = Delays(clock)
    waits = []
    for _ in range(8):
        wait = delays.turn("a")
        assert wait is not None
        clock.now += wait
        waits.append(wait)
        delays.failed("a")
    assert waits[:3] == [0, 0, 0]
    assert waits[3:6] == [1, 2, 4]
    assert max(waits) <= delays.LONGEST


def test_parallel_guesses_stand_in_line_and_a_long_line_is_sent_away() -> None:
    clock = Clock()
    delays = Delays(clock)
    for _ in range(6):
        delays.failed("a")
    turns = [delays.turn("a") for _ in range(20)]
    waits = [turn for turn in turns if turn is not None]
    assert waits == sorted(waits) and waits[1] - waits[0] == delays.LONGEST
    assert None in turns and len(waits) <= delays.PATIENCE / delays.LONGEST + 2
    assert delays.turn("b") == 0


def test_success_and_time_forgive() -> None:
    clock = Clock()
    delays = Delays(clock)
    for _ in range(9):
        delays.failed("a")
        delays.failed("b")
    delays.succeeded("a")
    assert delays.turn("a") == 0
    clock.now += delays.FORGET + 1
    assert delays.turn("b") == 0


def test_made_up_names_do_not_fill_the_memory() -> None:
    delays = Delays(Clock())
    for number in range(delays.MOST + 50):
        delays.failed(str(number))
    assert len(delays._known) == delays.MOST


def test_who_signed_in_is_noted_and_who_did_not_is_not(
    tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = uses.Uses(tmp_path / "missing.sqlite", lambda: 1_764_000_000)
    served = bridge.Bridge(str(backend.path), uses=noted)
    tries = (
        ("Anna@Example.test", b"right"),
        ("bob@example.test", b"wrong"),
        ("carol@example.test", b"abcd2345right"),
    )
    for login, password in tries:
        ours, theirs = socket.socketpair()
        for text in (login.encode(), password, b"smtp", b""):
            ours.sendall(struct.pack(">H", len(text)) + text)
        served.answer(theirs)
        ours.close()
    written: dict[tuple[str, str], int] = {}
    monkeypatch.setattr(noted, "_write", written.update)
    noted.store()
    assert written == {
        ("anna@example.test", "smtp"): 1_764_000_000,
        ("carol@example.test", "smtp:abcd2345"): 1_764_000_000,
    }
