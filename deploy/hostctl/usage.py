"""Last uses: who logged in lately, by protocol, and since when that is written down; and what the
mail of mailboxes takes.

    {"cursor": 0} -> {"uses": [["anna@example.test", "imap", 1764000000], ...],
                      "sizes": [["anna@example.test", 734003200, 1764000000], ...],
                      "recording": {"imap": 1763000000, "smtp": 1763000000},
                      "through": 1764000100, "cursor": 1763999980, "more": false}

A login with an app password is told as ["anna@example.test", "imap:abcd2345", 1764000000], with
the password's selector.  `cursor` is a second, inclusive; what is told twice is the same.  A
protocol that is not in `recording` is not written down: the live configuration is from before, or
the bridge is.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any, Dict, List

from . import accounts, paths
from .host import Host

MOST = 25_000
_LATE = 120
"""Seconds: a login is written a little later than it was."""
_BY_PROTOCOL = ("last-login/%u/%s", "last-login/%{user}/%{protocol}")
_DOVECOTS = ("imap", "pop3")
_USES = ("last_use", "userid, protocol", "last_login")
_SIZES = ("mailbox_size", "userid, bytes", "changed_at")
_FOREVER = 2**62


def collect(host: Host, *, cursor: int, now: int = 0) -> Dict[str, Any]:
    through = now or int(time.time())
    empty = {
        "uses": [], "sizes": [], "recording": {}, "through": through, "cursor": cursor,
        "more": False,
    }  # fmt: skip
    if not host.layout.accounts_db.is_file():
        return empty
    accounts.connect(host).close()  # brings its neighbour up to date too
    with closing(sqlite3.connect(host.layout.last_login_db, timeout=20)) as database:
        with database:
            _note_recording(host, database, through)
        recording = dict(database.execute("SELECT protocol, since FROM recording"))
        # A clock that was ahead for a while has left a cursor that is.
        cursor = min(cursor, through - _LATE)
        until = min(_until(database, *table, cursor) for table in (_USES, _SIZES))
        uses, sizes = (_between(database, *table, cursor, until) for table in (_USES, _SIZES))
        more = any(_goes_on(database, *table, until) for table in (_USES, _SIZES))
    last = until + 1
    return {
        "uses": uses,
        "sizes": sizes,
        "recording": recording,
        "through": last if more else through,
        "cursor": last if more else max(cursor, through - _LATE),
        "more": more,
    }


def _until(database: sqlite3.Connection, table: str, _columns: str, at: str, cursor: int) -> int:
    """The second of the last of at most `MOST` rows.  An answer holds the whole of it, so that the
    next begins after it."""
    row = database.execute(
        f"SELECT {at} FROM {table} WHERE {at} >= ? ORDER BY {at} LIMIT 1 OFFSET ?",
        (cursor, MOST - 1),
    ).fetchone()
    return int(row[0]) if row else _FOREVER


def _between(
    database: sqlite3.Connection, table: str, columns: str, at: str, cursor: int, until: int
) -> List[Any]:
    return database.execute(
        f"SELECT {columns}, {at} FROM {table} WHERE {at} >= ? AND {at} <= ? ORDER BY {at}",
        (cursor, until),
    ).fetchall()


def _goes_on(database: sqlite3.Connection, table: str, _columns: str, at: str, until: int) -> bool:
    row = database.execute(f"SELECT 1 FROM {table} WHERE {at} > ? LIMIT 1", (until,)).fetchone()
    return row is not None


def _note_recording(host: Host, database: sqlite3.Connection, now: int) -> None:
    """Dovecot writes by protocol only under a configuration that says so; the bridge tells itself.

    An older generation that came back is a gap: what is known begins anew after it.
    """
    if _writes_by_protocol(host):
        database.executemany(
            "INSERT OR IGNORE INTO recording (protocol, since) VALUES (?, ?)",
            [(protocol, now) for protocol in _DOVECOTS],
        )
    else:
        database.execute("DELETE FROM recording WHERE protocol IN (?, ?)", _DOVECOTS)


def _writes_by_protocol(host: Host) -> bool:
    try:
        live = (host.layout.current / paths.DOVECOT_LINK).read_text(errors="replace")
    except OSError:
        return False
    return any(key in live for key in _BY_PROTOCOL)
