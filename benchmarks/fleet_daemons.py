"""The daemons of all hosts of `benchmarks.fleet`, which only pretend: a hundred Sendmails and
Dovecots do not fit into one machine.

They answer on the seven ports what the probes ask, by the name that a client gives in TLS.  They
serve the certificate of the generation that was live when the host's daemon was last told to
reload, let in whom the host's own database names, and keep a message until it is read back.
Runs inside the benchmark's Debian root, by its Python (standard library only).
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import re
import socket
import sqlite3
import ssl
import threading
import time

from fleet_host import DOMAIN, ROOTS, root_of

SMTP, SUBMISSION, SUBMISSIONS, IMAP, IMAPS, POP3, POP3S = 25, 587, 465, 143, 993, 110, 995
TLS_AT_ONCE = {SUBMISSIONS, IMAPS, POP3S}
FAILURE_SECONDS = 2.0  # Dovecot's auth_failure_delay


class Pretend:
    def __init__(self):
        self.contexts = {}
        self.mail = {}
        self.sodium = ctypes.CDLL("libsodium.so.23")
        self.sodium.sodium_init()

    def context(self, number, port):
        service = "sendmail" if port in (SMTP, SUBMISSION, SUBMISSIONS) else "dovecot"
        live = (root_of(number) / "daemons" / service).read_text()
        if (number, live) not in self.contexts:
            tls = root_of(number) / "var/lib/mailadmin" / live / "tls"
            self.contexts[number, live] = strict(tls)
        return self.contexts[number, live]

    def wrap(self, plain, port):
        def chosen(secure, name, _first):
            found = re.fullmatch(rf"mail(\d+)\.{DOMAIN}", name or "")
            if found:
                secure.context = self.context(int(found.group(1)), port)

        first = strict(next(ROOTS.glob("*/var/lib/mailadmin/current/tls")))
        first.sni_callback = chosen
        return first.wrap_socket(plain, server_side=True)

    def lets_in(self, login, password):
        found = re.fullmatch(rf"[^@]+@(?:\w+\.)?mail(\d+)\.{DOMAIN}", login)
        row = None
        if found:
            path = root_of(found.group(1)) / "var/lib/mailadmin/accounts/db/accounts.sqlite"
            with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
                row = database.execute(
                    "SELECT password FROM account WHERE address = ? AND can_login", (login,)
                ).fetchone()
        if row is not None and self.verifies(row[0].partition("}")[2], password):
            return True
        time.sleep(FAILURE_SECONDS)
        return False

    def verifies(self, hashed, password):
        given = password.encode()
        stored = hashed.encode().ljust(128, b"\0")
        length = ctypes.c_ulonglong(len(given))
        return self.sodium.crypto_pwhash_str_verify(stored, given, length) == 0


def strict(tls):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("ECDHE+AESGCM")
    made.load_cert_chain(tls / "chain.pem", tls / "key.pem")
    return made


class Session:
    def __init__(self, pretend, plain, port):
        self.pretend, self.port, self.login = pretend, port, ""
        self.socket, self.tls = plain, False
        if port in TLS_AT_ONCE:
            self.start_tls()
        self.stream = self.socket.makefile("rb")

    def start_tls(self):
        self.socket, self.tls = self.pretend.wrap(self.socket, self.port), True
        self.stream = self.socket.makefile("rb")

    def say(self, *lines):
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def lines(self):
        while True:
            raw = self.stream.readline()
            if not raw:
                return
            yield raw.decode("utf-8", "replace").rstrip("\r\n")

    def log_in(self, login, password):
        if self.tls and self.pretend.lets_in(login, password):
            self.login = login
        return bool(self.login)


class SmtpSession(Session):
    def run(self):
        self.say("220 pretended ESMTP")
        may_log_in = self.port != SMTP
        recipient = ""
        for line in self.lines():
            verb = line.upper()
            if verb.startswith("EHLO"):
                more = [] if self.tls else ["250-STARTTLS"]
                more += ["250-AUTH PLAIN"] if self.tls and may_log_in else []
                self.say("250-pretended", *more, "250 HELP")
            elif verb == "STARTTLS":
                self.say("220 go ahead")
                self.start_tls()
            elif verb.startswith("AUTH PLAIN "):
                _, login, password = base64.b64decode(line[11:]).decode().split("\0")
                allowed = may_log_in and self.tls and self.log_in(login, password)
                self.say("235 welcome" if allowed else "535 no" if self.tls else "503 no TLS")
            elif verb.startswith("MAIL"):
                closed = may_log_in and not self.login
                self.say("530 authentication required" if closed else "250 ok")
            elif verb.startswith("RCPT TO:"):
                recipient = line[8:].strip("<> ")
                self.say(self.judge(recipient))
            elif verb == "DATA":
                self.say("354 go on")
                text = []
                for part in self.lines():
                    if part == ".":
                        break
                    text.append(part)
                self.pretend.mail.setdefault(recipient, []).append("\r\n".join(text))
                self.say("250 taken")
            else:
                self.say("221 bye" if verb == "QUIT" else "250 ok")
                if verb == "QUIT":
                    return

    def judge(self, recipient):
        local, _, domain = recipient.partition("@")
        if local.startswith("no-such-"):
            return "550 5.1.1 no such user"
        if "%" in local or not domain.endswith(f".{DOMAIN}"):
            return "550 5.7.1 relaying denied"
        return "250 ok"


class ImapSession(Session):
    def run(self):
        self.say("* OK pretended")
        for line in self.lines():
            tag, _, command = line.partition(" ")
            verb, _, rest = command.partition(" ")
            kept = self.pretend.mail.setdefault(self.login, [])
            if verb == "CAPABILITY":
                self.say("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED", f"{tag} OK")
            elif verb == "STARTTLS":
                self.say(f"{tag} OK go ahead")
                self.start_tls()
            elif verb == "LOGIN":
                given = [word.strip('"') for word in rest.split(" ")]
                self.say(f"{tag} OK in" if self.log_in(*given) else f"{tag} NO")
            elif verb == "SEARCH":
                numbers = " ".join(str(number + 1) for number in range(len(kept)))
                self.say(f"* SEARCH {numbers}", f"{tag} OK")
            elif verb == "FETCH":
                text = kept[int(rest.split()[0]) - 1]
                self.say(f"* 1 FETCH (BODY[TEXT] {{{len(text) + 2}}}", text, ")", f"{tag} OK")
            else:
                if verb == "EXPUNGE":
                    kept.clear()
                self.say(f"{tag} OK")
                if verb == "LOGOUT":
                    return


class Pop3Session(Session):
    def run(self):
        self.say("+OK pretended")
        login = ""
        for line in self.lines():
            verb, _, rest = line.partition(" ")
            if verb == "STLS":
                self.say("+OK go ahead")
                self.start_tls()
            elif verb == "USER" and self.tls:
                login = rest
                self.say("+OK")
            elif verb == "PASS":
                self.say("+OK in" if self.log_in(login, rest) else "-ERR")
            else:
                self.say("+OK bye" if verb == "QUIT" else "-ERR no")
                if verb == "QUIT":
                    return


SESSIONS = {
    SMTP: SmtpSession,
    SUBMISSION: SmtpSession,
    SUBMISSIONS: SmtpSession,
    IMAP: ImapSession,
    IMAPS: ImapSession,
    POP3: Pop3Session,
    POP3S: Pop3Session,
}


def serve():
    pretend = Pretend()

    def one(client, port):
        with contextlib.suppress(OSError, ValueError, StopIteration), client:
            client.settimeout(30)
            session = SESSIONS[port](pretend, client, port)
            with session.socket:
                session.run()

    def accept(listener, port):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=one, args=(client, port), daemon=True).start()

    for port in SESSIONS:
        listener = socket.create_server(("", port), backlog=512)
        threading.Thread(target=accept, args=(listener, port)).start()
    print("listening", flush=True)  # noqa: T201 - whoever started it waits for this
