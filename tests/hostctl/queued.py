"""A host in a folder whose Sendmail has a queue, for the tests of leaving it."""

from __future__ import annotations

from typing import Any

from deploy.hostctl import accounts, queue, switch
from deploy.hostctl.host import Ran
from tests.hostctl.fakes import Commands, FakeHost

QF = "V8\nT1795487030\nN1\nS<s@elsewhere.example>\n{}H??Subject: x\n.\n"
ROUTE = "mailer {}, host {}, user x\n"


class Sendmail(Commands):
    """Knows `known.test` and there `carol`; `skips` are ids that are being delivered, and how
    often still."""

    def __init__(self, host: FakeHost) -> None:
        super().__init__()
        self.host = host
        self.skips: dict[str, int] = {}
        self.tried: list[str] = []
        self.smarthost = ""

    def __call__(self, argv: list[str], **options: Any) -> Ran:
        if argv[0].endswith("/doveconf"):
            return Ran(0)
        if not argv[0].endswith("/sendmail"):
            return super().__call__(argv, **options)
        if argv[-1] == "-bt":
            return Ran(0, "".join(map(self._route, options["stdin"].decode().split())).encode())
        if argv[-2] == "-bv":
            return Ran(0 if argv[-1] == "carol@known.test" else 67)
        ids = [each[3:] for each in argv if each.startswith("-qI")]
        assert ids, argv
        reasons = [each[2:] for each in argv if each.startswith("-Q")]
        for each in ids:
            if reasons and not self.skips.get(each):
                self._quarantine(each, reasons[0], only_held="-qQ" in argv)
            elif reasons:
                self.skips[each] -= 1
            else:
                self.tried.append(each)
        return Ran(0)

    def _route(self, word: str) -> str:
        if word == "/parse":
            return "> Cracked address = $g\nParsing envelope recipient address\n"
        domain = word.rpartition("@")[2]
        if domain == "known.test":
            return "mailer local, user x\n"
        return ROUTE.format(
            *(("relay", self.smarthost) if self.smarthost else ("esmtp", f"{domain}."))
        )

    def _quarantine(self, each: str, reason: str, *, only_held: bool) -> None:
        folder = self.host.layout.at(queue.SENDMAIL_QUEUE)
        old = folder / (f"hf{each}" if only_held else f"qf{each}")
        if not old.exists():
            return
        lines = [line for line in old.read_text().splitlines() if not line.startswith("q")]
        if reason:
            lines.insert(3, f"q{reason}")
        old.write_text("\n".join(lines) + "\n")
        old.rename(folder / (f"hf{each}" if reason else f"qf{each}"))


def two_domains(host: FakeHost) -> FakeHost:
    """Generation 1 is live; two domains, one of which generation 0 knows."""
    host.before()
    host.run = Sendmail(host)
    with accounts.opened(host) as database:
        database.executemany(
            "INSERT INTO domain (name) VALUES (?)", [("example.test",), ("known.test",)]
        )
    host.stage(1, 0)
    switch.switch(host, generation=1, base=0, deadline=60)
    switch.confirm(host, generation=1)
    return host


def put(host: FakeHost, name: str, *recipients: str, reason: str = "") -> None:
    folder = host.layout.at(queue.SENDMAIL_QUEUE)
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"RPFD:<{each}>\n" for each in recipients)
    text = QF.format((f"q{reason}\n" if reason else "") + lines)
    (folder / f"{'hf' if reason else 'qf'}{name}").write_text(text)


def waiting(host: FakeHost) -> dict[str, str | None]:
    return {each.id: each.held for each in queue.messages(host)}


def fill(host: FakeHost) -> None:
    put(host, "ours", "anna@Example.Test")
    put(host, "mixed", "x@far.example", "bob@example.test")
    put(host, "far", "x@far.example")
    put(host, "carol", "carol@known.test")
    put(host, "dave", "dave@known.test")
    put(host, "theirs", "anna@example.test", reason="an administrator's")


BOUNCE = {"ours", "mixed", "dave"}
