"""Ending open IMAP and POP3 sessions: a suspended account's live ones would go on.

Sendmail's sessions have no list: the bridge writes down which process each login was at.  Who may
send no more is stopped by the `cansend` map, at the next MAIL; the process of who may still (a new
password, a revoked one) is ended.  Postfix asks the bridge at every MAIL, which looks whether the
session is older than the end that is written down here (`policy`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from contextlib import closing
from typing import Any, List, Set, Tuple

from .deltas import ADDRESS
from .host import Host
from .services import alive, start_time
from .wire import Refused

DOVEADM = "/usr/bin/doveadm"
_MOST = 100_000
_ONE_BY_ONE = 8
_NOBODY = 68  # EX_NOHOST: no session matches


def addresses(given: Any) -> List[str]:
    """`doveadm kick` takes patterns: only plain addresses may reach it."""
    if not isinstance(given, list) or len(given) > _MOST:
        raise Refused("bad_request", "The sessions to end are not a list of addresses.")
    for address in given:
        if not isinstance(address, str) or not ADDRESS.fullmatch(address):
            raise Refused("bad_request", f"{str(address)[:80]!r} is not an address of ours.")
    return given


def end(host: Host, ended: List[str]) -> Set[str]:
    """The addresses among these that had a session, which is now over."""
    if not ended:
        return set()
    out: Set[str] = set()
    try:
        if "sendmail" in host.services:
            out = _end_submissions(host, ended)
        if "postfix" in host.services:
            _note_end(host, ended)
    except sqlite3.Error:
        _kick_all(host, ended)  # a disk that cannot be written keeps no session of Dovecot's open
        raise
    return out | _kick_all(host, ended)


def _kick_all(host: Host, ended: List[str]) -> Set[str]:
    if host.services["dovecot"].pid() is None:
        return set()
    if len(ended) > _ONE_BY_ONE:
        present = _logged_in(host)
        ended = [address for address in ended if address in present]
    # Imported where it is needed: every request starts Python anew.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        kicked = pool.map(lambda address: _kick(host, address), ended)
        return {address for address, was_in in zip(ended, kicked) if was_in}  # noqa: B905 - Python 3.9


def _end_submissions(host: Host, ended: List[str]) -> Set[str]:
    """Those of who may send still; the others' are refused at their next MAIL, with a reason."""
    out: Set[str] = set()
    path, accounts = host.layout.last_login_db, host.layout.accounts_db
    if not (path.is_file() and accounts.is_file()):
        return out
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        database.execute("ATTACH ? AS accounts", (str(accounts),))
        gone: List[Tuple[int, str]] = []
        for address in ended:
            rows = database.execute(
                "SELECT pid, started FROM submission JOIN accounts.account ON address = userid"
                " WHERE userid = ? AND can_login AND can_send",
                (address,),
            ).fetchall()
            for pid, since in rows:
                gone.append((pid, since))
                if since == start_time(pid) and alive(pid, "sendmail"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                        out.add(address)
        database.executemany("DELETE FROM main.submission WHERE pid = ? AND started = ?", gone)
    return out


def _note_end(host: Host, ended: List[str]) -> None:
    if not host.layout.last_login_db.is_file():
        return
    now = time.time()
    with closing(sqlite3.connect(host.layout.last_login_db, timeout=20)) as database, database:
        # Postfix ends a session after a day at the latest; this is longer than any lives.
        database.execute("DELETE FROM ended WHERE at < ?", (now - 7 * 86400,))
        database.executemany(
            "INSERT OR REPLACE INTO ended (userid, at) VALUES (?, ?)",
            [(address, now) for address in ended],
        )


def _kick(host: Host, address: str) -> bool:
    told = host.run([DOVEADM, "kick", address], timeout=20)
    if told.status not in (0, _NOBODY):
        raise Refused("kick", f"The sessions of {address} could not be ended: {told.words}")
    return told.status == 0


def _logged_in(host: Host) -> Set[str]:
    """`doveadm who` prints a heading, then `username  # proto (pids) (ips)` a line."""
    told = host.run([DOVEADM, "who"], timeout=20)
    lines = told.out.decode("utf-8", "replace").splitlines()[1:]
    return {line.split()[0] for line in lines if line.strip()}
