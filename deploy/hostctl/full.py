"""Which mailboxes are full: Sendmail's socketmap in front, Dovecot's quota-status behind.

A full mailbox that is accepted at RCPT is refused by LMTP, and the bounce goes to a sender who was
probably forged.  So the gate asks before it accepts.

    <- 30:full 5000:bob+lists@example.test,    a netstring: the map's name, then SIZE= and recipient
    -> 7:OK FULL,                              nothing that fits goes there
    -> 9:NOTFOUND ,                            there is room, no limit, or nobody could be asked

What the recipient leads to is looked up in the accounts' database as Sendmail will: the address,
then without its detail, then the domain's catch-all; an alias is full when everything it leads to
is.  Only mailboxes with a quota are asked about, of Dovecot itself, which counts as LMTP will:

    -> recipient=bob@example.test / size=5000 / (empty line)       Postfix's policy protocol
    <- action=552 5.2.2 Mailbox is full

Whoever cannot be asked has room: a daemon that is down must not refuse mail for good, and
LMTP still has the last word.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import syslog
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Set

from . import maps
from .listening import netstring, start

THREADS = 256
"""Each SMTP session that named a recipient of ours keeps its connection; Sendmail has 200."""
_ANSWER_SECONDS = 5.0
_MOST_KEY = 1024


class Unknown(Exception):
    """Nobody could be asked."""


class Full:
    def __init__(self, database: Path, backend: str) -> None:
        self.database = database
        self.backend = backend

    def answer(self, client: socket.socket) -> None:
        """One SMTP session's questions, until it ends."""
        with client:
            stream = client.makefile("rb")
            with contextlib.suppress(EOFError, ValueError, OSError):
                while True:
                    _map, _, key = netstring(stream).decode("ascii", "replace").partition(" ")
                    size, _, recipient = key.partition(":")
                    reply = b"OK FULL" if self.is_full(recipient, size) else b"NOTFOUND "
                    client.sendall(b"%d:%b," % (len(reply), reply))

    def is_full(self, recipient: str, size: str = "") -> bool:
        until = time.monotonic() + _ANSWER_SECONDS
        try:
            # "rw": reading in WAL writes beside the file; and one that is missing is not made.
            uri = self.database.as_uri() + "?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=1)) as database:
                question = _Question(database, self.backend, size, until)
                return question.all_full(recipient.lower())
        except (Unknown, OSError, sqlite3.Error) as failure:
            syslog.syslog(syslog.LOG_ERR, f"fullness of {recipient!a} is not known: {failure}")
            return False

    def start(self, listener: socket.socket) -> None:
        start(listener, self.answer, most=THREADS)


class _Question:
    def __init__(self, database: sqlite3.Connection, backend: str, size: str, until: float) -> None:
        self.database = database
        self.backend = backend
        self.size = size if size.isdigit() else ""
        self.until = until
        self.seen: Set[str] = set()

    def all_full(self, address: str) -> bool:
        """Whether all that this address leads to is full; what goes elsewhere is not."""
        local, _, domain = address.rpartition("@")
        plain = local.partition("+")[0]
        names = [address, f"{plain}@{domain}"]
        if plain not in maps.ROLES:
            names.append(f"{maps.CATCH_ALL}@{domain}")
        for name in names:
            row = self._one("SELECT quota_bytes FROM account WHERE address = ?", name)
            if row is not None:
                return row > 0 and ask_dovecot(self.backend, name, self.size, self.until)
            row = self._one("SELECT targets FROM alias WHERE address = ?", name)
            if row is not None:
                if name in self.seen:
                    return False
                self.seen.add(name)
                return all(self.all_full(target.lower()) for target in json.loads(row))
        return False

    def _one(self, query: str, name: str) -> Any:
        row = self.database.execute(query, (name,)).fetchone()
        return None if row is None else row[0]


def ask_dovecot(path: str, address: str, size: str, until: float) -> bool:
    """Whether a message of this size would be over the quota.  Raises Unknown, OSError."""
    left = until - time.monotonic()
    if left <= 0:
        raise Unknown("it takes too long")
    with socket.socket(socket.AF_UNIX) as backend:
        backend.settimeout(left)
        backend.connect(path)
        asked = f"request=smtpd_access_policy\nrecipient={address}\nsize={size}\n\n"
        backend.sendall(asked.encode("ascii", "replace"))
        said = backend.makefile("rb").readline(_MOST_KEY).decode("utf-8", "replace").strip()
    action = said.partition("=")[2]
    if not said.startswith("action=") or action.startswith("DEFER"):
        raise Unknown(said or "no answer")
    return action.startswith("5")
