"""Questions to the MTA and the MSA (RFC 5321, 3207, 4954, 8314).

Ports: 25 `smtp`, 587 `submission`, 465 `submissions` (TLS from the first byte).
"""

import base64
import secrets

from deploy.probes.dialogue import Dialogue
from deploy.probes.tls import compare
from deploy.probes.values import FOREIGN_RECIPIENT, Found, NotYet, Place, ProbeFailed

OUR_NAME = "mailadmin-probe.invalid"


class Smtp(Dialogue):
    """A session up to the first answer; `implicit` starts TLS at once."""

    def __init__(self, place: Place, port: int, *, implicit: bool = False) -> None:
        super().__init__(place, port)
        if implicit:
            self.start_tls()
        self.expect("220", self.reply())
        self.features = self.hello()

    def reply(self) -> list[str]:
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return lines

    def ask(self, line: str) -> list[str]:
        self.send(line)
        return self.reply()

    def expect(self, code: str, reply: list[str]) -> list[str]:
        if not reply[-1].startswith(code):
            # 4xx: the daemon, a map or the host behind it is not ready.
            raise (NotYet if reply[-1].startswith("4") else ProbeFailed)(" / ".join(reply))
        return reply

    def hello(self) -> list[str]:
        return [line[4:] for line in self.expect("250", self.ask(f"EHLO {OUR_NAME}"))[1:]]

    def offers(self, feature: str) -> str:
        """The feature's EHLO line, or an empty text."""
        for line in self.features:
            if line.upper().split(" ")[0].split("=")[0] == feature:
                return line
        return ""

    def ask_for_tls(self) -> None:
        if not self.offers("STARTTLS"):
            # Sendmail starts without STARTTLS when it cannot use its key, and says nothing.
            raise NotYet("STARTTLS is not offered")
        self.expect("220", self.ask("STARTTLS"))

    def secure(self) -> None:
        self.ask_for_tls()
        self.start_tls()
        self.features = self.hello()

    def log_in(self, login: str, password: str) -> list[str]:
        token = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
        return self.ask(f"AUTH PLAIN {token}")

    def quit(self) -> None:
        self.send("QUIT")


def secured(place: Place, protocol: str, port: int) -> Smtp:
    """A session whose TLS is up (except on port 25, where TLS is not a condition)."""
    session = Smtp(place, port, implicit=protocol == "submissions")
    if protocol == "submission":
        session.secure()
    return session


def starttls(place: Place, protocol: str, port: int, expected: str) -> Found:
    with Smtp(place, port) as session:
        session.secure()
        assert session.served is not None
        found = compare(session.served, expected)
        session.quit()
        return found


def tls(place: Place, protocol: str, port: int, expected: str) -> Found:
    with Smtp(place, port, implicit=True) as session:
        assert session.served is not None
        found = compare(session.served, expected)
        session.quit()
        return found


def auth_in_clear(place: Place, protocol: str, port: int) -> Found:
    """AUTH is neither announced nor accepted before TLS."""
    with Smtp(place, port) as session:
        announced = session.offers("AUTH")
        if announced:
            raise ProbeFailed(f"offered: {announced}")
        reply = session.log_in("mailadmin-probe", secrets.token_hex(8))
        if not reply[-1].startswith("5"):
            raise ProbeFailed(" / ".join(reply))
        return Found(reply[-1])


def auth_right(place: Place, protocol: str, port: int) -> Found:
    with secured(place, protocol, port) as session:
        reply = session.expect("235", session.log_in(place.login, place.password))
        session.quit()
        return Found(reply[-1])


def auth_wrong(place: Place, protocol: str, port: int) -> Found:
    with secured(place, protocol, port) as session:
        reply = session.log_in(place.login, secrets.token_hex(16))
        if not reply[-1].startswith("535"):
            raise ProbeFailed(" / ".join(reply))
        return Found(reply[-1])


def _recipient(session: Smtp, sender: str, recipient: str) -> list[str]:
    """The answer to RCPT, or to MAIL where that was refused."""
    reply = session.ask(f"MAIL FROM:<{sender}>")
    if reply[-1].startswith("2"):
        reply = session.ask(f"RCPT TO:<{recipient}>")
    if reply[-1].startswith("4"):
        raise NotYet(" / ".join(reply))
    session.ask("RSET")
    return reply


def unknown_recipient(place: Place, protocol: str, port: int) -> Found:
    """Refused while the sender is still there to be told: never a bounce later."""
    stranger = f"no-such-{secrets.token_hex(8)}@{place.fqdn}"
    with Smtp(place, port) as session:
        reply = _recipient(session, "", stranger)
    wanted = ("550", "250", "552") if place.catch_all else ("550",)
    if not reply[-1].startswith(wanted):
        raise ProbeFailed(" / ".join(reply))
    return Found(reply[-1])


def postmaster(place: Place, protocol: str, port: int) -> Found:
    """RFC 5321, 4.5.1: every host that takes mail takes it for its postmaster."""
    with Smtp(place, port) as session:
        reply = _recipient(session, "", f"postmaster@{place.fqdn}")
    if not reply[-1].startswith("250"):
        raise ProbeFailed(" / ".join(reply))
    return Found(reply[-1])


def relay(place: Place, protocol: str, port: int) -> Found:
    """From here, a stranger to the host: mail for somebody else's domain is refused for good.

    The empty sender and one of the host's own (some relays open for either), the plain address and
    the percent form of old.
    """
    local, _, domain = FOREIGN_RECIPIENT.partition("@")
    percent = f"{local}%{domain}@{place.fqdn}"
    with Smtp(place, port) as session:
        reply = [""]
        for sender, recipient in (
            ("", FOREIGN_RECIPIENT),
            (f"postmaster@{place.fqdn}", FOREIGN_RECIPIENT),
            ("", percent),
        ):
            reply = _recipient(session, sender, recipient)
            if not reply[-1].startswith("5"):
                raise ProbeFailed(f"<{sender}> to <{recipient}>: {' / '.join(reply)}")
    return Found(reply[-1])
