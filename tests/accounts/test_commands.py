"""The accounts' commands, each in a process of its own, with the console stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.accounts.conftest import GOOD
from tests.terminal import CHECKOUT, Terminal, on_sqlite, started

pytestmark = on_sqlite
MAILBOX = "SELECT state, quota_mb, display_name, password FROM accounts_mailbox WHERE address = ?"


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    """With a domain."""
    with started() as at:
        at.write("pass", GOOD + "\n")
        made = at.does("create_domain", "Example.TEST", "--note", "ours")
        assert made == {"name": "example.test", "host": "", "live": False}
        yield at


def make(terminal: Terminal, name: str, *argv: str) -> dict[str, object]:
    address = f"{name}@example.test"
    return terminal.does("create_mailbox", address, "--password-file", "pass", *argv)


def test_a_domain_is_there_once(terminal: Terminal) -> None:
    assert "example.test" in terminal.refuses("domain_taken", "create_domain", "example.test")
    answer = terminal.run("create_domain", "127.0.0.1", "--json")
    assert answer.status == 1 and answer.json["reasons"] == ["domain_is_ip"]
    assert terminal.sql("SELECT name, note FROM accounts_domain") == [("example.test", "ours")]


def test_a_mailbox_with_its_quota_and_name(terminal: Terminal) -> None:
    made = make(terminal, "Anna", "--quota", "2G", "--name", "Anna Berg")
    assert made["address"] == "anna@example.test" and made["live"] is False
    ((state, quota, name, hashed),) = terminal.sql(MAILBOX, "anna@example.test")
    assert (state, quota, name) == ("active", 2048, "Anna Berg")
    assert hashed.startswith("{ARGON2ID}") and GOOD not in hashed
    told = "SELECT kind FROM accounts_change WHERE subject = ?"
    assert terminal.sql(told, "anna@example.test") == [("mailbox",)]
    by = "SELECT actor_name FROM core_auditevent WHERE subject = ?"
    assert terminal.sql(by, "anna@example.test") == [("console",)]
    argv = ("create_mailbox", "anna@example.test", "--password-file", "pass")
    terminal.refuses("address_taken", *argv)
    terminal.refuses("quota_malformed", *argv, "--quota", "much")


def test_people_read_when_it_goes_live(terminal: Terminal) -> None:
    argv = ("create_mailbox", "people@example.test", "--password-file", "pass", "--quota", "500M")
    answer = terminal.run(*argv)
    assert answer.status == 0 and answer.out.startswith("people@example.test was made.")
    assert "on no mail host yet" in answer.out and not answer.err
    terminal.sql("UPDATE accounts_domain SET host = 'one'")
    answer = terminal.run("suspend", "people@example.test")
    assert "when the console runs" in answer.out
    terminal.sql("UPDATE accounts_domain SET host = ''")


def test_a_bad_password_is_refused_with_every_reason(terminal: Terminal) -> None:
    terminal.write("bad", "eva123\n")
    argv = ("create_mailbox", "eva@example.test", "--password-file", "bad")
    answer = terminal.run(*argv, "--json")
    assert answer.status == 1 and answer.json["code"] == "password_refused"
    assert {"too_short", "derived_from_name", "guessable"} <= set(answer.json["reasons"])
    assert len(answer.json["errors"]) == len(answer.json["reasons"])
    assert all(sentence in answer.json["error"] for sentence in answer.json["errors"])
    shown = terminal.run(*argv)
    assert shown.status == 1 and not shown.out
    assert all(sentence in shown.err for sentence in answer.json["errors"])
    assert "eva123" not in answer.out + shown.err
    assert terminal.sql(MAILBOX, "eva@example.test") == []


def test_all_that_is_wrong_is_said_at_once(terminal: Terminal) -> None:
    terminal.write("bad", "short\n")
    argv = ("create_mailbox", "test@example.test", "--password-file", "bad", "--quota", "0")
    answer = terminal.run(*argv, "--json")
    assert answer.status == 1 and answer.json["code"] == "several"
    assert {"name_needs_reason", "quota_refused", "too_short"} <= set(answer.json["reasons"])


def test_the_password_is_piped_in(terminal: Terminal) -> None:
    argv = ["create_mailbox", "pipe@example.test", "--password-file", "-", "--json"]
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *argv],
        cwd=terminal.folder,
        env=os.environ | {"MAILADMIN_DATA": str(terminal.data)},
        input=GOOD + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    assert json.loads(done.stdout)["address"] == "pipe@example.test"


def test_a_password_file_that_others_can_read_is_warned_of(terminal: Terminal) -> None:
    terminal.write("open", GOOD, mode=0o644)
    argv = ("create_mailbox", "open@example.test", "--password-file")
    answer = terminal.run(*argv, "open", "--json")
    assert answer.status == 0 and "chmod 600" in answer.err and answer.json["state"] == "active"
    assert "nowhere" in terminal.refuses("file_missing", *argv, "nowhere")


def test_a_name_like_a_test_needs_an_end_or_a_reason(terminal: Terminal) -> None:
    argv = ("create_mailbox", "test@example.test", "--password-file", "pass")
    terminal.refuses("name_needs_reason", *argv)
    terminal.refuses("day_malformed", *argv, "--expires", "soon")
    terminal.refuses("owner_missing", *argv, "--expires", "2999-01-31")
    made = terminal.does(*argv, "--expires", "2999-01-31", "--owner", "Anna")
    assert str(made["expires_at"]).startswith("2999-01-31")
    assert make(terminal, "demo", "--reason", "shown at fairs")["expires_at"] is None


def test_suspend_and_resume(terminal: Terminal) -> None:
    make(terminal, "erin")
    argv = ("erin@example.test", "--reason", "stolen", "--refuse-mail")
    assert terminal.does("suspend", *argv)["state"] == "suspended"
    kept = "SELECT state_reason, refuses_mail FROM accounts_mailbox WHERE address = ?"
    assert terminal.sql(kept, "erin@example.test") == [("stolen", 1)]
    terminal.refuses("not_in_state", "suspend", "erin@example.test")
    assert terminal.does("resume", "erin@example.test")["state"] == "active"
    terminal.refuses("not_in_state", "resume", "erin@example.test")
    assert "nobody@" in terminal.refuses("mailbox_unknown", "suspend", "nobody@example.test")
    assert "example.test" in terminal.refuses(
        "domain_unknown", "create_mailbox", "a@elsewhere.test", "--password-file", "pass"
    )


def test_close_and_erase(terminal: Terminal) -> None:
    make(terminal, "dora")
    terminal.refuses("keeping_refused", "close", "dora@example.test", "--until", "2001-01-01")
    assert terminal.does("close", "dora@example.test")["state"] == "closing"
    terminal.refuses("confirmation_missing", "erase", "dora@example.test")
    terminal.refuses("kept_still", "erase", "dora@example.test", "--yes")
    assert terminal.does("erase", "dora@example.test", "--yes", "--early")["state"] == "erased"


def test_who_acts_is_in_the_log_and_needs_the_role(terminal: Terminal) -> None:
    for name, role in (("olga", "administrator"), ("ivan", "auditor")):
        terminal.sql(
            "INSERT INTO core_operator (password, is_superuser, username, first_name, last_name,"
            " email, is_staff, is_active, date_joined, role, language, domains)"
            " VALUES ('!', 0, ?, '', '', '', 0, 1, '2026-11-24', ?, '', '[]')",
            name,
            role,
        )
    make(terminal, "frida", "--as", "olga")
    by = "SELECT actor_name FROM core_auditevent WHERE subject = ?"
    assert terminal.sql(by, "frida@example.test") == [("olga",)]
    terminal.refuses("operator_may_not", "suspend", "frida@example.test", "--as", "ivan")
    terminal.refuses("operator_unknown", "suspend", "frida@example.test", "--as", "nobody")


def test_an_old_database_is_left_alone(terminal: Terminal) -> None:
    last = "SELECT max(id) FROM django_migrations WHERE app = 'accounts'"
    terminal.sql(f"UPDATE django_migrations SET app = 'gone' WHERE id = ({last})")
    terminal.refuses("database_old", "create_domain", "second.test")
    terminal.sql("UPDATE django_migrations SET app = 'accounts' WHERE app = 'gone'")
    assert terminal.does("create_domain", "second.test")["name"] == "second.test"
