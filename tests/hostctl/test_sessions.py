"""Sessions of Sendmail's, which are ended by what the bridge wrote down of them."""

import socket
import sqlite3
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from deploy.hostctl import bridge, sessions
from deploy.hostctl.bridge import Answer
from deploy.hostctl.services import start_time
from deploy.hostctl.uses import Uses
from tests.hostctl.fakes import FakeHost
from tests.hostctl.test_accounts import apply, box, domain

ANNA, BEA = "anna@example.test", "bea@example.test"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called as Sendmail's are."""
    made = subprocess.Popen(["sendmail: accepting", "60"], executable="/bin/sleep")
    yield made
    made.kill()
    made.wait()


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    apply(host, domain(), box(ANNA), box(BEA), whole=True)
    return host


def signed_in(host: FakeHost, address: str, pid: int, started: str = "") -> None:
    uses = Uses(host.layout.last_login_db)
    uses.opened(address, pid, started or start_time(pid))
    assert uses.store()


def is_over(child: subprocess.Popen[bytes]) -> bool:
    try:
        return child.wait(timeout=0.3) is not None
    except subprocess.TimeoutExpired:
        return False


def test_the_process_of_whoever_may_send_still_is_ended(
    filled: FakeHost, child: subprocess.Popen[bytes]
) -> None:
    signed_in(filled, ANNA, child.pid)
    assert sessions.end(filled, [BEA]) == set()
    assert not is_over(child), "another's"
    assert apply(filled, box(ANNA), through=2, end_sessions=[ANNA])["kicked"] == 1
    assert is_over(child)
    assert sessions.end(filled, [ANNA]) == set(), "once"


def test_a_disk_that_cannot_be_written_keeps_no_session_open(
    filled: FakeHost, child: subprocess.Popen[bytes]
) -> None:
    filled.before()
    signed_in(filled, ANNA, child.pid)
    with closing(sqlite3.connect(filled.layout.last_login_db)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE DELETE ON submission"
            " BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
        )
    with pytest.raises(sqlite3.Error, match="disk is full"):
        sessions.end(filled, [ANNA])
    assert is_over(child) and filled.run.kicked == [ANNA]


def test_a_later_process_of_the_same_number_is_left_alone(
    filled: FakeHost, child: subprocess.Popen[bytes]
) -> None:
    signed_in(filled, ANNA, child.pid, started="1")
    sessions.end(filled, [ANNA])
    assert not is_over(child)


def test_who_may_send_no_more_is_told_so_at_the_next_mail(
    filled: FakeHost, child: subprocess.Popen[bytes]
) -> None:
    signed_in(filled, ANNA, child.pid)
    suspended = box(ANNA, can_login=False, can_send=False)
    apply(filled, suspended, through=2, end_sessions=[ANNA])
    assert not is_over(child)


def test_another_program_is_left_alone(filled: FakeHost) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        signed_in(filled, ANNA, other.pid)
        sessions.end(filled, [ANNA])
        assert not is_over(other)
    finally:
        other.kill()
        other.wait()


def test_the_bridge_writes_down_who_asks(filled: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "ask_dovecot", lambda *asked: Answer(True))
    uses = Uses(filled.layout.last_login_db)
    ours, theirs = socket.socketpair()
    for text in (ANNA.encode(), b"x", b"smtp", b""):
        ours.sendall(struct.pack(">H", len(text)) + text)
    bridge.Bridge("", uses=uses).answer(theirs)
    ours.close()
    assert uses.store()
    with closing(sqlite3.connect(filled.layout.last_login_db)) as database:
        ((pid, started, who),) = database.execute("SELECT pid, started, userid FROM submission")
    assert who == ANNA
    assert started == start_time(pid) != ""
