"""Questions to the POP3 server (RFC 1939, 2449, 8314): 995 `pop3s`, 110 `pop3`."""

from deploy.probes.dialogue import Dialogue
from deploy.probes.tls import compare
from deploy.probes.values import Found, NotYet, Place, ProbeFailed


class Pop3(Dialogue):
    def __init__(self, place: Place, port: int, *, implicit: bool = False) -> None:
        super().__init__(place, port)
        if implicit:
            self.start_tls()
        greeting = self.line()
        if not greeting.startswith("+OK"):
            raise NotYet(greeting)

    def ask(self, command: str) -> str:
        self.send(command)
        return self.line()

    def ask_for_tls(self) -> None:
        reply = self.ask("STLS")
        if not reply.startswith("+OK"):
            raise NotYet(reply)


def tls(place: Place, protocol: str, port: int, expected: str) -> Found:
    with Pop3(place, port, implicit=True) as session:
        assert session.served is not None
        return compare(session.served, expected)


def starttls(place: Place, protocol: str, port: int, expected: str) -> Found:
    with Pop3(place, port) as session:
        session.ask_for_tls()
        return compare(session.start_tls(), expected)


def auth_in_clear(place: Place, protocol: str, port: int) -> Found:
    with Pop3(place, port) as session:
        reply = session.ask("USER mailadmin-probe")
        if reply.startswith("+OK"):
            raise ProbeFailed(reply)
        return Found(reply)


def auth_right(place: Place, protocol: str, port: int) -> Found:
    with Pop3(place, port, implicit=protocol == "pop3s") as session:
        for command in (f"USER {place.login}", f"PASS {place.password}"):
            reply = session.ask(command)
            if not reply.startswith("+OK"):
                raise ProbeFailed(reply)
        session.ask("QUIT")
        return Found(reply)
