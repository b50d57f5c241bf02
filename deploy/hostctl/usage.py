"""Last uses: who logged in lately, by protocol, and since when that is written down.

    {"cursor": 0} -> {"uses": [["anna@example.test", "imap", 1764000000], ...],
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
from typing import Any, Dict, List, Tuple

from . import accounts, paths
from .host import Host

MOST = 50_000
_LATE = 120
"""Seconds: a login is written a little later than it was."""
_BY_PROTOCOL = ("last-login/%u/%s", "last-login/%{user}/%{protocol}")
_DOVECOTS = ("imap", "pop3")


def collect(host: Host, *, cursor: int, now: int = 0) -> Dict[str, Any]:
    through = now or int(time.time())
    empty = {"uses": [], "recording": {}, "through": through, "cursor": cursor, "more": False}
    if not host.layout.accounts_db.is_file():
        return empty
    accounts.connect(host).close()  # brings its neighbour up to date too
    with closing(sqlite3.connect(host.layout.last_login_db, timeout=20)) as database:
        with database:
            _note_recording(host, database, through)
        recording = dict(database.execute("SELECT protocol, since FROM recording"))
        # A clock that was ahead for a while has left a cursor that is.
        cursor = min(cursor, through - _LATE)
        uses, last, more = _after(database, cursor)
    return {
        "uses": uses,
        "recording": recording,
        "through": last if more else through,
        "cursor": last if more else max(cursor, through - _LATE),
        "more": more,
    }


def _after(database: sqlite3.Connection, cursor: int) -> Tuple[List[Any], int, bool]:
    """At most `MOST`, and the rest of the last second, so that the next begins after it."""
    full = database.execute(
        "SELECT last_login FROM last_use WHERE last_login >= ?"
        " ORDER BY last_login LIMIT 1 OFFSET ?",
        (cursor, MOST - 1),
    ).fetchone()
    until = full[0] if full else 2**62
    uses = database.execute(
        "SELECT userid, protocol, last_login FROM last_use"
        " WHERE last_login >= ? AND last_login <= ? ORDER BY last_login",
        (cursor, until),
    ).fetchall()
    rest = database.execute(
        "SELECT 1 FROM last_use WHERE last_login > ? LIMIT 1", (until,)
    ).fetchone()
    return uses, until + 1, rest is not None


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
