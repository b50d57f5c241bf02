"""Passwords out of breaches: an optional file on this machine, asked without reading it whole.

`MAILADMIN_BREACHED_PASSWORDS` names a file of SHA-1 sums in hexadecimal, one a line and sorted,
`SUM` or `SUM:COUNT`, as haveibeenpwned's downloader makes it (a billion lines, 40 GB). A look-up
halves the file some forty times: nothing leaves the machine and nothing is kept in memory.

A file that cannot be read or is not such a list refuses nobody: it is logged once a process.
"""

import hashlib
import logging
import os
import re
import stat
from functools import cache
from typing import IO

from django.conf import settings

from accounts.passwords import normalized

logger = logging.getLogger(__name__)
LINE = re.compile(rb"([0-9A-Fa-f]{40})(?::[0-9]{1,18})?\r?\n?")
LONGEST_LINE = 64


class BrokenFile(Exception):
    """It is not a sorted list of SHA-1 sums."""


def known(password: str) -> bool:
    """Whether the password is in the file; False without one."""
    path: str = settings.BREACHED_PASSWORDS
    if not path:
        return False
    text = normalized(password).encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().upper().encode()
    try:
        with open(path, "rb", opener=_opener) as file:
            return _holds(file, digest)
    except (OSError, BrokenFile) as problem:
        _complain(path, str(problem))
        return False


def usable() -> bool | None:
    """None: no file is set. False: it cannot be used, and the log says why."""
    path: str = settings.BREACHED_PASSWORDS
    if not path:
        return None
    try:
        with open(path, "rb", opener=_opener) as file:
            _holds(file, b"8" * 40)
    except (OSError, BrokenFile) as problem:
        _complain(path, str(problem))
        return False
    return True


def _opener(path: str, flags: int) -> int:
    """A pipe or a device in its place must not make the page wait."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BrokenFile("not an ordinary file")
    return descriptor


def _holds(file: IO[bytes], digest: bytes) -> bool:
    """Lines that begin at `low` or later and before `high` are still in question."""
    low, high = 0, os.fstat(file.fileno()).st_size
    if not high:
        raise BrokenFile("it is empty")
    least, most = b"", b"G"  # the sums left and right of what is in question
    while low < high:
        middle = (low + high) // 2
        start = _line_start(file, low, middle)
        line = file.readline(LONGEST_LINE)
        found = LINE.fullmatch(line)
        if found is None:
            raise BrokenFile(f"no SHA-1 sum at byte {start}")
        here = found[1].upper()
        if not least <= here <= most:
            raise BrokenFile(f"not sorted at byte {start}")
        if here == digest:
            return True
        if here < digest:
            low, least = start + len(line), here
        else:
            high, most = start, here
    return False


def _line_start(file: IO[bytes], low: int, middle: int) -> int:
    """The start of the line that `middle` is in; the file is left there. `low` starts a line."""
    back = max(low, middle - LONGEST_LINE)
    file.seek(back)
    before = file.read(middle - back)
    newline = before.rfind(b"\n")
    if newline < 0 and back > low:
        raise BrokenFile(f"a line of more than {LONGEST_LINE} bytes at byte {back}")
    start = back if newline < 0 else back + newline + 1
    file.seek(start)
    return start


@cache
def _complain(path: str, problem: str) -> None:
    logger.error("the list of breached passwords, %s, is left out: %s", path, problem)
