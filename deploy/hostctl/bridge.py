"""The bridge: what the MTA asks about accounts.  On a host with Sendmail, passwords above all:
saslauthd's protocol in front, Dovecot's auth protocol behind.  (What Postfix asks is in
`authproxy`, `lookups` and `policy`.)

Sendmail's SASL library asks a socket; Dovecot knows the passwords.  `saslauthd -a rimap`
between them makes every login come from 127.0.0.1, so that four wrong passwords slow down
everybody, and runs a whole IMAP session for each.

    <- 4 counted strings: login, password, service, realm (16-bit big-endian length first)
    -> 1 counted string: "OK" or "NO"; closed without a word when nobody could be asked

    -> VERSION 1 2 / CPID n, then AUTH 1 PLAIN service=smtp secured no-penalty nologin resp=...
    <- OK 1 user=... [app=selector] | FAIL 1 user=... [temp] [reason=...]   (separated by TAB)

The request carries no client address, so Dovecot's penalty must be off (`no-penalty`: without
it a bystander waits 15 s after nine wrong passwords of somebody else).  In its place wrong
passwords delay the next check of the *same account*: three are free, then 1, 2, 4 s between
checks.  A backend that is down is tried for some seconds; what cannot be answered is not
answered `NO`, which the client would take for a wrong password.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import os
import pwd
import signal
import socket
import struct
import sys
import syslog
import threading
import time
from typing import BinaryIO, Callable, NamedTuple, Optional

from . import durable, paths
from .authproxy import AuthProxy
from .delays import Delays
from .full import Full
from .listening import listen, open_many, serve, start
from .lookups import THREADS as THREADS_POSTFIX
from .lookups import Lookups
from .policy import Policy
from .services import start_time
from .uses import Uses

THREADS = 64
_BACKEND_PATIENCE = 6.0  # Dovecot's restart: 3.0 s
_CLIENT_SECONDS = 30.0
_MOST_LOGIN, _MOST_PASSWORD = 320, 1024


class BackendDown(Exception):
    pass


class Answer(NamedTuple):
    """What Dovecot says.  `app` is the selector of the app password that it was."""

    allowed: bool
    why: str = ""
    app: str = ""


def ask_dovecot(path: str, login: bytes, password: bytes) -> Answer:
    """Whether Dovecot lets this login in, and why not.  Raises BackendDown."""
    if b"\0" in login or b"\0" in password:
        return Answer(False, "NUL")
    until = time.monotonic() + _BACKEND_PATIENCE
    while True:
        try:
            return _ask_once(path, login, password)
        except (OSError, BackendDown) as failure:
            if time.monotonic() > until:
                raise BackendDown(str(failure)) from None
            time.sleep(0.2)


def _ask_once(path: str, login: bytes, password: bytes) -> Answer:
    with socket.socket(socket.AF_UNIX) as backend:
        backend.settimeout(30)
        backend.connect(path)
        stream = backend.makefile("rb")
        process = os.getpid() * 1000 + threading.get_ident() % 1000
        backend.sendall(b"VERSION\t1\t2\nCPID\t%d\n" % (process % 2**31))
        for line in stream:
            if line.strip() == b"DONE":
                break
        else:
            raise BackendDown("no greeting")
        initial = base64.b64encode(b"\0" + login + b"\0" + password)
        backend.sendall(
            b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tno-penalty\tnologin\tresp=" + initial + b"\n"
        )
        fields = stream.readline().rstrip(b"\n").split(b"\t")
    if fields[0] == b"OK":
        # A login that is allowed nothing but to be told so must not send either.
        if b"nologin" in fields:
            return Answer(False, "nologin")
        app = next((f[4:].decode("ascii", "replace") for f in fields if f.startswith(b"app=")), "")
        return Answer(True, "", app)
    if fields[0] != b"FAIL" or b"temp" in fields:
        raise BackendDown("temporary failure" if fields[0] == b"FAIL" else "no answer")
    why = [f for f in fields[2:] if not f.startswith(b"user=")]
    return Answer(False, b" ".join(why).decode("utf-8", "replace"))


def _counted(stream: BinaryIO, most: int) -> bytes:
    head = stream.read(2)
    if len(head) < 2:
        raise EOFError
    (length,) = struct.unpack(">H", head)
    if length > most:
        raise ValueError("too long")
    text = stream.read(length)
    if len(text) < length:
        raise EOFError
    return text


def _asking(client: socket.socket) -> int:
    """The process at the other end: Sendmail's, that has the session."""
    told = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[0])


class Bridge:
    def __init__(
        self, backend: str, delays: Optional[Delays] = None, uses: Optional[Uses] = None
    ) -> None:
        self.backend = backend
        self.delays = delays or Delays()
        self.uses = uses

    def answer(self, client: socket.socket) -> None:
        """One question of the SASL library, from its first byte to the end of the connection."""
        with client:
            client.settimeout(_CLIENT_SECONDS)
            pid = _asking(client)
            started = start_time(pid)  # now, while it certainly is the one that asks
            stream = client.makefile("rb")
            try:
                login = _counted(stream, _MOST_LOGIN)
                password = _counted(stream, _MOST_PASSWORD)
                service = _counted(stream, 64)
                realm = _counted(stream, 255)
            except (EOFError, ValueError, OSError):
                return
            if realm and b"@" not in login:
                login += b"@" + realm
            name = login.decode("utf-8", "replace").lower()
            wait = self.delays.turn(name)
            if wait is None:
                syslog.syslog(syslog.LOG_WARNING, f"too many attempts user={name!a}")
                return
            time.sleep(wait)
            try:
                allowed, why, app = ask_dovecot(self.backend, login, password)
            except BackendDown as failure:
                # The client is told 535 all the same; this line is what to raise an alarm on.
                syslog.syslog(syslog.LOG_ERR, f"backend down: {failure}")
                return
            if allowed:
                self.delays.succeeded(name)
            else:
                self.delays.failed(name)
            told = f"{'ok' if allowed else 'failed'} user={name!a}"
            why = f"app={app}" if app else why
            syslog.syslog(f"{told} service={service.decode('ascii', 'replace')!a} {why}")
            reply = b"OK" if allowed else b"NO"
            with contextlib.suppress(OSError):
                client.sendall(struct.pack(">H", len(reply)) + reply)
            if allowed and self.uses:
                self.uses.note(name, app)
                if pid and started:
                    self.uses.opened(name, pid, started)

    def serve(self, listener: socket.socket) -> None:
        serve(listener, self.answer, most=THREADS)


def main(layout: paths.Layout, *, detach: bool) -> None:
    """Binds as root, detaches, gives up root for Dovecot's user, serves until TERM."""
    syslog.openlog("mailadmin-bridge", syslog.LOG_PID, syslog.LOG_MAIL)
    durable.folder(layout.run, 0o755)
    serving = _for_postfix(layout) if layout.mta == "postfix" else _for_sendmail(layout)
    if detach and os.fork():
        os._exit(0)
    if detach:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(null, handle)
    durable.write(layout.at(paths.BRIDGE_PID), f"{os.getpid()}\n".encode(), 0o644)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    user = pwd.getpwnam(paths.BRIDGE_USER)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    open_many()
    uses = Uses(layout.last_login_db)
    uses.start()
    try:
        serving(uses)
    finally:
        uses.store()


def _for_sendmail(layout: paths.Layout) -> Callable[[Uses], None]:
    """Binds its sockets; what is returned serves them for ever."""
    asked_for_logins = listen(layout.at(paths.BRIDGE_SOCKET))
    asked_if_full = listen(layout.at(paths.FULL_SOCKET))

    def serving(uses: Uses) -> None:
        Full(layout.accounts_db, paths.DOVECOT_QUOTA_SOCKET).start(asked_if_full)
        Bridge(paths.DOVECOT_AUTH_SOCKET, uses=uses).serve(asked_for_logins)

    return serving


def _for_postfix(layout: paths.Layout) -> Callable[[Uses], None]:
    group = grp.getgrnam(paths.POSTFIX_USER).gr_gid
    asked_who = listen(layout.at(paths.LOOKUP_SOCKET), (0, group))
    asked_whether = listen(layout.at(paths.POLICY_SOCKET), (0, group))
    asked_for_logins = listen(layout.at(paths.AUTH_SOCKET), (0, group))

    def serving(uses: Uses) -> None:
        full = Full(layout.accounts_db, paths.DOVECOT_QUOTA_SOCKET)
        policy = Policy(layout.accounts_db, layout.last_login_db, full)
        start(asked_whether, policy.answer, most=THREADS_POSTFIX)
        proxy = AuthProxy(paths.DOVECOT_AUTH_SOCKET, Delays(), uses)
        start(asked_for_logins, proxy.answer, most=THREADS_POSTFIX)
        serve(asked_who, Lookups(layout.accounts_db).answer, most=THREADS_POSTFIX)

    return serving
