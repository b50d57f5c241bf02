"""Files of accounts: what is read, what is refused, and that nothing breaks the reader."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import reading
from accounts.sentences import SENTENCES

SHA512 = "$6$saltsalt$" + "a" * 86
ARGON = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43


def rows(content: bytes | str) -> list[Any]:
    data = content.encode() if isinstance(content, str) else content
    return list(reading.read(io.BytesIO(data), total=hashlib.sha256()))


def codes(content: bytes | str) -> list[list[str]]:
    return [[code for code, _values in row["reasons"]] for row in rows(content)]


def refusal(content: bytes | str) -> str:
    with pytest.raises(reading.Unreadable) as caught:
        rows(content)
    reason = caught.value.reason
    assert str(SENTENCES[reason.code]) % reason.values
    return reason.code


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_come_in_any_order_and_case_with_each_delimiter(delimiter: str) -> None:
    head = delimiter.join(["Display Name", "ADDRESS", "quota_mb"])
    line = delimiter.join(["Anna", "Anna@Example.test", "500"])
    (row,) = rows("\ufeff" + head + "\r\n" + line + "\r\n")
    assert row == {
        "line": 2,
        "address": "anna@example.test",
        "display_name": "Anna",
        "quota_mb": 500,
        "reasons": [],
    }


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "csv_empty"),
        ("\n\n", "csv_empty"),
        ("address,note\n", "csv_empty"),
        ("address|note\na@b.test|x\n", "csv_delimiter"),
        ("anna@example.test,secret\n", "csv_no_address"),
        ("address,phone\na@b.test,1\n", "csv_columns"),
        ("address,note,note\na@b.test,1,2\n", "csv_column_twice"),
        ("address\n".encode("utf-16"), "csv_not_utf8"),
        (b"address\0\n", "csv_not_utf8"),
        ("address\n" + "a" * (reading.MOST_LINE + 1), "csv_line_long"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes | str, code: str) -> None:
    assert refusal(content) == code


class Endless(io.RawIOBase):
    """A file of as many bytes as anybody reads."""

    def __init__(self) -> None:
        self.given = 0
        self.line = b"a@example.test" + b" " * 60_000 + b"\n"

    def readline(self, size: int | None = -1, /) -> bytes:
        self.given += len(self.line)
        return b"address\n" if self.given == len(self.line) else self.line


def test_a_huge_file_is_left_at_the_limit() -> None:
    endless = Endless()
    with pytest.raises(reading.Unreadable) as caught:
        for _row in reading.read(endless, total=hashlib.sha256()):  # type: ignore[arg-type]
            pass
    assert caught.value.reason.code == "csv_big"
    assert endless.given < reading.MOST_BYTES + 200_000


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 2)
    assert refusal("address\n" + "".join(f"a{n}@b.test\n" for n in range(3))) == "csv_many"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a@b.test,,x", []),
        ("a@b.test,", ["row_cells"]),
        ("a@b.test,,x,y", ["row_cells"]),
        ('a@b.test,,"x"y', ["row_quotes"]),
        ("a@b.test,,x\x07", ["row_control"]),
        ("a@b.test,,x\0", ["row_control"]),
        ("a@b.test,," + "x" * 1001, ["row_long"]),
        ("a+b@b.test,,", ["local_plus"]),
        ('"""a b""@b.test",,', ["local_characters"]),
        ("a" * 65 + "@b.test,,", ["local_long"]),
        ("a@b.test.,,", ["domain_trailing_dot"]),
        ("a;drop@b.test,,", ["local_characters"]),
        ("a:x:0:0@b.test,,", ["local_characters"]),
        ("nobody,,", ["address_without_at"]),
        (",,x", ["address_without_at"]),
    ],
)
def test_a_row_that_is_wrong_leaves_the_next_alone(line: str, expected: list[str]) -> None:
    head = "address,password,note\n"
    assert codes(head + line + "\ngood@example.test,,\n") == [expected, []]


def test_bytes_that_are_not_utf8_cost_their_line_only() -> None:
    found = rows(b"address,note\na@b.test,\xff\xfe\nb@b.test,ok\n")
    assert [row["reasons"] for row in found] == [[("row_not_utf8", {})], []]
    assert [row["line"] for row in found] == [2, 3]


def test_the_second_of_two_is_refused_upper_case_and_idn_included() -> None:
    content = "address\nA@exämple.test\na@xn--exmple-cua.test\nb@exämple.test\n"
    assert codes(content) == [[], ["row_twice"], []]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SHA512, "{SHA512-CRYPT}" + SHA512),
        ("{sha512-crypt}" + SHA512, "{SHA512-CRYPT}" + SHA512),
        ("{CRYPT}" + SHA512, "{CRYPT}" + SHA512),
        ("$2y$10$" + "a" * 53, "{BLF-CRYPT}$2y$10$" + "a" * 53),
        (ARGON, "{ARGON2ID}" + ARGON),
        ("$1$salt$" + "a" * 22, "{CRYPT}$1$salt$" + "a" * 22),
    ],
)
def test_hashes_get_their_scheme(text: str, expected: str) -> None:
    assert reading.hash_of(text) == expected


@pytest.mark.parametrize(
    "text",
    ["{SSHA}abc", "$6$", "secret", "{BLF-CRYPT}" + SHA512, SHA512 + "\n", "{PLAIN}secret", "{}"],
)
def test_other_hashes_are_refused(text: str) -> None:
    assert isinstance(reading.hash_of(text), reading.Reason)


def test_a_password_and_a_hash_are_one_too_many() -> None:
    content = f"address,password,password_hash\na@b.test,x,{SHA512}\n"
    assert codes(content) == [["row_both_passwords"]]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "'=x"])
def test_what_was_made_safe_for_a_spreadsheet_comes_back_as_it_was(cell: str) -> None:
    (row,) = rows(f"address,note\na@b.test,{reading.plain(cell)}\n")
    assert row["note"] == cell.removeprefix("'")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    try:
        found = rows(b"address,password,note\n" + content)
    except reading.Unreadable as refused:
        assert refused.reason.code in SENTENCES
        return
    for row in found:
        for code, values in row["reasons"]:
            assert str(SENTENCES[code]) % values
        row["address"].encode()


def users(passwd: str, shadow: str) -> list[Any]:
    return list(
        reading.system_users(
            io.BytesIO(passwd.encode()),
            io.BytesIO(shadow.encode()),
            domain="example.test",
            least_uid=1000,
            total=hashlib.sha256(),
        )
    )


def test_an_old_hosts_users() -> None:
    passwd = (
        "root:x:0:0:root:/root:/bin/bash\n"
        "anna:x:1000:1000:Anna Berg,Room 2,,:/home/anna:/bin/bash\n"
        "bert:x:1001:1001::/home/bert:/bin/bash\n"
        "broken line\n"
        "cora:x:1002:1002:&:/home/cora:/bin/bash\n"
        "dora:x:1003:1003::/home/dora:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
    )
    shadow = (
        f"root:{SHA512}:1::::::\nanna:{SHA512}:1::::::\nbert:!{SHA512}:1::::::\ncora:*:1::::::\n"
    )
    anna, bert, broken, cora, dora = users(passwd, shadow)
    assert anna["address"] == "anna@example.test"
    assert (anna["display_name"], anna["hash"]) == ("Anna Berg", "{SHA512-CRYPT}" + SHA512)
    assert (bert["state"], bert["hash"]) == ("suspended", "{SHA512-CRYPT}" + SHA512)
    assert [code for code, _ in broken["reasons"]] == ["passwd_line"]
    assert cora["display_name"] == "Cora"
    assert [code for code, _ in cora["reasons"]] == ["shadow_no_password"]
    assert [code for code, _ in dora["reasons"]] == ["shadow_missing"]
