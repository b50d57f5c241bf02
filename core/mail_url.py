"""Where mail is handed in, as one line of the environment, in the way of `DATABASE_URL`:

    smtp://127.0.0.1:25                                this machine's own MTA
    smtp://user:password@mail.example.com:587?starttls a submission port
    smtps://user:password@mail.example.com             TLS from the first byte, port 465

User and password are percent-encoded. A password never leaves this machine in clear.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"


def parse(url: str) -> MailServer | None:
    """None for an empty line. ValueError says what is wrong with it, without what is in it."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("its host or port cannot be read") from None
    if parts.scheme not in PORTS:
        raise ValueError("it must begin with smtp:// or smtps://")
    if not parts.hostname:
        raise ValueError("it names no host")
    options = set(parse_qs(parts.query, keep_blank_values=True))
    if parts.path not in ("", "/") or parts.fragment or options - {"starttls"}:
        raise ValueError("after the port only ?starttls may follow; encode / ? # in a password")
    starttls, tls = "starttls" in options, parts.scheme == "smtps"
    if starttls and tls:
        raise ValueError("smtps:// is encrypted already: leave ?starttls out")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if password and not (starttls or tls or parts.hostname in LOOPBACK):
        raise ValueError("the password would travel in clear: add ?starttls, or use smtps://")
    return MailServer(
        parts.hostname, port or PORTS[parts.scheme], user, password, starttls=starttls, tls=tls
    )
