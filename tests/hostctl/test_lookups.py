"""Postfix's tables, asked over a real socket as Postfix asks."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.hostctl import lookups
from tests.hostctl.fakes import FakeHost
from tests.hostctl.test_accounts import alias, apply, box, domain


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    apply(
        host, domain(), domain("rest.test"),
        box("anna@example.test"), box("closed@example.test", receives=False),
        box("out@example.test", can_login=False), box("mute@example.test", can_send=False),
        box("abuse@example.test"), box("ben@rest.test"),
        alias("sales@example.test", "anna@example.test", "OUT@example.test", "x@else.test"),
        alias("*@rest.test", "ben@rest.test"), alias("r&d@rest.test", "anna@example.test"),
        whole=True,
    )  # fmt: skip
    return host


@pytest.fixture
def postfix(filled: FakeHost) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    tables = lookups.Lookups(filled.layout.accounts_db)
    thread = threading.Thread(target=tables.answer, args=(theirs,), daemon=True)
    thread.start()
    with ours:
        ours.settimeout(5)
        yield ours
    thread.join(5)


def ask(client: socket.socket, name: str, key: str) -> str:
    asked = f"{name} {key}".encode()
    client.sendall(b"%d:%b," % (len(asked), asked))
    said = b""
    while not said.endswith(b","):
        said += client.recv(4096)
    length, _, text = said.partition(b":")
    assert int(length) == len(text) - 1, said
    return text[:-1].decode()


NONE = "NOTFOUND "


@pytest.mark.parametrize(
    "name, key, answer",
    [
        ("domain", "example.test", "OK OK"),
        ("domain", "Example.TEST", "OK OK"),
        ("domain", "sub.example.test", NONE),
        ("mailbox", "anna@example.test", "OK anna@example.test"),
        ("mailbox", "Anna+x+y@example.test", "OK anna@example.test"),
        ("mailbox", "closed@example.test", "OK closed@example.test"),
        ("mailbox", "sales@example.test", NONE),
        ("mailbox", "example.test", NONE),
        ("mailbox", "who' OR '1'='1@example.test", NONE),
        ("alias", "sales@example.test", "OK anna@example.test, OUT@example.test, x@else.test"),
        ("alias", "sales+x@example.test", "OK anna@example.test, OUT@example.test, x@else.test"),
        ("alias", "anna@example.test", NONE),
        ("alias", "postmaster@example.test", "OK root"),
        ("alias", "postmaster@elsewhere.test", NONE),
        ("alias", "abuse@example.test", NONE),  # a mailbox of that name
        ("alias", "whoever+x@rest.test", "OK ben@rest.test"),
        ("alias", "abuse@rest.test", "OK root"),
        ("alias", "ben@rest.test", NONE),
        ("alias", "ben+x@rest.test", NONE),
        ("alias", "*@rest.test", NONE),
        ("alias", "r&d@rest.test", "OK anna@example.test"),
        ("alias", "r&d+x@rest.test", "OK anna@example.test"),
        ("alias", "o'hara@rest.test", NONE),
        ("alias", "x%else.test@rest.test", NONE),
        ("alias", "rest.test", NONE),
        ("owner", "anna@example.test", "OK anna@example.test"),
        ("owner", "sales@example.test", "OK anna@example.test"),
        ("owner", "out@example.test", NONE),
        ("owner", "mute@example.test", NONE),
        ("owner", "*@rest.test", NONE),
        ("owner", "ceo@else.test", NONE),
        ("nonsense", "anna@example.test", "PERM there is no such table"),
    ],
)
def test_answers(postfix: socket.socket, name: str, key: str, answer: str) -> None:
    assert ask(postfix, name, key) == answer


def test_a_change_is_seen_on_the_same_connection(postfix: socket.socket, filled: FakeHost) -> None:
    assert ask(postfix, "owner", "anna@example.test") == "OK anna@example.test"
    apply(filled, box("anna@example.test", can_login=False), from_change=1, through=2)
    assert ask(postfix, "owner", "anna@example.test") == NONE


def test_what_cannot_be_read_is_never_not_there(tmp_path: Path) -> None:
    """Postfix would refuse for good what is only asked about too early."""
    ours, theirs = socket.socketpair()
    tables = lookups.Lookups(tmp_path / "missing.sqlite")
    threading.Thread(target=tables.answer, args=(theirs,), daemon=True).start()
    with ours:
        ours.settimeout(5)
        for _ in range(2):
            assert ask(ours, "mailbox", "anna@example.test").startswith("TEMP ")
    assert not (tmp_path / "missing.sqlite").exists()


@pytest.mark.parametrize("said", [b"nonsense", b"99999:x", b"5:abc,", b"3:abc;", b":,", b"\xff"])
def test_what_is_no_question_ends_the_connection(filled: FakeHost, said: bytes) -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(
        target=lookups.Lookups(filled.layout.accounts_db).answer, args=(theirs,), daemon=True
    )
    thread.start()
    with ours:
        ours.settimeout(5)
        ours.sendall(said)
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_WR)
        assert ours.recv(100) == b""
    thread.join(5)
    assert not thread.is_alive()
