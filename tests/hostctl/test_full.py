"""Full mailboxes, as Sendmail asks about them: the accounts' database is real, Dovecot pretends."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.hostctl import accounts, full
from tests.hostctl.fakes import FakeHost
from tests.hostctl.test_accounts import alias, apply, box, domain

FULL = b"7:OK FULL,"
ROOM = b"9:NOTFOUND ,"


class Dovecot:
    """Postfix's policy protocol; `said` is the action for each mailbox."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client:
                    lines = iter(client.makefile("r").readline, "\n")
                    asked = dict(line.rstrip("\n").split("=", 1) for line in lines)
                    assert asked["request"] == "smtpd_access_policy"
                    self.asked.append((asked["recipient"], asked["size"]))
                    action = self.said.get(asked["recipient"], "DUNNO")
                    client.sendall(f"action={action}\n\n".encode())


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Dovecot]:
    made = Dovecot(tmp_path / "quota")
    yield made
    made.listener.close()


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    quota = {"quota_bytes": 10_000}
    apply(
        host, domain(), domain("rest.test"), box("free@example.test"),
        box("full@example.test", **quota), box("more@example.test", **quota),
        box("room@example.test", **quota),
        alias("sales@example.test", "full@example.test"),
        alias("deep@example.test", "Sales@example.test", "more@example.test"),
        alias("some@example.test", "full@example.test", "room@example.test"),
        alias("away@example.test", "full@example.test", "x@else.test"),
        alias("circle@example.test", "circle@example.test"),
        whole=True,
    )  # fmt: skip
    return host


@pytest.fixture
def asked(filled: FakeHost, dovecot: Dovecot) -> full.Full:
    dovecot.said = dict.fromkeys(
        ("full@example.test", "more@example.test"), "552 5.2.2 Mailbox is full"
    )
    return full.Full(filled.layout.accounts_db, str(dovecot.path))


@pytest.mark.parametrize(
    ("recipient", "is_full"),
    [
        ("full@example.test", True),
        ("FULL@Example.test", True),
        ("full+lists@example.test", True),
        ("room@example.test", False),
        ("free@example.test", False),
        ("sales@example.test", True),
        ("deep@example.test", True),
        ("some@example.test", False),
        ("away@example.test", False),
        ("circle@example.test", False),
        ("postmaster@example.test", False),
        ("nobody@example.test", False),
    ],
)
def test_what_a_recipient_leads_to_is_full_or_not(
    asked: full.Full, recipient: str, is_full: bool
) -> None:
    assert asked.is_full(recipient) is is_full


def test_only_mailboxes_with_a_quota_cost_a_question(asked: full.Full, dovecot: Dovecot) -> None:
    asked.is_full("free@example.test", "77")
    assert dovecot.asked == []
    asked.is_full("full@example.test", "77")
    asked.is_full("room@example.test", "7\nrecipient=x")
    assert dovecot.asked == [("full@example.test", "77"), ("room@example.test", "")]


def test_a_catch_all_into_a_full_mailbox_is_full(filled: FakeHost, asked: full.Full) -> None:
    with accounts.opened(filled) as database:
        database.execute(
            "INSERT INTO alias VALUES (?, ?)", ("*@rest.test", json.dumps(["full@example.test"]))
        )
    assert asked.is_full("whoever@rest.test")
    assert not asked.is_full("abuse@rest.test"), "it goes to the server's root"
    assert not asked.is_full("whoever@example.test"), "another domain"


@pytest.mark.parametrize("said", ["DEFER_IF_PERMIT internal error", "OK", "DUNNO"])
def test_any_other_answer_lets_mail_in(asked: full.Full, dovecot: Dovecot, said: str) -> None:
    dovecot.said["full@example.test"] = said
    assert not asked.is_full("full@example.test")


def test_whoever_cannot_be_asked_has_room(filled: FakeHost, tmp_path: Path) -> None:
    database = filled.layout.accounts_db
    assert not full.Full(database, str(tmp_path / "nobody")).is_full("full@example.test")
    missing = full.Full(tmp_path / "no.sqlite", str(tmp_path / "nobody"))
    assert not missing.is_full("full@example.test")
    assert not missing.database.exists()


def test_a_dovecot_that_hangs_holds_nobody_up_for_long(
    filled: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full, "_ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen(1)
        judge = full.Full(filled.layout.accounts_db, str(tmp_path / "silent"))
        assert not judge.is_full("deep@example.test")


def test_one_connection_asks_again_and_again(asked: full.Full) -> None:
    ours, theirs = socket.socketpair()
    threading.Thread(target=asked.answer, args=(theirs,), daemon=True).start()
    with ours:
        ours.settimeout(10)
        for recipient, reply in (("full", FULL), ("room", ROOM), ("full", FULL)):
            question = f"full 500:{recipient}@example.test".encode()
            ours.sendall(b"%d:%b," % (len(question), question))
            assert ours.recv(100) == reply


@pytest.mark.parametrize("sent", [b"", b"x", b":", b"99999:", b"5:full x", b"2000:" + b"a" * 2001])
def test_nonsense_is_hung_up_on(asked: full.Full, sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(10)
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        asked.answer(theirs)
        with contextlib.suppress(ConnectionResetError):
            assert ours.recv(100) == b""
