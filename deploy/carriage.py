"""Carrying out one host's rollout: one worker, one connection, every step stored as it happens.

A worker may be killed at any moment. Its lease ends, another claims the row, and what it does
depends on the state: before the switch it begins again (staging the same generation twice is
harmless); after it, the host is asked. Where the new generation waits for its confirmation, proving
goes on; where it does not, the host is told to be on the old one, which also makes a late request
of the dead worker's void, because its sequence number is used up.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from core import leases
from deploy import accounts_push, drift, fleet, probes, proof, states
from deploy import helper as helpers
from deploy.helper import Helper
from deploy.logbook import GIVE_UP_AFTER, LEASE_SECONDS, Logbook, words
from deploy.models import AccountPush, HostRollout, RolloutStep
from deploy.probes.values import Place
from deploy.transport import Broken, Event, HostError, Transport, TransportError

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 120
"""Then the host goes back by itself: longer than a slow restart, all probes and a new worker."""
BUSY_SECONDS = 20.0
STALE_AFTER = timedelta(minutes=5)
"""Past `give_up_at`: a host that does not answer has been given up by then."""

# The switch was declined before anything was touched.
_DECLINED = {
    "base_moved",
    "not_staged",
    "not_validated",
    "pending",
    "busy",
    "bad_request",
    "wrong_host",
    "replayed",
    "rollback_failed",
}
# Another machine answers, or one that does not know the console: asking again changes nothing.
_NOT_OURS = {"host_key", "login"}


@dataclass(frozen=True)
class Tools:
    """What reaches outside, so that tests can hold it."""

    transport: Transport | None = None
    prove: proof.Prove = probes.run
    clock: Callable[[], datetime] = timezone.now
    worker: str = ""


def carry_out(pk: int, tools: Tools | None = None) -> None:
    """The task's one call: whatever happens, the row tells. Held by another: nothing."""
    tools = tools or Tools()
    now = tools.clock()
    row = leases.claim(
        HostRollout.objects.due(now),
        pk,
        worker=tools.worker or leases.worker_name(),
        at=now,
        seconds=LEASE_SECONDS,
    )
    if row is None:
        return
    try:
        _Carriage(row, tools).run()
    except leases.LeaseLost:
        log.info("rollout %s: another worker has it", pk)


class _Carriage(Logbook):
    def __init__(self, row: HostRollout, tools: Tools) -> None:
        super().__init__(row, tools.clock)
        self.tools = tools

    # The way

    def run(self) -> None:
        if self.row.state == states.PLANNED:
            now = self.clock()
            if fleet.is_missed(self.row, now):
                self.finish(states.REFUSED, states.MISSED)
                return
            self.go(states.STAGING, started_at=now, give_up_at=now + GIVE_UP_AFTER)
        else:
            self._tidy()
            if self.row.state in states.UNTOUCHED and self._is_stale():
                self.finish(states.REFUSED, "stale")
                return
        try:
            with Helper.of(self.host, self.tools.transport, beat=self.beat) as helper:
                if self.row.state in states.UNTOUCHED:
                    self.forward(helper)
                else:
                    self.resume(helper)
        except TransportError as error:
            if isinstance(error, Broken):
                helpers.ssh.forget(self.host.fqdn)
            code = helpers.code_of(error)
            if code in _NOT_OURS and self.row.state in states.UNTOUCHED:
                self.finish(states.REFUSED, code, str(error))
            else:
                self.wait(code, str(error))
        except (leases.LeaseLost, states.NoSuchStep):
            raise
        except Exception as error:
            log.exception("rollout %s", self.row.pk)
            self.wait("internal", f"{type(error).__name__}: {error}")

    def _is_stale(self) -> bool:
        """Nobody went on with it for so long that whoever asked for it does not expect it now."""
        until = self.row.give_up_at
        return until is not None and self.clock() > until + STALE_AFTER

    def _tidy(self) -> None:
        """Lines that a dead worker, or a lost connection, left open."""
        left = RolloutStep.objects.filter(host_rollout=self.row, ok=None).exclude(name="wait")
        if left.update(ok=False):
            self.step("resume", True)

    def forward(self, helper: Helper) -> None:
        try:
            self.stage(helper)
            if self.row.state == states.STAGING:
                self.go(states.VALIDATING)
            with self.phase("validate"):
                self.note(helper.validate(generation=self.number))
            login = self.add_login(helper)
        except (HostError, accounts_push.Held) as error:
            if isinstance(error, accounts_push.Held) or error.code == "busy":
                self.wait("busy", words(error))
            else:
                self.finish(states.REFUSED, self._refusal(error), self._why(error))
                if error.code == "drifted":
                    self._look(helper)
            return
        self.go(states.SWITCHING)
        if self.switch(helper):
            self.go(states.PROBING)
            self.prove(helper, login)
        self.remove_login(helper, login)

    def stage(self, helper: Helper) -> None:
        bundle = self.generation.bundle()
        with self.phase("stage") as line:
            self.note(
                helper.stage(
                    generation=self.number,
                    base=self.row.base,
                    key=self.generation.key_id,
                    digest=bundle.digest,
                    tar=bundle.tar(),
                    drift=self.row.overwrites,
                )
            )
            line.detail = f"#{self.number}, {len(bundle.files)}"
        if accounts_push.row_of(self.host).state == AccountPush.IDLE:
            clock = self.clock
            with (
                self.phase("accounts") as line,
                accounts_push.held(self.host, clock=clock) as push,
            ):
                line.detail = str(accounts_push.start(push, helper, clock=clock))

    def _why(self, error: HostError) -> str:
        if error.code == "drifted":
            return ", ".join(map(str, error.event.get("paths") or ()))
        return error.message

    def _look(self, helper: Helper) -> None:
        """So that the page shows what nobody had seen."""
        try:
            drift.look(self.host, helper, clock=self.clock)
        except (HostError, TransportError) as error:
            log.warning("facts of %s: %s", self.host, words(error))

    def _refusal(self, error: HostError) -> str:
        if error.code in accounts_push.OPERATOR_DECIDES:
            return "accounts"
        return _refusal_code(error.code)

    def switch(self, helper: Helper) -> bool:
        """Whether the host is on the new generation now; otherwise the row has ended."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self.phase("switch") as line:
                    result = self.note(
                        helper.switch(
                            generation=self.number,
                            base=self.row.base,
                            deadline=DEADLINE_SECONDS,
                        )
                    )
                    services = dict(result.get("services") or {})
                    line.detail = ", ".join(f"{name}: {act}" for name, act in services.items())
                self._receipt(services=services)
                return True
            except HostError as error:
                if error.code == "busy" and time.monotonic() < until:
                    time.sleep(0.5)
                    continue
                self._switch_failed(helper, error)
                return False

    def _switch_failed(self, helper: Helper, error: HostError) -> None:
        outcome = error.event.get("outcome")
        if outcome == "rolled_back":
            self.finish(states.ROLLED_BACK, "switch_failed", error.message)
        elif outcome == "rollback_failed":
            self.finish(states.ROLLBACK_FAILED, "rollback", error.message)
        elif error.code in _DECLINED:
            self.finish(states.REFUSED, _refusal_code(error.code), error.message)
        else:
            self.go_back(helper, "switch_failed", error.message)

    def prove(self, helper: Helper, login: Place) -> None:
        failed: list[str] = []
        questions = proof.questions(self.host, self.generation)
        with self.phase("probe") as line:
            for result in self.tools.prove(questions, login, beat=self.beat):
                self.step(result.name, result.ok, result.evidence, result.ms)
                self._remember(result)
                if not result.ok:
                    failed.append(f"{result.protocol}: {result.evidence}")
            line.ok = not failed
        if failed:
            self.go_back(helper, "probe_failed", "; ".join(failed))
            return
        try:
            with self.phase("confirm"):
                helper.confirm(generation=self.number)
        except HostError as error:
            # Too late: the host went back by itself, or is about to.
            self.go_back(helper, "went_back", error.message)
            return
        self.finish(states.CONFIRMED)

    # The login of the probes

    def add_login(self, helper: Helper) -> Place:
        place = proof.place_of(self.host, self.generation)
        with self.phase("login"):
            proof.add_login(self.host, helper, place, clock=self.clock)
        return place

    def remove_login(self, helper: Helper, place: Place) -> None:
        """After the end, when the row is not ours any more; the next rollout tries again."""
        try:
            proof.remove_login(self.host, helper, place, clock=self.clock)
            drift.look(self.host, helper, clock=self.clock)
        except (HostError, TransportError, accounts_push.Held) as error:
            log.warning("the login %s stays: %s", place.login, words(error))

    # After a worker's death, or a lost connection

    def resume(self, helper: Helper) -> None:
        facts = helper.facts()
        pending = facts.get("pending") or {}
        if pending.get("generation") == self.number:
            if self.row.state == states.SWITCHING:
                self.go(states.PROBING)
            try:
                login = self.add_login(helper)
            except HostError as error:
                self.go_back(helper, "probe_failed", error.message)
                return
            except accounts_push.Held as error:
                self.wait("busy", words(error))
                return
            self.prove(helper, login)
            self.remove_login(helper, login)
        elif self.row.state == states.PROBING and _was_confirmed(facts, self.number):
            # Only the answer was lost.
            self.finish(states.CONFIRMED)
        else:
            code = "went_back" if self.row.state == states.PROBING else "worker_lost"
            self.go_back(helper, code, "")

    def go_back(self, helper: Helper, code: str, detail: str) -> None:
        try:
            with self.phase("rollback") as line:
                result = self.note(helper.rollback(generation=self.number))
                line.detail = f"#{result.get('generation')}"
        except HostError as error:
            if error.code == "not_switched":
                self.finish(states.ROLLED_BACK, code, detail)
            elif error.code == "busy":
                self.wait("busy", error.message)
            else:
                self.finish(states.ROLLBACK_FAILED, "rollback", f"{detail} {error.message}".strip())
            return
        self.finish(states.ROLLED_BACK, code, detail)


def _was_confirmed(facts: Event, number: int) -> bool:
    last = facts.get("last") or {}
    return (
        facts.get("generation") == number
        and last.get("generation") == number
        and last.get("outcome") == "confirmed"
    )


def _refusal_code(code: str) -> str:
    """The helper's codes as `deploy.sentences` knows them."""
    if code in {"base_moved", "busy", "refused", "key_mismatch", "drifted"}:
        return code
    return "refused" if code == "not_validated" else "host_error"
