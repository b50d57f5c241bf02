"""Last uses: what the bridge and Dovecot wrote, as the console reads it."""

import io
import json
import sqlite3
import time
from contextlib import closing

import pytest

from deploy.hostctl import accounts, schema, usage, verbs
from deploy.hostctl.uses import UPSERT, Uses
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import FakeHost

NOW = 1_764_000_000
ANNA = "anna@example.test"


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    accounts.connect(host).close()
    return host


def write(host: FakeHost, *rows: tuple[str, str, int]) -> None:
    with closing(sqlite3.connect(host.layout.last_login_db)) as database, database:
        database.executemany(UPSERT, rows)


def live(host: FakeHost, conf: str) -> None:
    folder = host.layout.generation(1) / "dovecot"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dovecot.conf").write_text(conf)
    if not host.layout.current.is_symlink():
        host.layout.current.symlink_to("generations/1")


def test_what_is_at_the_cursor_or_after_it_is_told(filled: FakeHost) -> None:
    write(filled, (ANNA, "imap", NOW - 500), (ANNA, "pop3", NOW - 400), (ANNA, "smtp", NOW - 300))
    told = usage.collect(filled, cursor=NOW - 400, now=NOW)
    assert told["uses"] == [(ANNA, "pop3", NOW - 400), (ANNA, "smtp", NOW - 300)]
    assert (told["through"], told["more"]) == (NOW, False)
    assert told["cursor"] < NOW, "a login is written a little later than it was"


def test_a_long_answer_ends_with_a_whole_second_and_goes_on_after_it(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MOST", 2)
    at = [NOW - 900, NOW - 800, NOW - 800, NOW - 700, NOW - 600]
    write(filled, *[(f"u{n}@example.test", "imap", each) for n, each in enumerate(at)])
    seen, cursor, rounds = [], 0, 0
    while True:
        told = usage.collect(filled, cursor=cursor, now=NOW)
        seen += [name for name, _, _ in told["uses"]]
        cursor, rounds = told["cursor"], rounds + 1
        if not told["more"]:
            break
    assert sorted(seen) == [f"u{n}@example.test" for n in range(5)]
    assert rounds == 2


def test_a_cursor_from_a_clock_that_was_ahead_loses_nothing(filled: FakeHost) -> None:
    write(filled, (ANNA, "imap", NOW - 10))
    assert usage.collect(filled, cursor=NOW + 9000, now=NOW)["uses"]


@pytest.mark.parametrize(
    "key",
    [
        "last-login/%u/%s",
        "last-login/%{user}/%{protocol}",
        "last-login/%u/%s%{userdb:app}",
        "last-login/%{user}/%{protocol}%{userdb:app | default('')}",
    ],
)
def test_imap_and_pop3_are_recorded_under_a_configuration_that_tells_them_apart(
    filled: FakeHost, key: str
) -> None:
    live(filled, "last_login_key = last-login/%u\n")
    assert usage.collect(filled, cursor=0, now=NOW)["recording"] == {}
    live(filled, f"last_login_key = {key}\n")
    assert usage.collect(filled, cursor=0, now=NOW)["recording"] == {"imap": NOW, "pop3": NOW}
    assert usage.collect(filled, cursor=0, now=NOW + 60)["recording"]["imap"] == NOW
    live(filled, "last_login_key = last-login/%u\n")
    assert usage.collect(filled, cursor=0, now=NOW + 90)["recording"] == {}, "a gap begins anew"


def test_an_older_database_gets_the_table_and_keeps_the_old_one(host: FakeHost) -> None:
    path = host.layout.last_login_db
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(schema.LAST_LOGIN_STEPS[0] + "PRAGMA user_version = 1;")
    accounts.connect(host).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO last_login VALUES (?, ?)", (ANNA, NOW))
        assert database.execute("SELECT count(*) FROM last_use").fetchone() == (0,)


def ask(host: FakeHost, meant: str = "H") -> dict[str, object]:
    asked = {"v": 1, "verb": "usage", "host": meant, "cursor": 0}
    return verbs.serve(host, io.BytesIO(json.dumps(asked).encode() + b"\n"))


def test_the_verb_needs_no_sequence_and_no_accounts_yet(host: FakeHost) -> None:
    assert ask(host)["uses"] == []
    assert not host.layout.accounts_db.exists()


def test_another_host_is_not_answered(filled: FakeHost) -> None:
    filled.layout.identity.write_text(json.dumps({"host": "H", "sequence": 1}))
    assert ask(filled)["uses"] == []
    with pytest.raises(Refused, match="another host"):
        ask(filled, "other")


def test_the_bridge_writes_its_logins_and_since_when(filled: FakeHost) -> None:
    clock = iter([NOW, NOW + 5, NOW + 7, NOW + 9])
    uses = Uses(filled.layout.last_login_db, lambda: next(clock))
    uses.note(ANNA)
    uses.note(ANNA, "abcd2345")
    uses.note(ANNA)
    assert uses.store()
    told = usage.collect(filled, cursor=0, now=NOW + 20)
    assert told["uses"] == [(ANNA, "smtp:abcd2345", NOW + 7), (ANNA, "smtp", NOW + 9)]
    assert told["recording"] == {"smtp": NOW}


def test_a_database_that_is_missing_is_not_made_and_nothing_is_lost(host: FakeHost) -> None:
    uses = Uses(host.layout.last_login_db, lambda: NOW)
    uses.note(ANNA)
    assert not uses.store()
    assert not host.layout.last_login_db.exists()
    accounts.connect(host).close()
    assert uses.store()
    assert usage.collect(host, cursor=0, now=NOW)["uses"] == [(ANNA, "smtp", NOW)]


def sized(host: FakeHost, *rows: tuple[str, int], at: int) -> None:
    """As Dovecot writes, which is an upsert; then at a second of the test's choice."""
    with closing(sqlite3.connect(host.layout.last_login_db)) as database, database:
        for name, size in rows:
            database.execute(
                "INSERT INTO mailbox_size (bytes, messages, userid) VALUES (?, 1, ?)"
                " ON CONFLICT (userid) DO UPDATE SET bytes = excluded.bytes, messages = 1",
                (size, name),
            )
            stamped = database.execute(
                "SELECT changed_at FROM mailbox_size WHERE userid = ?", (name,)
            ).fetchone()
            assert abs(stamped[0] - time.time()) < 60
            database.execute("UPDATE mailbox_size SET changed_at = ? WHERE userid = ?", (at, name))


def test_sizes_that_changed_since_the_cursor_are_told(filled: FakeHost) -> None:
    sized(filled, (ANNA, 700), ("ben@example.test", 5), at=NOW - 500)
    sized(filled, (ANNA, 900), at=NOW - 300)
    assert usage.collect(filled, cursor=0, now=NOW)["sizes"] == [
        ("ben@example.test", 5, NOW - 500),
        (ANNA, 900, NOW - 300),
    ]
    assert usage.collect(filled, cursor=NOW - 400, now=NOW)["sizes"] == [(ANNA, 900, NOW - 300)]


def test_uses_and_sizes_go_on_from_one_cursor(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MOST", 2)
    write(filled, *[(f"u{n}@example.test", "imap", NOW - 900 + n) for n in range(5)])
    for n in range(5):
        sized(filled, (f"u{n}@example.test", n), at=NOW - 950 + 40 * n)
    uses, sizes, cursor, more = [], [], 0, True
    while more:
        told = usage.collect(filled, cursor=cursor, now=NOW)
        uses += told["uses"]
        sizes += told["sizes"]
        cursor, more = told["cursor"], told["more"]
    assert [name for name, *_ in uses] == [f"u{n}@example.test" for n in range(5)]
    assert [name for name, *_ in sizes] == [f"u{n}@example.test" for n in range(5)]
