"""Files of accounts, row by row: CSV, and the passwd and shadow of an old host.

    for row in read(stream, total=hashlib.sha256()):
        row["address"], row["reasons"]          # reasons: what is wrong with this row alone

What makes the whole file unreadable is `Unreadable`, with one reason. The words of both are in
`accounts.sentences`. A cell that is empty says nothing: a new account gets the default, one that
exists keeps what it has. Nothing is held but the addresses seen, so that memory stays small; what
is too big is refused before more of it is read.

Hashes are those that the hosts' Dovecot verifies. A bare string of crypt(3), as it stands in a
shadow file, is given its scheme: `$6$…` becomes `{SHA512-CRYPT}$6$…`.
"""

from __future__ import annotations

import csv
import datetime
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, Protocol, TypedDict

from accounts import addresses, states
from accounts.addresses import Reason

MOST_BYTES: Final = 100 * 1024 * 1024
MOST_ROWS: Final = 500_000
MOST_LINE: Final = 64 * 1024
MOST_QUOTA_MB: Final = 16 * 1024 * 1024
MOST_PASSWORD: Final = 1024
DELIMITERS: Final = (",", ";", "\t")
COLUMNS: Final = (
    "address", "password", "password_hash", "display_name", "owner_contact", "quota_mb", "note",
    "state", "expires_at",
)  # fmt: skip
LONGEST: Final = {"display_name": 200, "owner_contact": 200, "note": 1000}
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

_B64 = r"[./A-Za-z0-9]"
# What crypt(3) writes, by its scheme; the first is the one that a bare string gets.
_CRYPT: Final = (
    ("{SHA512-CRYPT}", re.compile(rf"\$6\$(?:rounds=\d{{1,7}}\$)?{_B64}{{0,16}}\${_B64}{{86}}")),
    ("{SHA256-CRYPT}", re.compile(rf"\$5\$(?:rounds=\d{{1,7}}\$)?{_B64}{{0,16}}\${_B64}{{43}}")),
    ("{BLF-CRYPT}", re.compile(rf"\$2[aby]\$(?:0\d|1[0-6])\${_B64}{{53}}")),
    (
        "{ARGON2ID}",
        re.compile(
            r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{8,64}\$"
            r"[A-Za-z0-9+/]{16,88}"
        ),
    ),
    ("{CRYPT}", re.compile(rf"\$1\${_B64}{{0,8}}\${_B64}{{22}}")),
    ("{CRYPT}", re.compile(rf"\$y\${_B64}{{1,16}}\${_B64}{{0,86}}\${_B64}{{43}}")),
)
_SCHEME = re.compile(r"(\{[^{}]{1,40}\})(.*)", re.DOTALL)


class Unreadable(ValueError):
    """Nothing of the file is taken."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.reason = Reason(code, values)


class Row(TypedDict, total=False):
    """`line` is where the row begins. What the file does not say is left out. `expires_at` is ISO
    8601: a day, or a moment."""

    line: int
    address: str
    password: str
    hash: str
    display_name: str
    owner_contact: str
    note: str
    quota_mb: int
    state: str
    expires_at: str
    reasons: list[tuple[str, dict[str, Any]]]


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Lines:
    """The lines of a stream as text; bytes that are not UTF-8 become surrogates."""

    def __init__(self, stream: BinaryIO, total: Digest) -> None:
        self._stream = stream
        self._total = total
        self._size = 0
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(MOST_LINE + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        self._size += len(raw)
        if self._size > MOST_BYTES:
            raise Unreadable("csv_big", most=MOST_BYTES // 1024 // 1024)
        if len(raw) > MOST_LINE:
            raise Unreadable("csv_line_long", line=self.number, most=MOST_LINE // 1024)
        self._total.update(raw)
        if self.number == 1:
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
                raise Unreadable("csv_not_utf8")
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        return raw.decode("utf-8", "surrogateescape")


def read(stream: BinaryIO, *, total: Digest) -> Iterator[Row]:
    """The rows of a CSV file in order. `total` is fed with all that is read. Unreadable."""
    lines = _Lines(stream, total)
    head = next(lines, "")
    while head and not head.strip():
        head = next(lines, "")
    delimiter, columns = _header(head)
    cells = csv.reader(lines, delimiter=delimiter, strict=True)
    seen: set[str] = set()
    domains: dict[str, str | list[Reason]] = {}
    count = 0
    while True:
        line = lines.number + 1
        try:
            found = next(cells)
        except StopIteration:
            break
        except csv.Error:
            found = None
        if found == [] or (found is not None and len(columns) > 1 and not any(found)):
            continue
        count += 1
        if count > MOST_ROWS:
            raise Unreadable("csv_many", most=MOST_ROWS)
        if found is None:
            yield {"line": line, "address": "", "reasons": [("row_quotes", {})]}
        elif len(found) != len(columns):
            values = {"found": len(found), "expected": len(columns)}
            yield {"line": line, "address": _shown(found[0]), "reasons": [("row_cells", values)]}
        else:
            row = _row(line, dict(zip(columns, found, strict=True)), domains)
            yield _once(row, seen)
    if not count:
        raise Unreadable("csv_empty")


def _once(row: Row, seen: set[str]) -> Row:
    address = row["address"]
    if not row["reasons"]:
        if address in seen:
            row["reasons"] = [("row_twice", {})]
        seen.add(address)
    return row


def _header(line: str) -> tuple[str, list[str]]:
    if not line.strip():
        raise Unreadable("csv_empty")
    for delimiter in DELIMITERS:
        names = _names(line, delimiter)
        if "address" in names:
            break
    else:
        # Another sign, or none of our columns: which of the two says what to do.
        if any("address" in _names(line, other) for other in "|: "):
            raise Unreadable("csv_delimiter")
        raise Unreadable("csv_no_address", known=", ".join(COLUMNS))
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        shown = ", ".join(_shown(name, 40) or "–" for name in unknown[:8])
        raise Unreadable("csv_columns", unknown=shown, known=", ".join(COLUMNS))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Unreadable("csv_column_twice", column=", ".join(twice))
    return delimiter, names


def _names(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []
    return [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in cells]


def _row(line: int, cells: dict[str, str], domains: dict[str, str | list[Reason]]) -> Row:
    row: Row = {"line": line, "address": _shown(cells["address"]), "reasons": []}
    reasons: list[Reason] = []
    if any(_surrogates(cell) for cell in cells.values()):
        row["reasons"] = [("row_not_utf8", {})]
        return row
    reasons += _address(cells["address"], row, domains)
    for name, most in LONGEST.items():
        text = _unprefixed(cells.get(name, "").strip())
        if not text:
            continue
        if holds_controls(text, but="\r\n\t" if name == "note" else ""):
            reasons.append(Reason("row_control", {"column": name}))
        elif len(text) > most:
            reasons.append(Reason("row_long", {"column": name, "most": most}))
        else:
            row[name] = text  # type: ignore[literal-required]
    reasons += _secret(cells.get("password", ""), cells.get("password_hash", "").strip(), row)
    if quota := cells.get("quota_mb", "").strip():
        if re.fullmatch(r"\d{1,8}", quota, re.ASCII) and int(quota) <= MOST_QUOTA_MB:
            row["quota_mb"] = int(quota)
        else:
            reasons.append(Reason("row_quota", {"most": MOST_QUOTA_MB}))
    if state := cells.get("state", "").strip().lower():
        if state in (states.ACTIVE, states.SUSPENDED):
            row["state"] = state
        else:
            reasons.append(Reason("row_state"))
    if end := cells.get("expires_at", "").strip():
        if _is_moment(end):
            row["expires_at"] = end
        else:
            reasons.append(Reason("row_expires_at"))
    row["reasons"] = [(reason.code, reason.values) for reason in reasons]
    return row


def _is_moment(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _address(text: str, row: Row, domains: dict[str, str | list[Reason]]) -> list[Reason]:
    text = text.strip()
    local, at, domain = text.rpartition("@")
    if not at or domain not in domains:
        try:
            if at:
                domains[domain] = addresses.domain_name(domain)
            row["address"] = str(addresses.parse(text))
        except addresses.NotAnAddress as refused:
            return refused.reasons
        return []
    # The domains of a file are few, and IDNA is what costs.
    name = domains[domain]
    try:
        row["address"] = str(addresses.within(local, str(name)))
    except addresses.NotAnAddress as refused:
        return refused.reasons
    return []


def _secret(password: str, hashed: str, row: Row) -> list[Reason]:
    if password and hashed:
        return [Reason("row_both_passwords")]
    if hashed:
        found = hash_of(hashed)
        if isinstance(found, Reason):
            return [found]
        row["hash"] = found
    elif len(password) > MOST_PASSWORD:
        return [Reason("too_long", {"most": 128})]
    elif password:
        row["password"] = password
    return []


def hash_of(text: str) -> str | Reason:
    """The hash as Dovecot reads it, or why it is not one."""
    scheme, body = "", text
    if named := _SCHEME.fullmatch(text):
        scheme, body = named.group(1).upper(), named.group(2)
        if scheme in ("{PLAIN}", "{CLEARTEXT}", "{CLEAR}"):
            return Reason("hash_plain")
    for own, pattern in _CRYPT:
        if pattern.fullmatch(body) and scheme in ("", own, "{CRYPT}"):
            return f"{scheme or own}{body}" if len(body) < 240 else Reason("hash_unknown")
    return Reason("hash_unknown")


def plain(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula (OWASP, "CSV injection")."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _unprefixed(cell: str) -> str:
    """The cell before `plain`: a file that was exported says the same when it comes back."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell


def holds_controls(text: str, *, but: str = "") -> bool:
    """Whether a character of Unicode's Cc is in it, other than those in `but`."""
    return not text.isprintable() and any(
        unicodedata.category(each) == "Cc" and each not in but for each in text
    )


def _surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text)


def _shown(text: str, most: int = 320) -> str:
    """A cell that is wrong, fit for the report."""
    kept = "".join(each if each.isprintable() else "\ufffd" for each in text.strip()[:most])
    return kept


# The users of an old host


def system_users(
    passwd: BinaryIO, shadow: BinaryIO, *, domain: str, least_uid: int, total: Digest
) -> Iterator[Row]:
    """People in passwd(5) with their hash out of shadow(5). System users are left out; whoever
    cannot come in is a row with the reason. `domain` is an A-label."""
    hashes: dict[str, str] = {}
    for text in _Lines(shadow, total):
        fields = text.rstrip("\r\n").split(":")
        if len(fields) >= 2:
            hashes[fields[0]] = fields[1]
    seen: set[str] = set()
    lines = _Lines(passwd, total)
    for text in lines:
        if not text.strip():
            continue
        fields = text.rstrip("\r\n").split(":")
        row: Row = {"line": lines.number, "address": _shown(fields[0]), "reasons": []}
        if _surrogates(text):
            row["reasons"] = [("row_not_utf8", {})]
        elif len(fields) != 7 or not re.fullmatch(r"\d{1,10}", fields[2], re.ASCII):
            row["reasons"] = [("passwd_line", {})]
        elif not least_uid <= int(fields[2]) < 65534:
            continue
        else:
            row = _user(row, fields, hashes.get(fields[0]), domain)
        yield _once(row, seen)


def _user(row: Row, fields: list[str], hashed: str | None, domain: str) -> Row:
    reasons: list[Reason] = []
    try:
        row["address"] = str(addresses.within(fields[0], domain))
    except addresses.NotAnAddress as refused:
        reasons += refused.reasons
    name = fields[4].split(",")[0].replace("&", fields[0].capitalize()).strip()
    if name and not holds_controls(name):
        row["display_name"] = name[: LONGEST["display_name"]]
    if hashed is None:
        reasons.append(Reason("shadow_missing"))
    else:
        # `!` before a hash is what `usermod -L` writes: the account comes in, and stays locked.
        bare = hashed.lstrip("!*")
        if bare != hashed:
            row["state"] = states.SUSPENDED
        found = hash_of(bare) if bare else Reason("shadow_no_password")
        if isinstance(found, Reason):
            reasons.append(found)
        else:
            row["hash"] = found
    row["reasons"] = [(reason.code, reason.values) for reason in reasons]
    return row
