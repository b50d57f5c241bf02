"""The commands that bring in and write out many accounts, with the console stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.accounts.conftest import GOOD
from tests.terminal import Terminal, on_sqlite, started

pytestmark = on_sqlite
SHA512 = "$6$saltsalt$" + "a" * 86


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with started() as at:
        at.does("create_domain", "example.test")
        yield at


def addresses(terminal: Terminal) -> list[str]:
    return [row[0] for row in terminal.sql("SELECT address FROM accounts_mailbox ORDER BY 1")]


def test_a_file_to_its_end_and_back(terminal: Terminal) -> None:
    terminal.write(
        "staff.csv",
        "\ufeffaddress;password;password_hash;display_name\r\n"
        f"anna@example.test;{GOOD};;=Anna\r\n"
        f"bert@example.test;;{SHA512};\r\n"
        "test@example.test;test;;\r\n",
    )
    dry = terminal.does("import_accounts", "staff.csv", "--dry-run")
    assert (dry["created"], dry["refused"], addresses(terminal)) == (2, 1, [])
    made = terminal.does("import_accounts", "staff.csv")
    assert (made["created"], made["refused"]) == (2, 1)
    (line,) = made["refused_lines"]
    assert (line["line"], line["address"]) == (4, "test@example.test")
    assert line["reasons"] == ["too_short", "equals_name", "common", "guessable"]
    assert addresses(terminal) == ["anna@example.test", "bert@example.test"]
    assert GOOD.encode() not in (terminal.data / "db.sqlite3").read_bytes()

    again = terminal.run("import_accounts", "staff.csv")
    assert again.status == 0 and "Line 4, test@example.test: " in again.out
    assert "Made: 0, changed: 0, as it was: 2, refused: 1." in again.out

    out = terminal.run("export_accounts", "--hashes").out
    assert "'=Anna" in out and "{SHA512-CRYPT}" + SHA512 in out
    assert "password" not in terminal.run("export_accounts").out
    terminal.write("back.csv", out)
    assert terminal.does("import_accounts", "back.csv", "--update")["unchanged"] == 2
    listed = terminal.does("export_accounts", "--domain", "example.test")["accounts"]
    assert [row["display_name"] for row in listed] == ["=Anna", ""]
    terminal.refuses("domain_unknown", "export_accounts", "--domain", "other.test")


def test_what_cannot_be_read(terminal: Terminal) -> None:
    terminal.write("bad.csv", "address|password\nx|y\n")
    answer = terminal.run("import_accounts", "bad.csv", "--json")
    assert answer.status == 1 and answer.json["reasons"] == ["csv_delimiter"]
    terminal.refuses("file_missing", "import_accounts", "none.csv")
    assert terminal.sql("SELECT count(*) FROM accounts_accountimport") == [(0,)]


def test_an_old_hosts_users(terminal: Terminal) -> None:
    terminal.write(
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\n"
        "anna:x:1000:1000:Anna Berg,,,:/home/anna:/bin/sh\n"
        "bert:x:1001:1001::/home/bert:/bin/sh\n"
        "cora:x:1002:1002::/home/cora:/bin/sh\n"
        "what is this\n",
    )
    terminal.write(
        "shadow", f"root:{SHA512}:::::::\nanna:{SHA512}:::\nbert:!{SHA512}:::\ncora:*:::\n"
    )
    argv = ("--passwd", "passwd", "--shadow", "shadow", "--domain", "example.test")
    dry = terminal.does("import_system_users", *argv, "--dry-run")
    assert (dry["created"], dry["refused"], addresses(terminal)) == (2, 2, [])
    made = terminal.does("import_system_users", *argv)
    assert [each["reasons"] for each in made["refused_lines"]] == [
        ["shadow_no_password"],
        ["passwd_line"],
    ]
    rows = terminal.sql("SELECT address, display_name, state, password FROM accounts_mailbox")
    assert sorted(rows) == [
        ("anna@example.test", "Anna Berg", "active", "{SHA512-CRYPT}" + SHA512),
        ("bert@example.test", "", "suspended", "{SHA512-CRYPT}" + SHA512),
    ]
    terminal.refuses("domain_unknown", "import_system_users", *argv[:-1], "none.test")
