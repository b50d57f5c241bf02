"""Postfix's way to Dovecot's passwords: Dovecot's auth protocol, line by line, through the bridge.

    postfix/smtpd  <->  auth.sock (here)  <->  /run/dovecot/auth-client

    -> VERSION 1 2 / CPID 4711                                     passed on as they are
    -> AUTH 1 PLAIN service=smtp secured rip=... resp=AGFubmE...   with `no-penalty` put in
    <- OK 1 user=anna@example.test app=abcd2345 | FAIL 1 user=... | CONT 1 ...

What stands between them is what Sendmail's logins have too: wrong passwords delay the next check
of the *same account* and nobody else's (`delays`; Dovecot's own penalty would be for the
address, which a whole office may share), and a login that succeeds is noted as a use.

Postfix gives up after 10 seconds without an answer: whose turn comes later is told to try again.
Source: Dovecot's auth-protocol, version 1.2; xsasl_dovecot_server.c.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
import syslog
import threading
import time
from typing import Dict, Optional

from .delays import Delays
from .uses import Uses

LONGEST_WAIT = 6.0
_BACKEND_PATIENCE = 6.0  # Dovecot's restart: 3.0 s
_MOST_LINE = 8192
_MOST_OPEN = 100


class AuthProxy:
    def __init__(
        self, backend: str, delays: Optional[Delays] = None, uses: Optional[Uses] = None
    ) -> None:
        self.backend = backend
        self.delays = delays or Delays()
        self.uses = uses

    def answer(self, client: socket.socket) -> None:
        """One smtpd process's logins, until it ends or Dovecot does."""
        with client:
            try:
                backend = self._connected()
            except OSError as failure:
                syslog.syslog(syslog.LOG_ERR, f"backend down: {failure}")
                return
            with backend:
                _Relay(self, client, backend).run()

    def _connected(self) -> socket.socket:
        until = time.monotonic() + _BACKEND_PATIENCE
        while True:
            backend = socket.socket(socket.AF_UNIX)
            try:
                backend.connect(self.backend)
                return backend
            except OSError:
                backend.close()
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)


class _Relay:
    """One connection.  `logins`: the requests under way, and whose they are once that is said."""

    def __init__(self, proxy: AuthProxy, client: socket.socket, backend: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.backend = backend
        self.logins: Dict[bytes, str] = {}
        self._sending = threading.Lock()

    def run(self) -> None:
        back = threading.Thread(target=self._answers, daemon=True)
        back.start()
        with contextlib.suppress(OSError), self.client.makefile("rb") as stream:
            for line in iter(lambda: stream.readline(_MOST_LINE), b""):
                if not line.endswith(b"\n"):
                    break
                passed = self._asked(line)
                if passed:
                    self.backend.sendall(passed)
        for each in (self.client, self.backend):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        back.join()

    def _asked(self, line: bytes) -> bytes:
        """What of Postfix's line goes on to Dovecot; empty when it is answered here."""
        fields = line.rstrip(b"\n").split(b"\t")
        if fields[0] == b"AUTH" and len(fields) > 2:
            if len(self.logins) >= _MOST_OPEN:
                self.logins.clear()
            self.logins[fields[1]] = ""
            given = next((f[5:] for f in fields[3:] if f.startswith(b"resp=")), b"")
            login = _of_plain(given) if fields[2].upper() == b"PLAIN" else ""
            if not self._may_ask(fields[1], login):
                return b""
            return b"\t".join([*fields[:3], b"no-penalty", *fields[3:]]) + b"\n"
        if fields[0] == b"CONT" and len(fields) == 3 and self.logins.get(fields[1]) == "":
            # PLAIN without an initial response, or LOGIN, which says the name first.
            login = _of_plain(fields[2]) or _decoded(fields[2]).decode("utf-8", "replace")
            if not self._may_ask(fields[1], login):
                return b""
        return line

    def _may_ask(self, number: bytes, login: str) -> bool:
        login = login.lower()
        wait = self.proxy.delays.turn(login, LONGEST_WAIT) if login else 0.0
        if wait is None:
            syslog.syslog(syslog.LOG_WARNING, f"too many attempts user={login!a}")
            self.logins.pop(number, None)
            time.sleep(LONGEST_WAIT)  # at once, it would be an invitation to come back at once
            self._send(b"FAIL\t" + number + b"\ttemp\n")
            return False
        time.sleep(wait)
        self.logins[number] = login
        return True

    def _answers(self) -> None:
        with contextlib.suppress(OSError), self.backend.makefile("rb") as stream:
            for line in iter(lambda: stream.readline(_MOST_LINE), b""):
                self._send(self._answered(line))
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def _answered(self, line: bytes) -> bytes:
        fields = line.rstrip(b"\n").split(b"\t")
        if fields[0] not in (b"OK", b"FAIL") or len(fields) < 2:
            return line
        login = self.logins.pop(fields[1], "")
        told = {f.partition(b"=")[0]: f.partition(b"=")[2] for f in fields[2:]}
        name = told.get(b"user", b"").decode("utf-8", "replace").lower() or login
        if fields[0] == b"OK" and b"nologin" in told:
            # It is allowed nothing but to be told so: Postfix would let it send.
            return b"FAIL\t" + fields[1] + b"\tuser=" + told.get(b"user", b"") + b"\n"
        if fields[0] == b"OK":
            app = told.get(b"app", b"").decode("ascii", "replace")
            self.proxy.delays.succeeded(login)
            syslog.syslog(f"ok user={name!a} service='smtp'" + (f" app={app}" if app else ""))
            if self.proxy.uses:
                self.proxy.uses.note(name, app)
        elif b"temp" not in told and login:
            self.proxy.delays.failed(login)
            syslog.syslog(f"failed user={name!a} service='smtp'")
        return line

    def _send(self, line: bytes) -> None:
        with self._sending:
            self.client.sendall(line)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _of_plain(text: bytes) -> str:
    """RFC 4616: authorization identity NUL login NUL password."""
    parts = _decoded(text).split(b"\0")
    return parts[1].decode("utf-8", "replace") if len(parts) == 3 else ""
