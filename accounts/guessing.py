"""Few guesses at a hash: the passwords that forgotten accounts have, and whether one fits.

    candidates("test@example.test", year=2026)  →  [("test", "equals_name"), ("tset", …), …]
    fits("{SHA512-CRYPT}$6$…", "test")          →  True

Hashes are those that the hosts verify: Argon2id by argon2-cffi, everything else by the system's
crypt(3) (libcrypt.so.1, libxcrypt: every Debian has it; Python's own module is gone from 3.13).
Both let go of the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import hmac
import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

MOST: Final = 25
EVERYWHERE: Final = (
    "test", "test123", "demo", "password", "changeme", "123456", "12345678", "qwerty",
    "welcome", "admin",
)  # fmt: skip

# A hash that costs more than a second or a GiB is left alone: the console runs beside mail.
_MOST_ARGON2: Final = 1024 * 1024  # KiB times passes
_ARGON2_COST = re.compile(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$", re.ASCII)
_CRYPT = re.compile(
    r"\$6\$(?:rounds=\d{1,6}\$)?[^$]{0,16}\$.{86}"
    r"|\$5\$(?:rounds=\d{1,6}\$)?[^$]{0,16}\$.{43}"
    r"|\$2[aby]\$(?:0[4-9]|1[0-3])\$.{53}"
    r"|\$1\$[^$]{0,8}\$.{22}"
    r"|\$y\$[./0-9A-Za-z]{1,3}\$[^$]{1,86}\$.{43}",
    re.ASCII,
)
# The kinds of `_CRYPT` beyond its limits.
_COSTLY = re.compile(r"\$[56]\$rounds=\d{7,}\$|\$2[aby]\$(?:1[4-9]|[2-9]\d)\$", re.ASCII)
_CRYPT_DATA: Final = 32768  # sizeof(struct crypt_data) of libxcrypt
_hasher = PasswordHasher(type=Type.ID)


def candidates(address: str, *, year: int) -> list[tuple[str, str]]:
    """At most `MOST` passwords with the code that says what each is, the likeliest first."""
    local, _at, domain = address.partition("@")
    seen: dict[str, str] = {}
    for password, reason in _guesses(local, domain.split(".")[0], address, year):
        seen.setdefault(password, reason)
    return list(seen.items())[:MOST]


def _guesses(local: str, label: str, address: str, year: int) -> Iterator[tuple[str, str]]:
    yield local, "equals_name"
    yield local[::-1], "name_reversed"
    yield local.capitalize(), "equals_name"
    for digits in ("1", "12", "123", "1234"):
        yield local + digits, "name_and_digits"
    yield f"{local}{year}", "name_and_year"
    yield f"{local}{year - 1}", "name_and_year"
    yield local + local, "name_doubled"
    yield address, "equals_address"
    yield label, "equals_domain"
    yield f"{label}{year}", "domain_and_year"
    yield label + "123", "domain_and_digits"
    for password in EVERYWHERE:
        yield password, "common"


def too_costly(stored: str) -> bool:
    """Whether a guess at this hash would cost too much, so that `fits` tries none."""
    _scheme, _brace, body = stored.rpartition("}")
    if cost := _ARGON2_COST.match(body):
        return int(cost[1]) * int(cost[2]) > _MOST_ARGON2
    return bool(_COSTLY.match(body))


def fits(stored: str, password: str) -> bool:
    """Whether it is the password of the hash; False for a hash of a kind that is not guessed at."""
    _scheme, _brace, body = stored.rpartition("}")
    if too_costly(stored):
        return False
    if _ARGON2_COST.match(body):
        try:
            return _hasher.verify(body, password)
        except (VerificationError, InvalidHashError):
            return False
    return bool(_CRYPT.fullmatch(body)) and _crypt_fits(body, password)


def _crypt_fits(body: str, password: str) -> bool:
    space = ctypes.create_string_buffer(_CRYPT_DATA)
    made = _crypt()(password.encode(), body.encode(), space, _CRYPT_DATA)
    return made is not None and hmac.compare_digest(made, body.encode())


@cache
def _crypt() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL("libcrypt.so.1").crypt_rn
    function.restype = ctypes.c_char_p
    function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
    return function
