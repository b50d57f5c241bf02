"""Whether a session of Postfix's may go on."""

import contextlib
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from deploy.hostctl import policy
from deploy.hostctl.full import Full
from deploy.hostctl.policy import (
    CLOSED,
    FULL,
    LATER,
    MAY_NOT_SEND,
    NO_OBJECTION,
    NO_SENDER,
    SIGN_IN_AGAIN,
    Policy,
)
from tests.hostctl.fakes import FakeHost
from tests.hostctl.test_accounts import alias, apply, box, domain

ANNA = "anna@example.test"


class FullOnes(Full):
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def is_full(self, recipient: str, size: str = "") -> bool:
        self.asked.append((recipient, size))
        return recipient.startswith("fat")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Session:
    """One client's session; what it asks is judged."""

    def __init__(self, judge: Policy, port: str) -> None:
        self.judge, self.port = judge, port
        self.ask("CONNECT")

    def ask(self, state: str, **fields: str) -> str:
        peer = {"client_address": "192.0.2.7", "client_port": self.port}
        return self.judge.judge({"protocol_state": state, **peer, **fields})

    def mail(self, sender: str = ANNA, login: str = "Anna@example.test") -> str:
        return self.ask("MAIL", sender=sender, sasl_username=login)


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    apply(
        host, domain(), box(ANNA), box("closed@example.test", receives=False),
        box("mute@example.test", can_send=False), box("fat@example.test"),
        alias("sales@example.test", ANNA), whole=True,
    )  # fmt: skip
    return host


@pytest.fixture
def judge(filled: FakeHost) -> Policy:
    layout = filled.layout
    return Policy(layout.accounts_db, layout.last_login_db, FullOnes(), Clock())  # type: ignore[arg-type]


def end(host: FakeHost, login: str, at: float) -> None:
    with sqlite3.connect(host.layout.last_login_db) as database:
        database.execute("INSERT OR REPLACE INTO ended VALUES (?, ?)", (login, at))


def test_who_may_send(judge: Policy) -> None:
    session = Session(judge, "1")
    assert session.mail() == NO_OBJECTION
    assert session.mail(sender="") == NO_SENDER
    assert session.mail(login="mute@example.test") == MAY_NOT_SEND
    assert session.mail(login="gone@example.test") == MAY_NOT_SEND
    assert session.ask("MAIL", sender="") == NO_OBJECTION, "a bounce, from who has not signed in"


def test_a_session_from_before_the_end_is_over(judge: Policy, filled: FakeHost) -> None:
    clock: Any = judge._clock
    before = Session(judge, "1")
    assert before.mail() == NO_OBJECTION
    end(filled, ANNA, 1_010.0)
    assert before.mail() == SIGN_IN_AGAIN
    assert before.mail(login="fat@example.test") == NO_OBJECTION, "others' are not"
    clock.now = 1_020.0
    assert Session(judge, "2").mail() == NO_OBJECTION
    assert Session(judge, "1").mail() == NO_OBJECTION, "a port that another client got"


def test_a_session_that_is_older_than_the_bridge_is_over_too(
    judge: Policy, filled: FakeHost
) -> None:
    unknown = Session.__new__(Session)
    unknown.judge, unknown.port = judge, "77"
    assert unknown.mail() == NO_OBJECTION
    end(filled, ANNA, 1.0)
    assert unknown.mail() == SIGN_IN_AGAIN


@pytest.mark.parametrize(
    "recipient, action",
    [
        (ANNA, NO_OBJECTION),
        ("closed@example.test", CLOSED),
        ("Closed+x@example.test", CLOSED),
        ("sales@example.test", NO_OBJECTION),
        ("fat@example.test", FULL),
        ("nobody@example.test", NO_OBJECTION),  # Postfix's own check says that
        ("", NO_OBJECTION),
    ],
)
def test_recipients(judge: Policy, recipient: str, action: str) -> None:
    assert Session(judge, "1").ask("RCPT", recipient=recipient, size="500") == action


def test_the_size_reaches_dovecot(judge: Policy) -> None:
    Session(judge, "1").ask("RCPT", recipient=ANNA, size="4711")
    assert judge.full.asked == [(ANNA, "4711")]  # type: ignore[attr-defined]


def test_what_cannot_be_known_is_for_later(tmp_path: Path) -> None:
    judge = Policy(tmp_path / "a", tmp_path / "b", FullOnes())
    assert Session(judge, "1").mail() == LATER
    assert Session(judge, "1").ask("RCPT", recipient=ANNA) == LATER


def test_many_requests_on_one_connection(judge: Policy) -> None:
    ours, theirs = socket.socketpair()
    threading.Thread(target=judge.answer, args=(theirs,), daemon=True).start()
    with ours:
        ours.settimeout(5)
        stream = ours.makefile("rb")
        for recipient, action in (("closed@example.test", CLOSED), (ANNA, NO_OBJECTION)):
            ours.sendall(
                f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={recipient}\n\n".encode()
            )
            assert stream.readline() == f"action={action}\n".encode()
            assert stream.readline() == b"\n"
        ours.sendall(b"x=" + b"y" * 100_000 + b"\n\n")
        with contextlib.suppress(ConnectionResetError):  # nothing has lines of that length
            assert stream.readline() == b""


def test_the_oldest_sessions_are_forgotten(
    judge: Policy, filled: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "_MOST_SESSIONS", 3)
    for port in range(10):
        Session(judge, str(port))
    assert len(judge._began) == 3
