"""Whether a session of Postfix's may go on: its policy protocol (SMTPD_POLICY_README).

    <- request=smtpd_access_policy / protocol_state=RCPT / sasl_username=alice@example.test / ...
       and an empty line; many requests a connection
    -> action=DUNNO                                 and an empty line

    connected     587 and 465: when the session began is remembered, nobody is refused
    at MAIL       who signed in: sends while allowed to, never as nobody (`<>`: bounces are made by
                  servers), and not in a session from before its sessions were ended, which is 421
    at RCPT       a mailbox that is closed (550) or full for this message (552)

A session is known by the client's address and port.  One that is not known began before the bridge
did.  A full mailbox that is accepted is refused by LMTP later, and the bounce goes to a sender who
was probably forged: `full`.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import syslog
import threading
import time
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Callable, Dict, Tuple

from . import lookups
from .full import Full

NO_OBJECTION = "DUNNO"
LATER = "451 4.3.0 Account lookup failed, try again"
SIGN_IN_AGAIN = "421 4.7.0 Your password was changed, sign in again"
MAY_NOT_SEND = "550 5.7.1 This account may not send mail"
NO_SENDER = "550 5.7.1 A sender address is required"
CLOSED = "550 5.2.1 Mailbox does not accept mail"
FULL = "552 5.2.2 Mailbox is full"
_MOST_LINES, _MOST_LINE = 100, 4096
_MOST_SESSIONS = 20_000

Asked = Dict[str, str]
Peer = Tuple[str, str]


class Policy:
    def __init__(
        self,
        database: Path,
        last_login: Path,
        full: Full,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.last_login = last_login
        self.full = full
        self._clock = clock
        self._lock = threading.Lock()
        self._began: "OrderedDict[Peer, float]" = OrderedDict()

    def answer(self, client: socket.socket) -> None:
        """One smtpd process's questions, until it ends."""
        with client:
            stream = client.makefile("rb")
            with contextlib.suppress(EOFError, ValueError, OSError):
                while True:
                    action = self.judge(_request(stream))
                    client.sendall(f"action={action}\n\n".encode("ascii", "replace"))

    def judge(self, asked: Asked) -> str:
        """The action for one request."""
        state = asked.get("protocol_state", "")
        try:
            if state == "CONNECT":
                self._connected(_peer(asked))
                return NO_OBJECTION
            if state == "MAIL" and asked.get("sasl_username"):
                return self._sender(asked["sasl_username"].lower(), asked)
            if state == "RCPT":
                return self._recipient(asked.get("recipient", "").lower(), asked.get("size", ""))
        except sqlite3.Error as failure:
            syslog.syslog(syslog.LOG_ERR, f"{state!a} cannot be judged: {failure}")
            return LATER
        return NO_OBJECTION

    def _connected(self, peer: Peer) -> None:
        with self._lock:
            self._began.pop(peer, None)
            self._began[peer] = self._clock()
            while len(self._began) > _MOST_SESSIONS:
                self._began.popitem(last=False)

    def _sender(self, login: str, asked: Asked) -> str:
        with closing(lookups.opened(self.database)) as database:
            if not lookups.may_send(database, login):
                return MAY_NOT_SEND
        if self._is_over(login, _peer(asked)):
            return SIGN_IN_AGAIN
        if not asked.get("sender"):
            return NO_SENDER
        return NO_OBJECTION

    def _is_over(self, login: str, peer: Peer) -> bool:
        with closing(lookups.opened(self.last_login)) as database:
            row = database.execute("SELECT at FROM ended WHERE userid = ?", (login,)).fetchone()
        with self._lock:
            began = self._began.get(peer, 0.0)
        return row is not None and began <= float(row[0])

    def _recipient(self, address: str, size: str) -> str:
        local, _, domain = address.rpartition("@")
        plain = f"{local.partition('+')[0]}@{domain}"
        with closing(lookups.opened(self.database)) as database:
            for name in dict.fromkeys((address, plain)):
                row = database.execute(
                    "SELECT receives FROM account WHERE address = ?", (name,)
                ).fetchone()
                if row is not None and not row[0]:
                    return CLOSED
                if row is not None:
                    break
        return FULL if self.full.is_full(address, size) else NO_OBJECTION


def _peer(asked: Asked) -> Peer:
    return asked.get("client_address", ""), asked.get("client_port", "")


def _request(stream: BinaryIO) -> Asked:
    """One request's attributes.  Raises EOFError; ValueError for what is none."""
    asked: Asked = {}
    for _ in range(_MOST_LINES):
        line = stream.readline(_MOST_LINE)
        if not line.endswith(b"\n"):
            raise EOFError
        text = line[:-1].decode("utf-8", "replace")
        if not text:
            return asked
        name, _equals, value = text.partition("=")
        asked[name] = value
    raise ValueError("too many attributes")
