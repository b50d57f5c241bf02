"""What the commands about mail hosts have in common, beyond `core.commands`.

Work on a host is a row (a rollout, a job). A command brings it to its end in its own process where
it may read the keys (`core.inline`), in a thread of its own, and says meanwhile how far it is.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar

from django.core.management.base import CommandParser
from django.db import connections
from django.utils.translation import gettext as _

from core import inline, seal
from core.commands import TerminalCommand, code_of, few
from core.errors import Refusal
from core.leases import Leased
from deploy import enrolment, sentences, snapshot, turns
from deploy import helper as helpers
from deploy.models import Host, HostJob
from deploy.transport import HostError, TransportError

PRACTICE = "practice"
WORKER = "now"
"""The role whose rings are those of hosts, and no others."""
PATIENCE = 60.0
TOGETHER = 8
LOOK = 0.2

Row = TypeVar("Row", bound=Leased)


class Refused(Refusal):
    """The command was asked for something it will not do; `code` is for scripts."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class DeployCommand(TerminalCommand):
    permission = "deploy.view"
    patience: float | None = None
    """How long it waits for work on a host; None where it waits for nobody."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        if self.patience is not None:
            parser.add_argument(
                "--wait",
                type=float,
                default=self.patience,
                metavar="SECONDS",
                help="how long to wait until it is done, here or by a running console "
                f"({self.patience:.0f})",
            )

    def carry(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.wait = options.get("wait") or 0.0
        try:
            return self.act(options)
        except inline.NotCarriedOut as error:
            raise not_in_time(error) from None
        except seal.KeyNotHeld:
            sentence = _(
                "This user may not read the keys with which the console logs in on mail hosts. Run "
                "the command as a user who may, root for example."
            )
            self.fail(sentence, "keys_not_held")
        except TransportError as error:
            code = helpers.code_of(error)
            self.fail(sentences.problem(code, str(error)), code)
        except HostError as error:
            code = "other_host" if error.code == "wrong_host" else "host_error"
            self.fail(sentences.problem(code, error.message), code)

    def refuse(self, refusal: Refusal) -> NoReturn:
        self.fail(refusal.sentence, code_of(refusal))

    # Talking

    def tell(self, line: str) -> None:
        """Something for people while it goes on; scripts get one object at the end."""
        if not self._in_json:
            self.stdout.write(line)
            self.stdout.flush()

    def agreed(self, question: str, before: Sequence[str] = (), *, otherwise: str) -> bool:
        """Ask somebody at the terminal; where nobody is, refuse and say what to do `otherwise`."""
        if sys.stdin is None or not sys.stdin.isatty():
            raise Refused("confirmation_missing", otherwise)
        for line in before:
            self.stderr.write(line, style_func=str)
        self.stderr.write(f"{question} [y/N]", ending=" ", style_func=str)
        self.stderr.flush()
        return sys.stdin.readline().strip().casefold() in ("y", "yes")

    # Working

    def carried_out(
        self,
        rows: Sequence[Row],
        work: Callable[[int], None],
        *,
        ends: Callable[[Row], bool],
        look: Callable[[], None] = lambda: None,
    ) -> list[BaseException]:
        """Bring each row to its end, some at a time; `look` is called meanwhile, and after all.
        Returns what went wrong: an `inline.NotCarriedOut` a row that did not end."""
        left: SimpleQueue[Row] = SimpleQueue()
        for row in rows:
            left.put(row)
        failures: list[BaseException] = []

        def turn() -> None:
            try:
                while True:
                    row = left.get_nowait()
                    try:
                        inline.carry_out(row, work, ends=ends, role=WORKER, patience=self.wait)
                    except BaseException as error:  # noqa: BLE001 - raised by whoever waits
                        failures.append(error)
            except Empty:
                connections.close_all()

        # Daemons: an interrupted command ends, and its leases with it.
        threads = [
            threading.Thread(target=turn, daemon=True) for _each in range(min(TOGETHER, len(rows)))
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            look()
            time.sleep(LOOK)
        look()
        for error in failures:
            if not isinstance(error, inline.NotCarriedOut):
                raise error
        return failures

    def job_of(self, job: HostJob, look: Callable[[], None] = lambda: None) -> HostJob:
        """The job at its good end; a failed one is the command's refusal."""
        for error in self.carried_out(
            [job], turns.run, ends=lambda each: not each.is_open, look=look
        ):
            raise error
        if job.state == HostJob.FAILED:
            sentence = sentences.problem(job.problem, job.problem_detail)
            raise Refused(job.problem, sentence)
        return job


def check_job(host: Host, command: DeployCommand) -> HostJob:
    """The host is asked about itself; once, however many want to know."""
    job = enrolment.ask_check(host=host, by=command.by, at=command.now)
    return job or HostJob.objects.filter(host=host, kind=HostJob.CHECK).latest("pk")


def not_in_time(error: inline.NotCarriedOut) -> Refused:
    detail = {"seconds": f"{error.patience:g}"}
    if error.holds:
        sentence = _(
            "It did not end within %(seconds)s seconds and stays asked for: a running console goes "
            "on with it. With --wait the command waits longer."
        )
        return Refused("not_in_time", sentence % detail)
    sentence = _(
        "This user may not read the console's keys, and no running console did it within "
        "%(seconds)s seconds. It stays asked for: start the console, which does it then. Or run "
        "the command as a user who may read them, root for example."
    )
    return Refused("keys_not_held", sentence % detail)


def host_named(text: str) -> Host:
    """The host of this name, or the practice host."""
    rows = Host.objects.select_related("account_push", snapshot.WITH_CHAIN)
    name = text.strip().rstrip(".").lower()
    found = rows.filter(practice=True) if name == PRACTICE else rows.filter(fqdn=name)
    host = found.first()
    if host is not None:
        return host
    known = few(Host.objects.order_by("fqdn").values_list("fqdn", flat=True))
    if name == PRACTICE:
        sentence = _("There is no practice host yet. Known: %(known)s.")
        raise Refused("host_unknown", sentence % {"known": known})
    sentence = _("There is no mail host %(name)s. Known: %(known)s.")
    raise Refused("host_unknown", sentence % {"name": name, "known": known})
