import io
import json
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest

from deploy.hostctl import accounts, deltas, maps, schema
from deploy.hostctl.host import Ran
from deploy.hostctl.wire import Refused
from deploy.render.dovecot import password_query
from tests.hostctl.fakes import HASH, FakeHost

Line = dict[str, object]


def box(address: str, **changes: object) -> Line:
    return {
        "mailbox": {
            "address": address, "password": HASH, "can_login": True, "can_send": True,
            "receives": True, "quota_bytes": 0, **changes,
        }
    }  # fmt: skip


def app(selector: str, **changes: object) -> Line:
    return {
        "selector": selector, "password": HASH, "imap": True, "pop3": False, "sending": False,
        "expires_at": 0, **changes,
    }  # fmt: skip


def alias(address: str, *targets: str) -> Line:
    return {"alias": {"address": address, "targets": list(targets)}}


def domain(name: str = "example.test") -> Line:
    return {"domain": {"name": name}}


def apply(host: FakeHost, *lines: Line, through: int = 1, **changes: object) -> dict[str, object]:
    payload = "".join(json.dumps(line) + "\n" for line in lines).encode()
    options = {
        "lineage": "L", "from_change": 0, "through_change": through, "whole": False,
        "force": False, "end_sessions": [], **changes,
    }  # fmt: skip
    return accounts.apply(host, lines=io.BytesIO(payload), **options)  # type: ignore[arg-type]


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    apply(
        host, domain(), *(box(f"user{n}@example.test") for n in range(40)),
        alias("sales@example.test", "user1@example.test", "user2@example.test", "Far@else.test"),
        whole=True,
    )  # fmt: skip
    host.run.maps_built.clear()
    return host


def rows(host: FakeHost, name: str) -> dict[str, str]:
    lines = (host.layout.maps / f"{name}.db").read_text().splitlines()
    return dict(line.split("\t") for line in lines)


def test_the_maps_say_what_the_database_says(filled: FakeHost) -> None:
    access = rows(filled, "access")
    assert access["To:user1@example.test"] == "RELAY"
    assert access["To:sales@example.test"] == "RELAY"
    assert access["To:example.test"] == "ERROR:5.1.1:550 No such user here"
    assert rows(filled, "mailertable") == {"example.test": "dovecot:localhost"}
    assert len(rows(filled, "cansend")) == 40
    assert rows(filled, "sendas") == {
        "user1@example.test:sales@example.test": "OK",
        "user2@example.test:sales@example.test": "OK",
    }
    aliases = rows(filled, "aliases")
    assert aliases["sales@example.test"] == "user1@example.test, user2@example.test, Far@else.test"


def test_the_servers_own_name_comes_before_the_domain_above_it(filled: FakeHost) -> None:
    access = rows(filled, "access")
    for role in ("root", "postmaster", "abuse", "mailer-daemon"):
        assert access[f"To:{role}@mail.example.test"] == "RELAY"
    assert access["To:mail.example.test"] == "OK"


def test_a_server_named_as_its_domain_keeps_the_gate(host: FakeHost) -> None:
    apply(host, domain("mail.example.test"), whole=True)
    assert rows(host, "access")["To:mail.example.test"].startswith("ERROR")


def test_postmaster_and_abuse_are_always_accepted(filled: FakeHost) -> None:
    access, aliases = rows(filled, "access"), rows(filled, "aliases")
    for role in ("postmaster@example.test", "abuse@example.test"):
        assert access[f"To:{role}"] == "RELAY"
        assert aliases[role] == "root"
    apply(
        filled, alias("postmaster@example.test", "user1@example.test"), box("abuse@example.test"),
        through=2,
    )  # fmt: skip
    assert rows(filled, "aliases")["postmaster@example.test"] == "user1@example.test"
    assert "abuse@example.test" not in rows(filled, "aliases")
    apply(
        filled, {"remove": "postmaster@example.test"}, {"remove": "abuse@example.test"}, through=3
    )
    assert rows(filled, "aliases")["abuse@example.test"] == "root"
    assert rows(filled, "access")["To:postmaster@example.test"] == "RELAY"


def test_suspending_touches_one_map(filled: FakeHost) -> None:
    line = box("user1@example.test", can_login=False, can_send=False)
    filled.run.logged_in = {"user1@example.test"}
    filled.services["dovecot"]._store(up=True)
    result = apply(filled, line, through=2, end_sessions=["user1@example.test"])
    assert filled.run.maps_edited == ["cansend"] == result["maps"]
    assert filled.run.maps_built == [], "100,000 entries would take most of a second"
    assert "user1@example.test" not in rows(filled, "cansend")
    assert result["kicked"] == 1
    assert rows(filled, "access")["To:user1@example.test"] == "RELAY", "mail keeps arriving"


@pytest.mark.parametrize(
    ("line", "built"),
    [
        (box("user1@example.test"), []),
        (box("user1@example.test", password="{BLF-CRYPT}$2b$12$abc", quota_bytes=5), []),
        (box("user1@example.test", receives=False), ["access"]),
        (box("user1@example.test", can_send=False), ["cansend"]),
        (box("new@example.test"), ["cansend", "access", "sendas"]),
        (alias("sales@example.test", "user3@example.test"), ["aliases", "sendas"]),
        (alias("new@example.test", "user3@example.test"), ["access", "aliases", "sendas"]),
        (domain(), []),
        (domain("other.test"), ["access", "mailertable", "aliases"]),
        ({"remove": "nobody@example.test"}, []),
    ],
)
def test_only_what_a_change_touches_is_rebuilt(
    filled: FakeHost, line: Line, built: list[str]
) -> None:
    assert apply(filled, line, through=2)["maps"] == built


def test_edited_maps_are_what_building_them_anew_makes(filled: FakeHost) -> None:
    """Whatever a small delta does, the edited map has the entries of a whole one."""
    deltas_of = [
        [box("user1@example.test", can_send=False), box("user2@example.test", receives=False)],
        [box("new@example.test"), {"remove": "user3@example.test"}],
        [alias("user4@example.test", "user5@example.test")],
        [{"remove": "user4@example.test"}, {"remove": "sales@example.test"}],
        [box("postmaster@example.test", receives=False)],
        [{"remove": "postmaster@example.test"}],
        [box("user4@example.test"), {"remove": "user4@example.test"}],
        [domain("other.test"), box("a@other.test")],
        [{"remove_domain": "other.test"}],
        [alias("abuse@example.test", "user1@example.test"), box("abuse@example.test")],
    ]
    for through, lines in enumerate(deltas_of, start=2):
        apply(filled, *lines, through=through)
        edited = {name: rows(filled, name) for name in maps.ONE}
        with accounts.opened(filled) as database:
            for name in maps.ONE:
                maps.build(filled, database, name, "mail.example.test")
        assert edited == {name: rows(filled, name) for name in maps.ONE}, lines
    assert set(filled.run.maps_edited) == set(maps.ONE)


def test_a_map_that_was_left_in_pieces_is_made_anew(filled: FakeHost) -> None:
    def torn(argv: list[str]) -> Ran:
        path = filled.layout.maps / f"{argv[3]}.db"
        path.write_text(path.read_text()[:100])
        raise OSError("the power is gone")

    filled.run._editmap = torn  # type: ignore[method-assign]
    with pytest.raises(OSError, match="power"):
        apply(filled, box("user1@example.test", can_send=False), through=2)
    del filled.run._editmap
    accounts.repair(filled)
    assert len(rows(filled, "cansend")) == 39


def test_on_a_full_disk_no_map_is_changed_where_it_is(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map beside it fails as a whole; a page that has no room would leave half a change."""
    monkeypatch.setattr(maps.shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    apply(filled, box("user1@example.test", can_send=False), through=2)
    assert filled.run.maps_edited == []
    assert filled.run.maps_built == ["cansend"]


def test_an_edited_map_is_newer_than_any_session_knows_it(filled: FakeHost) -> None:
    """Sendmail compares whole seconds."""
    path = filled.layout.maps / "cansend.db"
    for through in range(2, 5):
        before = int(path.stat().st_mtime)
        apply(filled, box("user1@example.test", can_send=bool(through % 2)), through=through)
        assert int(path.stat().st_mtime) > max(before, time.time())


def test_mailboxes_are_counted_as_they_come_and_go(filled: FakeHost) -> None:
    def counted() -> dict[str, int]:
        with accounts.opened(filled) as database:
            return dict(database.execute("SELECT name, mailboxes FROM domain"))

    apply(filled, domain("other.test"), box("a@other.test"), box("user1@example.test"), through=2)
    assert counted() == {"example.test": 40, "other.test": 1}
    apply(filled, {"remove": "user1@example.test"}, box("b@other.test"), through=3)
    assert counted() == {"example.test": 39, "other.test": 2}
    apply(filled, alias("b@other.test", "a@other.test"), through=4)
    assert counted()["other.test"] == 1, "it became an alias"
    assert apply(filled, {"remove_domain": "other.test"}, through=5, force=True)["mailboxes"] == 39
    assert counted() == {"example.test": 39}


def test_a_map_that_cannot_be_edited_is_made_anew(filled: FakeHost) -> None:
    filled.run._editmap = lambda argv: Ran(70)  # type: ignore[method-assign]
    apply(filled, box("user1@example.test", can_send=False), through=2)
    assert filled.run.maps_built == ["cansend"]
    assert "user1@example.test" not in rows(filled, "cansend")


def test_who_does_not_receive_is_refused_by_name(filled: FakeHost) -> None:
    apply(filled, box("user1@example.test", receives=False), through=2)
    assert rows(filled, "access")["To:user1@example.test"].startswith("ERROR:5.2.1:550")


def test_a_mailbox_becomes_an_alias_and_back(filled: FakeHost) -> None:
    apply(filled, alias("user1@example.test", "user2@example.test"), through=2)
    assert accounts.position(filled)["mailboxes"] == 39
    assert "user1@example.test" not in rows(filled, "cansend")
    apply(filled, box("user1@example.test"), through=3)
    assert "user1@example.test" not in rows(filled, "aliases")


def test_removing_a_domain_takes_everything_in_it(filled: FakeHost) -> None:
    apply(filled, domain("other.test"), box("a@other.test"), through=2)
    result = apply(filled, {"remove_domain": "example.test"}, through=3, force=True)
    assert result["removed"] == 40 and result["mailboxes"] == 1
    assert not any("example.test" in key for key in rows(filled, "mailertable"))


def test_whole_removes_what_it_does_not_name(filled: FakeHost) -> None:
    kept = [box(f"user{n}@example.test") for n in range(39)]
    result = apply(filled, domain(), *kept, whole=True, through=2)
    assert result["removed"] == 1
    assert "To:user39@example.test" not in rows(filled, "access")
    assert "sales@example.test" not in rows(filled, "aliases")


def refusal(host: FakeHost, *lines: Line, **changes: object) -> Refused:
    with pytest.raises(Refused) as refused:
        apply(host, *lines, **changes)  # type: ignore[arg-type]
    return refused.value


def test_too_many_removed_is_asked_for_again_and_changes_nothing(filled: FakeHost) -> None:
    gone: list[Line] = [{"remove": f"user{n}@example.test"} for n in range(3)]
    refused = refusal(filled, *gone, through=2)
    assert refused.code == "too_many_removed"
    assert (refused.extra["removed"], refused.extra["mailboxes"]) == (3, 40)
    assert accounts.position(filled) == {"lineage": "L", "through_change": 1, "mailboxes": 40}
    apply(filled, *gone[:2], through=2)
    assert apply(filled, *gone, through=3, force=True)["mailboxes"] == 37


def test_a_small_domain_may_lose_one(host: FakeHost) -> None:
    apply(host, domain(), box("a@example.test"), box("b@example.test"), whole=True)
    assert apply(host, {"remove": "a@example.test"}, through=2)["removed"] == 1


def test_the_order_of_changes_is_kept(filled: FakeHost) -> None:
    apply(filled, through=10, from_change=1)
    assert refusal(filled, through=12, from_change=11).code == "behind"
    assert refusal(filled, through=9, from_change=1).extra["through_change"] == 10
    assert refusal(filled, through=9, from_change=1).code == "ahead"
    assert refusal(filled, through=9, whole=True).code == "ahead"
    assert refusal(filled, through=11, from_change=10, lineage="other").code == "lineage"
    assert refusal(filled, through=11, whole=True, lineage="other").code == "lineage"
    assert apply(filled, through=10, from_change=10)["through_change"] == 10, "sent twice"
    assert apply(filled, through=11, from_change=5)["through_change"] == 11, "overlapping"


def test_another_console_takes_over_only_by_force(filled: FakeHost) -> None:
    apply(filled, through=10, from_change=1)
    result = apply(filled, domain(), box("a@example.test"), lineage="other", whole=True,
                   force=True, through=3)  # fmt: skip
    assert (result["lineage"], result["through_change"], result["mailboxes"]) == ("other", 3, 1)


def test_a_host_without_accounts_asks_for_all(host: FakeHost) -> None:
    refused = refusal(host, domain(), through=5)
    assert (refused.code, refused.extra["through_change"]) == ("behind", 0)


@pytest.mark.parametrize(
    "line",
    [
        {"mailbox": {"address": "a@example.test"}},
        box("a@elsewhere.test"),
        box("a*@example.test"),
        box("../x@example.test"),
        box("a/b@example.test"),
        box("A@example.test"),
        box("a..b@example.test"),
        box("a\n@example.test"),
        box("a@example.test\n"),
        box("a b@example.test"),
        box('"a"@example.test'),
        box("a@example.test", password="secret"),
        box("a@example.test", password="{PLAIN}secret"),
        box("a@example.test", password=HASH + "\tx"),
        box("a@example.test", can_login=1),
        box("a@example.test", quota_bytes=-1),
        box("a@example.test", quota_bytes="1G"),
        box("a@example.test", app_passwords="abcd2345"),
        box("a@example.test", app_passwords=["abcd2345"]),
        box("a@example.test", app_passwords=[app("Abcd2345")]),
        box("a@example.test", app_passwords=[app("abcd234")]),
        box("a@example.test", app_passwords=[app("abcd23'5")]),
        box("a@example.test", app_passwords=[app("abcd2345"), app("abcd2345")]),
        box("a@example.test", app_passwords=[app("abcd2345", password="secret")]),
        box("a@example.test", app_passwords=[app("abcd2345", imap=1)]),
        box("a@example.test", app_passwords=[app("abcd2345", sending=None)]),
        box("a@example.test", app_passwords=[app("abcd2345", expires_at=-1)]),
        box("a@example.test", app_passwords=[app("abcd2345", expires_at="soon")]),
        box("a@example.test", app_passwords=[app(f"abcd{n:04}") for n in range(101)]),
        alias("a@example.test"),
        alias("a@example.test", "|/bin/sh"),
        alias("a@example.test", "/etc/passwd"),
        alias("a@example.test", ":include:/etc/passwd"),
        alias("a@example.test", "b@example.test, c@example.test"),
        {"domain": {"name": "no_domain"}},
        {"domain": {"name": "-x.test"}},
        {"remove": "*"},
        {"remove_domain": "%"},
        {"shell": "id"},
        {"domain": {"name": "a.test"}, "remove": "x@example.test"},
    ],
)
def test_a_bad_line_refuses_the_whole_delta(filled: FakeHost, line: Line) -> None:
    refused = refusal(filled, box("before@example.test"), line, through=2)
    assert refused.code == "bad_line"
    assert refused.extra["line"] == 2
    assert accounts.position(filled)["mailboxes"] == 40
    assert filled.run.maps_built == []


def stored_apps(host: FakeHost) -> list[tuple[object, ...]]:
    with accounts.opened(host) as database:
        return database.execute(
            "SELECT address, selector, imap, pop3, sending, expires_at FROM app_password"
        ).fetchall()


def test_a_line_states_all_app_passwords_of_a_mailbox(filled: FakeHost) -> None:
    one, two = app("aaaa2222"), app("bbbb3333", imap=False, sending=True, expires_at=1_764_000_000)
    apply(filled, box("user1@example.test", app_passwords=[one, two]), through=2)
    apply(filled, box("user2@example.test", app_passwords=[one]), through=3)
    assert stored_apps(filled) == [
        ("user1@example.test", "aaaa2222", 1, 0, 0, 0),
        ("user1@example.test", "bbbb3333", 0, 0, 1, 1_764_000_000),
        ("user2@example.test", "aaaa2222", 1, 0, 0, 0),
    ]
    assert filled.run.maps_built == filled.run.maps_edited == [], "no map knows of them"
    apply(filled, box("user1@example.test", app_passwords=[two]), through=4)
    assert [row[:2] for row in stored_apps(filled)] == [
        ("user1@example.test", "bbbb3333"),
        ("user2@example.test", "aaaa2222"),
    ]
    apply(filled, box("user1@example.test"), {"remove": "user2@example.test"}, through=5)
    assert stored_apps(filled) == []


def test_a_database_from_before_app_passwords_gets_their_table_by_a_validation(
    host: FakeHost,
) -> None:
    """A rendering that names the table is validated before it goes live."""
    path = host.layout.accounts_db
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.executescript(schema.STEPS[0] + "PRAGMA user_version = 1;")
        database.execute("INSERT INTO domain VALUES ('b.test'), ('c.test')")
        database.execute("INSERT INTO account (address, password) VALUES ('a@b.test', '{CRYPT}*')")
    accounts.refresh(host, "mail.example.test")
    assert stored_apps(host) == []
    assert accounts.position(host)["mailboxes"] == 1


PASSWORD_QUERY = password_query("{user}", "{password}", "{protocol}")


def selected(
    host: FakeHost, password: str, protocol: str, user: str = "user1@example.test"
) -> object:
    """What Dovecot gets: the hash, and whose app password it is."""
    values = {"user": user, "password": password, "protocol": protocol}
    query = PASSWORD_QUERY.format(**{k: v.replace("'", "''") for k, v in values.items()})
    with accounts.opened(host) as database:
        row = database.execute(query).fetchone()
    return row and row[1:]


def test_dovecot_finds_an_app_password_by_its_beginning_its_protocol_and_the_clock(
    filled: FakeHost,
) -> None:
    own, theirs = "{CRYPT}own", HASH
    mine = [
        app("aaaa2222"),
        app("bbbb3333", imap=False, sending=True),
        app("cccc4444", expires_at=int(time.time()) - 1),
        app("dddd5555", expires_at=int(time.time()) + 60),
    ]
    apply(filled, box("user1@example.test", password=own, app_passwords=mine), through=2)
    nobody = (own, None, None)
    assert selected(filled, "aaaa2222" + "x" * 24, "imap") == (theirs, "aaaa2222", ":aaaa2222")
    assert selected(filled, "aaaa2222" + "x" * 24, "pop3") == nobody
    assert selected(filled, "aaaa2222" + "x" * 24, "smtp") == nobody
    assert selected(filled, "bbbb3333" + "x" * 24, "smtp") == (theirs, "bbbb3333", ":bbbb3333")
    assert selected(filled, "bbbb3333" + "x" * 24, "imap") == nobody
    assert selected(filled, "cccc4444" + "x" * 24, "imap") == nobody, "its time is over"
    assert selected(filled, "dddd5555" + "x" * 24, "imap") == (theirs, "dddd5555", ":dddd5555")
    for odd in ("", "aaaa222", "1234567'", "1234567''", "x' OR 1=1 --"):
        assert selected(filled, odd, "imap") == nobody
    other = selected(filled, "aaaa2222" + "x" * 24, "imap", "user2@example.test")
    assert other == (HASH, None, None), "another mailbox's"
    suspended = box("user1@example.test", can_login=False, app_passwords=mine)
    apply(filled, suspended, through=3)
    assert selected(filled, "aaaa2222" + "x" * 24, "imap") is None


def test_no_password_means_that_nothing_matches(filled: FakeHost) -> None:
    apply(filled, box("user1@example.test", password=""), through=2)
    with accounts.opened(filled) as database:
        (stored,) = database.execute(
            "SELECT password FROM account WHERE address = 'user1@example.test'"
        ).fetchone()
    assert stored == deltas.NO_PASSWORD


def test_a_map_that_cannot_be_made_leaves_it_marked(filled: FakeHost) -> None:
    def broken(argv: list[str], **options: object) -> object:
        return Ran(65, b"", b"disk full") if "map" in argv[0] else good(argv, **options)

    good, filled.run = filled.run, broken  # type: ignore[assignment]
    assert refusal(filled, box("new@example.test"), through=2).code == "makemap"
    filled.run = good
    assert accounts.position(filled)["through_change"] == 2
    assert "new@example.test" not in rows(filled, "cansend")
    assert accounts.refresh(filled) == ["cansend", "access", "sendas"]
    assert "new@example.test" in rows(filled, "cansend")
    assert accounts.refresh(filled) == []


def test_a_new_name_of_the_server_rebuilds_the_access_map(filled: FakeHost) -> None:
    assert accounts.refresh(filled, "mx.example.test") == ["access"]
    assert rows(filled, "access")["To:root@mx.example.test"] == "RELAY"


def test_a_session_that_holds_the_old_map_sees_it_grow_old(filled: FakeHost) -> None:
    """Sendmail opens a map again when the file it holds is newer than when it was opened."""
    import os

    held = os.open(filled.layout.maps / "cansend.db", os.O_RDONLY)
    opened = int(os.fstat(held).st_mtime)
    apply(filled, box("user1@example.test", can_send=False), through=2)
    assert int(os.fstat(held).st_mtime) > opened
    os.close(held)


def test_many_sessions_are_ended_by_who_is_there(filled: FakeHost) -> None:
    filled.services["dovecot"]._store(up=True)
    filled.run.logged_in = {"user3@example.test", "stranger@example.test"}
    everyone = [f"user{n}@example.test" for n in range(30)]
    assert apply(filled, through=2, end_sessions=everyone)["kicked"] == 1
    assert set(filled.run.kicked) == {"user3@example.test"}


@pytest.mark.parametrize("address", ["*", "user?@example.test", "-f", "", "user1@example.test\n"])
def test_no_pattern_reaches_doveadm(filled: FakeHost, address: str) -> None:
    assert refusal(filled, end_sessions=[address]).code == "bad_request"


def test_the_database_is_updated_in_place_and_never_in_parts(filled: FakeHost) -> None:
    """A reader (Dovecot) keeps its file and sees the old rows until the commit."""
    path = filled.layout.accounts_db
    reader = sqlite3.connect(path)
    inode = path.stat().st_ino
    seen = set()
    stop = threading.Event()

    def read() -> None:
        mine = sqlite3.connect(path)
        while not stop.is_set():
            seen.add(mine.execute("SELECT count(*) FROM account").fetchone()[0])
        mine.close()

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.05)
    apply(filled, *(box(f"more{n}@example.test") for n in range(500)), through=2)
    time.sleep(0.05)
    stop.set()
    thread.join()
    assert seen <= {40, 540} and 540 in seen
    assert path.stat().st_ino == inode
    assert reader.execute("SELECT count(*) FROM account").fetchone() == (540,)
    assert path.stat().st_mode & 0o777 == 0o660


def test_schema_steps_are_counted(host: FakeHost) -> None:
    with accounts.opened(host) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with accounts.opened(host) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)


def test_the_console_speaks_of_addresses_the_host_accepts() -> None:
    from accounts import addresses

    for text in ("a@example.test", "a.b-c_d@exämple.test", "9@x.example.test"):
        address = str(addresses.parse(text))
        assert deltas.ADDRESS.fullmatch(address)
    for text in ("Big.Case@else.test", "a+b=c@else.test"):
        assert deltas.TARGET.fullmatch(addresses.target(text))


def test_maps_are_made_in_the_order_of_urgency() -> None:
    assert next(iter(maps.MAKERS)) == "cansend"
