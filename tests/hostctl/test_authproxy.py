"""Postfix's logins on their way to Dovecot: slowed by account, noted as uses, never made up."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.hostctl.authproxy import LONGEST_WAIT, AuthProxy
from deploy.hostctl.delays import Delays

ANNA = "anna@example.test"


class Dovecot:
    """Takes the password `right`, for PLAIN at once or by CONT, and for LOGIN."""

    def __init__(self, path: Path) -> None:
        self.requests: list[bytes] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        logins: dict[bytes, tuple[bytes, bytes]] = {}
        with client, contextlib.suppress(OSError, IndexError):
            client.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nCUID\t1\nDONE\n")
            for line in client.makefile("rb"):
                self.requests.append(line)
                fields = line.rstrip(b"\n").split(b"\t")
                number = fields[1]
                if fields[0] == b"AUTH":
                    given = next((f[5:] for f in fields if f.startswith(b"resp=")), None)
                    logins[number] = (fields[2], b"")
                    if given is None:
                        client.sendall(b"CONT\t" + number + b"\t\n")
                        continue
                elif fields[0] == b"CONT":
                    given = fields[2]
                else:
                    continue
                mechanism, name = logins[number]
                words = base64.b64decode(given)
                if mechanism == b"LOGIN" and not name:
                    logins[number] = (mechanism, words)
                    client.sendall(b"CONT\t" + number + b"\tUGFzc3dvcmQ6\n")
                    continue
                name, password = (
                    (name, words) if mechanism == b"LOGIN" else tuple(words.split(b"\0")[1:])
                )
                client.sendall(_reply(number, name.lower(), password))


def _reply(number: bytes, name: bytes, password: bytes) -> bytes:
    if password == b"down":
        return b"FAIL\t" + number + b"\tuser=" + name + b"\ttemp\n"
    if password == b"told":
        return b"OK\t" + number + b"\tuser=" + name + b"\tnologin\n"
    if password.endswith(b"right"):
        app = b"\tapp=" + password[:8] if len(password) > 5 else b""
        return b"OK\t" + number + b"\tuser=" + name + app + b"\n"
    return b"FAIL\t" + number + b"\tuser=" + name + b"\n"


class Noted:
    def __init__(self) -> None:
        self.uses: list[tuple[str, str]] = []

    def note(self, login: str, app: str = "") -> None:
        self.uses.append((login, app))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Smtpd:
    """Postfix's side of one connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(b"VERSION\t1\t1\nCPID\t4711\n")
        while self.stream.readline().rstrip(b"\n") != b"DONE":
            pass
        self.number = 0

    def plain(self, password: str, login: str = ANNA) -> bytes:
        self.number += 1
        given = base64.b64encode(f"\0{login}\0{password}".encode())
        self.socket.sendall(
            b"AUTH\t%d\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.7\tresp=%s\n"
            % (self.number, given)
        )
        return self.stream.readline()

    def by_steps(self, mechanism: bytes, *said: str) -> bytes:
        self.number += 1
        self.socket.sendall(b"AUTH\t%d\t%s\tservice=smtp\tsecured\n" % (self.number, mechanism))
        answer = self.stream.readline()
        for words in said:
            if not answer.startswith(b"CONT\t"):
                break
            given = base64.b64encode(words.encode())
            self.socket.sendall(b"CONT\t%d\t%s\n" % (self.number, given))
            answer = self.stream.readline()
        return answer


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Dovecot]:
    made = Dovecot(tmp_path / "auth-client")
    yield made
    made.listener.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def smtpd(dovecot: Dovecot, clock: Clock, noted: Noted, tmp_path: Path) -> Iterator[Smtpd]:
    proxy = AuthProxy(str(tmp_path / "auth-client"), Delays(clock), noted)  # type: ignore[arg-type]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "auth.sock"))
        listener.listen(8)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.answer, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield Smtpd(tmp_path / "auth.sock")


def test_right_and_wrong(smtpd: Smtpd, dovecot: Dovecot, noted: Noted) -> None:
    assert smtpd.plain("right").startswith(b"OK\t1\tuser=anna@example.test")
    assert smtpd.plain("wrong").startswith(b"FAIL\t2\t")
    assert smtpd.plain("abcd2345right").startswith(b"OK\t3\t")
    assert smtpd.by_steps(b"PLAIN", f"\0{ANNA}\0right").startswith(b"OK\t4\t")
    assert smtpd.by_steps(b"LOGIN", "Anna@example.test", "right").startswith(b"OK\t5\t")
    assert smtpd.by_steps(b"LOGIN", ANNA, "wrong").startswith(b"FAIL\t6\t")
    assert noted.uses == [(ANNA, ""), (ANNA, "abcd2345"), (ANNA, ""), (ANNA, "")]
    asked = [line for line in dovecot.requests if line.startswith(b"AUTH")]
    assert all(b"\tno-penalty\t" in line for line in asked), "or a whole office waits"
    assert b"\trip=192.0.2.7\t" in asked[0], "the log tells from where"


def test_who_is_only_told_so_does_not_send(smtpd: Smtpd, noted: Noted) -> None:
    assert smtpd.plain("told") == b"FAIL\t1\tuser=anna@example.test\n"
    assert noted.uses == []


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN"])
def test_guessing_waits_for_its_turn_and_others_do_not(
    smtpd: Smtpd, dovecot: Dovecot, clock: Clock, monkeypatch: pytest.MonkeyPatch, mechanism: bytes
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("deploy.hostctl.authproxy.time.sleep", waited.append)

    def guess(login: str = ANNA) -> bytes:
        if mechanism == b"PLAIN":
            return smtpd.plain("wrong", login)
        return smtpd.by_steps(b"LOGIN", login, "wrong")

    for _ in range(6):
        assert guess().startswith(b"FAIL\t")
    assert [each for each in waited if each] == [1.0, 2.0, 4.0], "the clock stands still"
    asked = len(dovecot.requests)
    assert guess().endswith(b"\ttemp\n"), "later than Postfix waits"
    assert not any(b"resp=" in line or b"CONT" in line for line in dovecot.requests[asked:])
    assert guess("bob@example.test").startswith(b"FAIL\t") and waited[-1] == 0.0
    clock.now += 60
    assert smtpd.plain("right").startswith(b"OK\t")
    for _ in range(3):
        guess()
    assert waited[-1] == 0.0, "a right password forgives"


def test_a_backend_that_is_down_is_nobodys_wrong_password(
    smtpd: Smtpd, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("deploy.hostctl.authproxy.time.sleep", waited.append)
    for _ in range(6):
        assert smtpd.plain("down").endswith(b"\ttemp\n")
    assert set(waited) == {0.0}


def test_dovecot_going_away_ends_the_connection(smtpd: Smtpd, dovecot: Dovecot) -> None:
    """Postfix connects again by itself."""
    assert smtpd.plain("right").startswith(b"OK\t")
    smtpd.socket.sendall(b"AUTH\tnonsense\n")  # the pretended Dovecot dies of it
    smtpd.socket.sendall(b"CONT\t9\tAAAA\n")
    assert smtpd.stream.read() == b""


def test_no_wait_is_longer_than_postfix_waits() -> None:
    assert LONGEST_WAIT + 2 < 10, "Dovecot's own delay after a wrong password comes on top"
