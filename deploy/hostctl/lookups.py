"""Postfix's tables, answered from the accounts' database: nothing is built, nothing goes stale.

    <- 25:mailbox alice@example.test,          socketmap_table(5): a netstring, name and key
    -> 21:OK alice@example.test,
    -> 9:NOTFOUND ,
    -> 41:TEMP the accounts cannot be read just now,        Postfix says 451: try again

    domain    example.test         OK                      virtual_mailbox_domains
    mailbox   alice@example.test   its address             virtual_mailbox_maps, closed ones too
    alias     sales@example.test   its targets             virtual_alias_maps
    owner     a sender's address   who may send as it now  smtpd_sender_login_maps

Of such a table Postfix asks with the whole address alone: that alice+detail is alice, and that a
catch-all takes what nobody else does, is decided here.  It asks anew for every message, and so
does a session that has been open since before a change.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
import syslog
from pathlib import Path
from typing import Callable, Dict, List, Optional

from . import maps
from .listening import netstring

THREADS = 1024
"""Postfix runs a hundred processes of a kind at most; each keeps its connection."""

_PLAIN = re.compile(r"[a-z0-9._+=-]+@")
TEMPORARY = b"TEMP the accounts cannot be read just now"


def opened(database: Path) -> sqlite3.Connection:
    # "rw": reading in WAL writes beside the file; and one that is missing is not made.
    return sqlite3.connect(database.as_uri() + "?mode=rw", uri=True, timeout=2)


class Lookups:
    def __init__(self, database: Path) -> None:
        self.database = database

    def answer(self, client: socket.socket) -> None:
        """One Postfix process's questions, until it ends."""
        with client, contextlib.ExitStack() as kept:
            stream = client.makefile("rb")
            database: Optional[sqlite3.Connection] = None
            with contextlib.suppress(EOFError, ValueError, OSError):
                while True:
                    name, _, key = netstring(stream).decode("utf-8", "replace").partition(" ")
                    try:
                        if database is None:
                            database = opened(self.database)
                            kept.callback(database.close)
                        reply = self.found(database, name, key)
                    except sqlite3.Error as failure:
                        syslog.syslog(syslog.LOG_ERR, f"{name!a} {key!a} is not known: {failure}")
                        reply = TEMPORARY
                    client.sendall(b"%d:%b," % (len(reply), reply))

    def found(self, database: sqlite3.Connection, name: str, key: str) -> bytes:
        look = TABLES.get(name)
        if look is None:
            return b"PERM there is no such table"
        values = look(database, key.lower())
        return f"OK {', '.join(values)}".encode() if values else b"NOTFOUND "


def _domain(database: sqlite3.Connection, key: str) -> List[str]:
    row = database.execute("SELECT name FROM domain WHERE name = ?", (key,)).fetchone()
    return ["OK"] if row else []


def _mailbox(database: sqlite3.Connection, key: str) -> List[str]:
    for name in _names(key):
        row = database.execute("SELECT address FROM account WHERE address = ?", (name,)).fetchone()
        if row:
            return [row[0]]
    return []


def _names(address: str) -> List[str]:
    """The address and, where it has a detail, the one without."""
    local, _, domain = address.rpartition("@")
    return list(dict.fromkeys((address, f"{local.partition('+')[0]}@{domain}")))


def _targets(database: sqlite3.Connection, address: str) -> List[str]:
    row = database.execute("SELECT targets FROM alias WHERE address = ?", (address,)).fetchone()
    return [str(target) for target in json.loads(row[0])] if row else []


def _alias(database: sqlite3.Connection, key: str) -> List[str]:
    """As the maps of Sendmail have it; a mailbox goes before a catch-all, which takes plain names
    alone."""
    if key.startswith(maps.CATCH_ALL):
        return []  # it stands for other names and is none itself
    for name in _names(key):
        found = _targets(database, name)
        if found or _mailbox(database, name):
            return found
    local, _, domain = _names(key)[-1].rpartition("@")
    if local in maps.ROLES:
        # RFC 5321, 4.5.1; whom `root` is, /etc/aliases says.
        return ["root"] if _domain(database, domain) else []
    return _targets(database, f"{maps.CATCH_ALL}@{domain}") if _PLAIN.match(key) else []


def _owner(database: sqlite3.Connection, key: str) -> List[str]:
    if key.startswith(maps.CATCH_ALL):
        return []  # nobody may send as everybody
    logins = [key, *(target.lower() for target in _targets(database, key))]
    return [login for login in dict.fromkeys(logins) if may_send(database, login)]


def may_send(database: sqlite3.Connection, login: str) -> bool:
    row = database.execute(
        "SELECT can_login AND can_send FROM account WHERE address = ?", (login,)
    ).fetchone()
    return bool(row and row[0])


TABLES: Dict[str, Callable[[sqlite3.Connection, str], List[str]]] = {
    "domain": _domain,
    "mailbox": _mailbox,
    "alias": _alias,
    "owner": _owner,
}
