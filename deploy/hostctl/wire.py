"""The protocol: one request in, JSON lines out.

    -> {"v": 1, "verb": "stage", "host": "6f...", "sequence": 42, "generation": 7, ...}\n<payload>
    <- {"event": "step", "name": "unpack", "ok": true, "detail": "9 files", "ms": 3}
    <- {"event": "result", "generation": 7}

The header is one line of at most 64 KiB.  The payload is read to the end of the input,
or to `"size"` bytes when the header names it.  The last line is a `result` or an
`error` with a code and one English sentence; the exit status is 0 or 1.
"""

from __future__ import annotations

import errno
import json
import re
import sqlite3
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Callable, Dict, Iterator, Optional

from . import PROTOCOL

HEADER_CAP = 64 * 1024
STAGE_CAP = 8 * 1024 * 1024
ACCOUNTS_CAP = 768 * 1024 * 1024
_CHUNK = 1024 * 1024

Header = Dict[str, Any]
Emit = Callable[[Dict[str, Any]], None]


class Refused(Exception):
    """A request that is not carried out: a code for the console, a sentence for people."""

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extra = extra


_CANNOT_WRITE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


_SQLITE_CANNOT_WRITE = re.compile(
    "disk is full|disk I/O error|unable to open database file|readonly database"
)


def code_of(failure: Exception) -> str:
    """`disk` or `path` for what a person has to put right there, else `internal`."""
    if isinstance(failure, OSError) and failure.errno == errno.ELOOP:
        return "path"
    if isinstance(failure, OSError) and failure.errno in _CANNOT_WRITE:
        return "disk"
    if isinstance(failure, sqlite3.OperationalError) and _SQLITE_CANNOT_WRITE.search(str(failure)):
        return "disk"
    return "internal"


def sentence(failure: Exception) -> str:
    """A failure that nobody put into words, for people."""
    if isinstance(failure, Refused):
        return failure.message
    if code_of(failure) == "path":
        place = getattr(failure, "filename", "")
        return f"{place} is a link, which is not followed: remove it."
    if code_of(failure) == "disk":
        why = str(failure)
        if isinstance(failure, OSError):
            place = f" ({failure.filename})" if failure.filename else ""
            why = f"{failure.strerror}{place}"
        return f"The disk of this host cannot be written: {why}."
    return f"The helper failed: {type(failure).__name__}: {failure}"


def read_header(stream: BinaryIO) -> Header:
    line = stream.readline(HEADER_CAP + 1)
    if len(line) > HEADER_CAP:
        raise Refused("bad_request", "The request's header is longer than 64 KiB.")
    try:
        header = json.loads(line.decode("utf-8"))
    except ValueError:
        raise Refused("bad_request", "The request does not begin with a line of JSON.") from None
    if not isinstance(header, dict):
        raise Refused("bad_request", "The request's header is not a JSON object.")
    if header.get("v") != PROTOCOL:
        raise Refused(
            "version", f"This host speaks version {PROTOCOL} of the protocol.", speaks=PROTOCOL
        )
    return header


def number(header: Header, name: str, least: int = 0) -> int:
    value = header.get(name)
    if type(value) is not int or value < least:
        raise Refused("bad_request", f"The request's {name} is not a number of {least} or more.")
    return value


def text(header: Header, name: str) -> str:
    value = header.get(name)
    if not isinstance(value, str) or not value:
        raise Refused("bad_request", f"The request has no {name}.")
    return value


def flag(header: Header, name: str) -> bool:
    value = header.get(name, False)
    if not isinstance(value, bool):
        raise Refused("bad_request", f"The request's {name} is neither true nor false.")
    return value


def spool(stream: BinaryIO, header: Header, cap: int, folder: Optional[str] = None) -> IO[bytes]:
    """The payload in an unnamed file, at its start.  Read before any lock is taken, so that
    a stalled client holds up nobody."""
    wanted = number(header, "size") if "size" in header else None
    if wanted is not None and wanted > cap:
        raise Refused("too_large", f"The payload is larger than {cap} bytes.")
    out = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
    seen = 0
    while wanted is None or seen < wanted:
        chunk = stream.read(_CHUNK if wanted is None else min(_CHUNK, wanted - seen))
        if not chunk:
            break
        seen += len(chunk)
        if seen > cap:
            out.close()
            raise Refused("too_large", f"The payload is larger than {cap} bytes.")
        out.write(chunk)
    if wanted is not None and seen < wanted:
        out.close()
        raise Refused("truncated", f"The payload ended after {seen} of {wanted} bytes.")
    out.seek(0)
    return out


class Output:
    """JSON lines.  A client that is gone must not stop a switch half-way: writing to it
    fails once and is not tried again."""

    def __init__(self, stream: Optional[IO[str]] = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._gone = False

    def __call__(self, event: Dict[str, Any]) -> None:
        if self._gone:
            return
        try:
            self._stream.write(json.dumps(event, ensure_ascii=True, default=str) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._gone = True


class Step:
    """What a step found; `detail` is shown beside its name."""

    def __init__(self) -> None:
        self.detail = ""


@contextmanager
def step(emit: Emit, name: str) -> Iterator[Step]:
    """Reports a step with its time, good or bad; what failed goes on upwards."""
    started = time.monotonic()
    found = Step()

    def report(ok: bool, detail: str) -> None:
        ms = round((time.monotonic() - started) * 1000)
        emit({"event": "step", "name": name, "ok": ok, "detail": detail, "ms": ms})

    try:
        yield found
    except Refused as refused:
        report(False, refused.message)
        raise
    except Exception as failure:
        report(False, f"{type(failure).__name__}: {failure}")
        raise
    report(True, found.detail)
