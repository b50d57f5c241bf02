import os
import sqlite3
from pathlib import Path

import pytest

from deploy.hostctl import erasure
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import FakeHost
from tests.hostctl.test_accounts import apply, box, domain

ANNA = "anna@example.test"


@pytest.fixture
def host(host: FakeHost) -> FakeHost:
    apply(host, domain(), box("bert@example.test"), whole=True)
    return host


def maildir(host: FakeHost, address: str = ANNA) -> Path:
    """A mailbox of 30 bytes in three messages."""
    local, _, name = address.partition("@")
    home = host.layout.mail / name / local
    for folder in ("cur", "new", ".Sent/cur"):
        (home / "Maildir" / folder).mkdir(parents=True)
        (home / "Maildir" / folder / "1.message").write_bytes(b"0123456789")
    return home


def aside(host: FakeHost) -> Path:
    return host.layout.mail / erasure.ASIDE


def test_the_mail_is_gone_and_counted(host: FakeHost) -> None:
    home = maildir(host)
    other = maildir(host, "bert@example.test")
    said = host.ask("erase", sequence=1, address=ANNA)
    assert said == {"address": ANNA, "files": 3, "bytes": 30}
    assert not home.exists() and not any(aside(host).iterdir())
    assert (other / "Maildir/cur/1.message").exists()


def test_asking_again_deletes_nothing_more(host: FakeHost) -> None:
    maildir(host)
    erasure.erase(host, address=ANNA)
    assert erasure.erase(host, address=ANNA)["files"] == 0
    assert erasure.erase(host, address="never@gone.test")["files"] == 0


def test_an_account_of_the_host_keeps_its_mail(host: FakeHost) -> None:
    home = maildir(host, "bert@example.test")
    with pytest.raises(Refused) as refused:
        erasure.erase(host, address="bert@example.test")
    assert refused.value.code == "account_present"
    assert (home / "Maildir/new/1.message").exists()


@pytest.mark.parametrize(
    "address",
    ["", "anna", "../x@example.test", "a/b@example.test", ".erased@example.test", "x@..",
     "*@a.test", "anna@example.test\n", "anna@example.test/.."],
)  # fmt: skip
def test_only_an_address_is_erased(host: FakeHost, address: str) -> None:
    maildir(host)
    with pytest.raises(Refused):
        host.ask("erase", sequence=1, address=address)
    assert (host.layout.mail / "example.test/anna/Maildir/new/1.message").exists()


def test_one_that_was_cut_off_is_finished(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    home = maildir(host)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(os, "unlink", dies)
        erasure.erase(host, address=ANNA)
    assert not home.exists() and any(aside(host).iterdir())
    maildir(host)  # a delivery that was under way made it once more
    assert erasure.erase(host, address=ANNA)["files"] == 6
    assert not home.exists() and not any(aside(host).iterdir())


def test_no_link_is_followed(host: FakeHost, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "anna").mkdir(parents=True)
    (precious / "anna" / "file").write_text("x")
    home = maildir(host)
    (home / "Maildir" / "out").symlink_to(precious)
    (home / "Maildir" / "file").symlink_to(precious / "anna" / "file")
    (host.layout.mail / "link.test").symlink_to(precious)
    erasure.erase(host, address=ANNA)
    assert not home.exists()
    with pytest.raises(OSError, match=r"link\.test"):
        erasure.erase(host, address="anna@link.test")
    (host.layout.mail / "example.test" / "carl").symlink_to(precious)
    erasure.erase(host, address="carl@example.test")
    assert not (host.layout.mail / "example.test" / "carl").is_symlink()
    assert (precious / "anna" / "file").read_text() == "x"


def test_its_last_login_is_forgotten(host: FakeHost) -> None:
    with sqlite3.connect(host.layout.last_login_db) as database:
        database.execute("INSERT INTO last_login VALUES (?, 5), ('bert@example.test', 6)", (ANNA,))
        database.execute("INSERT INTO last_use VALUES (?, 'imap', 5)", (ANNA,))
        database.execute("INSERT INTO mailbox_size (userid, bytes) VALUES (?, 5)", (ANNA,))
    erasure.erase(host, address=ANNA)
    with sqlite3.connect(host.layout.last_login_db) as database:
        assert database.execute("SELECT userid FROM last_login").fetchall() == [
            ("bert@example.test",)
        ]
        assert database.execute("SELECT userid FROM last_use").fetchall() == []
        assert database.execute("SELECT userid FROM mailbox_size").fetchall() == []
