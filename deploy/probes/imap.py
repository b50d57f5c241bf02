"""Questions to the IMAP server (RFC 9051, 8314): 993 `imaps`, 143 `imap`."""

import secrets

from deploy.probes.dialogue import Dialogue
from deploy.probes.tls import compare
from deploy.probes.values import Found, NotYet, Place, ProbeFailed


class Imap(Dialogue):
    def __init__(self, place: Place, port: int, *, implicit: bool = False) -> None:
        super().__init__(place, port)
        if implicit:
            self.start_tls()
        greeting = self.line()
        if not greeting.startswith("* OK"):
            raise NotYet(greeting)

    def ask(self, command: str) -> list[str]:
        """The untagged lines and, last, the tagged one."""
        self.send(f"p {command}")
        lines = [self.line()]
        while not lines[-1].startswith("p "):
            lines.append(self.line())
        return lines

    def ask_for_tls(self) -> None:
        reply = self.ask("STARTTLS")
        if not reply[-1].startswith("p OK"):
            raise NotYet(reply[-1])


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def tls(place: Place, protocol: str, port: int, expected: str) -> Found:
    with Imap(place, port, implicit=True) as session:
        assert session.served is not None
        return compare(session.served, expected)


def starttls(place: Place, protocol: str, port: int, expected: str) -> Found:
    with Imap(place, port) as session:
        session.ask_for_tls()
        return compare(session.start_tls(), expected)


def auth_in_clear(place: Place, protocol: str, port: int) -> Found:
    with Imap(place, port) as session:
        told = session.ask("CAPABILITY")
        if not any("LOGINDISABLED" in line.upper() for line in told):
            raise ProbeFailed(f"offered: {told[0]}")
        reply = session.ask(f"LOGIN mailadmin-probe {secrets.token_hex(8)}")
        if not reply[-1].startswith(("p NO", "p BAD")):
            raise ProbeFailed(reply[-1])
        return Found(f"LOGINDISABLED, {reply[-1][2:]}")


def auth_right(place: Place, protocol: str, port: int) -> Found:
    with Imap(place, port, implicit=protocol == "imaps") as session:
        reply = session.ask(f"LOGIN {quoted(place.login)} {quoted(place.password)}")
        if not reply[-1].startswith("p OK"):
            raise ProbeFailed(reply[-1][2:])
        session.ask("LOGOUT")
        return Found(reply[-1][2:].split("] ")[-1])
