"""Who sent: the bridge's logins on their way to the database of last uses.

A login waits for none of this: it leaves a name in a bounded table, and one thread writes.  What
cannot be written is tried again at the next turn, and is lost when the bridge ends.
"""

from __future__ import annotations

import contextlib
import sqlite3
import syslog
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Callable, Dict, Tuple

PROTOCOL = "smtp"
_MOST = 10_000
_BETWEEN = 1.0
_AGAIN = 30.0
_LOCK_PATIENCE = 2.0

UPSERT = (
    "INSERT INTO last_use (userid, protocol, last_login) VALUES (?, ?, ?)"
    " ON CONFLICT (userid, protocol) DO UPDATE SET last_login = excluded.last_login"
    " WHERE excluded.last_login > last_use.last_login"
)


class Uses:
    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._began = int(clock())
        self._lock = threading.Lock()
        self._waiting: Dict[Tuple[str, str], int] = {}
        self._sessions: Dict[int, Tuple[str, str]] = {}
        self._any = threading.Event()

    def note(self, login: str, app: str = "") -> None:
        """A login that succeeded now, perhaps with an app password; returns at once."""
        key = (login, f"{PROTOCOL}:{app}" if app else PROTOCOL)
        with self._lock:
            if key in self._waiting or len(self._waiting) < _MOST:
                self._waiting[key] = int(self._clock())
        self._any.set()

    def opened(self, login: str, pid: int, started: str) -> None:
        """Who signed in at which process of Sendmail's, so that the session can be ended."""
        with self._lock:
            if len(self._sessions) < _MOST:
                self._sessions[pid] = (started, login)
        self._any.set()

    def store(self) -> bool:
        """Writes what waits; whether the database took it."""
        self._any.clear()
        with self._lock:
            taken, self._waiting = self._waiting, {}
            sessions, self._sessions = self._sessions, {}
        try:
            self._write(taken)
            if sessions:
                self._write_sessions(sessions)
        except sqlite3.Error as failure:
            syslog.syslog(syslog.LOG_WARNING, f"last uses are not written: {failure}")
            with self._lock:
                for key, at in taken.items():
                    if len(self._waiting) < _MOST:
                        self._waiting.setdefault(key, at)
                for pid, session in sessions.items():
                    self._sessions.setdefault(pid, session)
            return False
        return True

    def _write(self, taken: Dict[Tuple[str, str], int]) -> None:
        # "rw": a file that this user made would not be everybody's who writes here.
        uri = self._path.as_uri() + "?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_PATIENCE)) as database, database:
            database.execute(
                "INSERT OR IGNORE INTO recording (protocol, since) VALUES (?, ?)",
                (PROTOCOL, self._began),
            )
            database.executemany(UPSERT, [(*key, at) for key, at in taken.items()])

    def _write_sessions(self, sessions: Dict[int, Tuple[str, str]]) -> None:
        uri = self._path.as_uri() + "?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_PATIENCE)) as database, database:
            database.executemany(
                "INSERT OR REPLACE INTO submission (pid, started, userid) VALUES (?, ?, ?)",
                [(pid, *session) for pid, session in sessions.items()],
            )

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        stored = False
        while True:
            with contextlib.suppress(Exception):
                # Anything else than SQLite's errors must not end the only writer either.
                stored = self.store()
            if stored:
                self._any.wait()
            time.sleep(_BETWEEN if stored else _AGAIN)
