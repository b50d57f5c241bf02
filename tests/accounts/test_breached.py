"""The list of breached passwords: found in it, not found, and files that are no such list."""

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import breached, lifecycle, rules

from .conftest import AT, GOOD


def digest(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()


def lines_of(passwords: list[str], *, count: bool = True, end: str = "\r\n") -> bytes:
    rows = sorted(digest(each) for each in passwords)
    return "".join(
        f"{row}:{n * 997}{end}" if count else row + end for n, row in enumerate(rows)
    ).encode()


@pytest.fixture
def listed(tmp_path: Path, settings: Any) -> Any:
    breached._complain.cache_clear()
    path = tmp_path / "breached.txt"
    settings.BREACHED_PASSWORDS = str(path)

    def write(data: bytes) -> None:
        path.write_bytes(data)

    return write


MANY = [f"secret number {n}" for n in range(1000)]


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_every_line_is_found_and_nothing_else(
    listed: Any, size: int, end: str, count: bool
) -> None:
    listed(lines_of(MANY[:size], count=count, end=end))
    assert all(breached.known(each) for each in MANY[:size])
    assert not any(breached.known(f"{each}!") for each in MANY[:200])
    assert breached.usable() is True


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sets(st.text(max_size=8), max_size=12), st.text(max_size=8))
def test_it_says_what_a_set_would(listed: Any, inside: set[str], asked: str) -> None:
    inside = {breached.normalized(each) for each in inside if each.isprintable()} | {"one"}
    asked = breached.normalized(asked)
    listed(lines_of(sorted(inside)))
    if asked.isprintable():
        assert breached.known(asked) is (asked in inside)


def test_small_letters_and_no_newline_at_the_end(listed: Any) -> None:
    listed(lines_of(MANY, count=False, end="\n").lower().rstrip(b"\n"))
    assert all(breached.known(each) for each in MANY)


def test_the_composed_form_is_looked_up(listed: Any) -> None:
    listed(lines_of(["Café au lait"]))
    assert breached.known("Cafe\u0301 au lait")


def test_a_lone_surrogate_is_no_error(listed: Any) -> None:
    listed(lines_of(MANY))
    assert not breached.known("a\ud800")


def test_without_a_file_nothing_is_known(settings: Any) -> None:
    settings.BREACHED_PASSWORDS = ""
    assert not breached.known("password") and breached.usable() is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\n",
        b"password\n" * 500,
        b"\x00" * 4096,
        b"A" * 100_000,
        b"\n" * 500,
        b"".join(b"%040X\n" % (n * 7919 % 2003 << 148) for n in range(2003)),
        b"".join(b"%040X\n" % (2003 - n << 148) for n in range(2003)),
    ],
    ids=["empty", "words", "clear", "zeros", "one line", "newlines", "by count", "descending"],
)
def test_a_file_that_is_no_such_list(
    listed: Any, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    listed(data)
    with caplog.at_level(logging.ERROR):
        assert not breached.known("a secret of mine")
        first = len(caplog.records)
        assert not breached.known("a secret of mine")
    assert first == len(caplog.records) == 1
    assert "is left out" in caplog.text and "secret" not in caplog.text
    assert breached.usable() is False


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file(
    listed: Any, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = Path(settings.BREACHED_PASSWORDS)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert not breached.known("password") and breached.usable() is False
    assert "is left out" in caplog.text


def test_a_breached_password_is_refused_with_its_reason(listed: Any, domain: Any) -> None:
    listed(lines_of([GOOD]))
    with pytest.raises(rules.PasswordRefused) as refused:
        lifecycle.create(domain=domain, local_part="anna", password=GOOD, by=None, at=AT)
    assert refused.value.codes == ["breached"] and "stolen" in refused.value.sentence


def test_a_broken_file_keeps_nobody_from_an_account(listed: Any, domain: Any) -> None:
    listed(b"\xff" * 100)
    made = lifecycle.create(domain=domain, local_part="anna", password=GOOD, by=None, at=AT)
    assert made.state == "active"
