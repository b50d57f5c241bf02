"""Carrying out one host's rollout: one worker, one connection, every step stored as it happens.

A worker may be killed at any moment. Its lease ends, another claims the row, and what it does
depends on the state: before the switch it begins again (staging the same generation twice is
harmless); after it, the host is asked. Where the new generation waits for its confirmation, proving
goes on; where it does not, the host is told to be on the old one, which also makes a late request
of the dead worker's void, because its sequence number is used up.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import transaction
from django.utils import timezone

from accounts.hashing import hash_password
from ca import issuance
from ca.models import Certificate
from core import audit, leases
from deploy import accounts_push, probes, states
from deploy import helper as helpers
from deploy import plan as planning
from deploy.helper import Helper
from deploy.models import AccountPush, Generation, HostRollout, RolloutStep
from deploy.probes.values import Place, Result
from deploy.transport import Broken, Event, HostError, Transport, TransportError

log = logging.getLogger(__name__)

LEASE_SECONDS = 20
DEADLINE_SECONDS = 120
"""Then the host goes back by itself: longer than a slow restart, all probes and a new worker."""
RETRY = timedelta(seconds=2)
BUSY_SECONDS = 20.0
PROBE_LOCAL_PART = "mailadmin-probe"

# The switch was declined before anything was touched.
_DECLINED = {"base_moved", "not_staged", "not_validated", "pending", "busy", "bad_request", "host"}


class Prove(Protocol):
    def __call__(
        self,
        questions: Iterable[probes.Question],
        place: Place,
        *,
        beat: Callable[[], None],
    ) -> Iterator[Result]: ...


@dataclass(frozen=True)
class Tools:
    """What reaches outside, so that tests can hold it."""

    transport: Transport | None = None
    prove: Prove = probes.run
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


class _Carriage:
    def __init__(self, row: HostRollout, tools: Tools) -> None:
        self.row = row
        self.tools = tools
        self.host = row.host
        self.generation = row.generation
        self.number = row.generation.number

    # What is stored

    def beat(self) -> None:
        now = self.tools.clock()
        until = self.row.lease_until
        if until is None or until - now < timedelta(seconds=LEASE_SECONDS / 2):
            leases.renew(self.row, at=now, seconds=LEASE_SECONDS)

    def step(
        self, name: str, ok: bool | None, detail: str = "", ms: int | None = None
    ) -> RolloutStep:
        self.beat()
        return RolloutStep.objects.create(
            host_rollout=self.row,
            at=self.tools.clock(),
            phase=self.row.state,
            name=name[:60],
            ok=ok,
            detail=detail[:4000],
            ms=ms,
        )

    @contextmanager
    def phase(self, name: str) -> Iterator[RolloutStep]:
        """A line that is there while it goes on; it is right unless something is raised."""
        line = self.step(name, None)
        began = time.monotonic()
        try:
            yield line
        except (HostError, TransportError) as error:
            line.ok, line.detail = False, line.detail or _words(error)
            raise
        except Exception:
            line.ok = False
            raise
        else:
            line.ok = True if line.ok is None else line.ok
        finally:
            line.ms = round(1000 * (time.monotonic() - began))
            line.save(update_fields=["ok", "detail", "ms"])

    def note(self, events: Iterable[Event]) -> Event:
        """Store the helper's steps as they come; returns its result."""
        result: Event = {}
        for event in events:
            if event["event"] == "step":
                self.step(
                    str(event.get("name", "")),
                    bool(event.get("ok")),
                    str(event.get("detail") or ""),
                    event["ms"] if isinstance(event.get("ms"), int) else None,
                )
            else:
                result = event
        return result

    def go(self, state: str, **fields: Any) -> None:
        states.check(self.row.state, state)
        leases.save(self.row, state=state, **fields)

    # The way

    def run(self) -> None:
        if self.row.state == states.PLANNED:
            self.go(states.STAGING, started_at=self.tools.clock())
        else:
            self._tidy()
        try:
            with Helper.of(self.host, self.tools.transport, beat=self.beat) as helper:
                if self.row.state in states.UNTOUCHED:
                    self.forward(helper)
                else:
                    self.resume(helper)
        except TransportError as error:
            if isinstance(error, Broken):
                helpers.ssh.forget(self.host.fqdn)
            self.wait(helpers.code_of(error), str(error))
        except (leases.LeaseLost, states.NoSuchStep):
            raise
        except Exception as error:
            log.exception("rollout %s", self.row.pk)
            self.wait("internal", f"{type(error).__name__}: {error}")

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
        except HostError as error:
            if error.code == "busy":
                self.wait("busy", error.message)
            else:
                self.finish(states.REFUSED, _refusal_code(error.code), error.message)
            return
        self.go(states.SWITCHING)
        if self.switch(helper):
            self.go(states.PROBING)
            self.prove(helper)

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
                )
            )
            line.detail = f"#{self.number}, {len(bundle.files)}"
        if accounts_push.row_of(self.host).state == AccountPush.IDLE:
            clock = self.tools.clock
            with (
                self.phase("accounts") as line,
                accounts_push.held(self.host, clock=clock) as push,
            ):
                line.detail = str(accounts_push.start(push, helper, clock=clock))

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
        elif error.code in _DECLINED or error.code == "rollback_failed":
            self.finish(states.REFUSED, _refusal_code(error.code), error.message)
        else:
            self.go_back(helper, "switch_failed", error.message)

    def prove(self, helper: Helper) -> None:
        failed: list[str] = []
        with self.phase("probe") as line:
            try:
                with self.login(helper) as place:
                    for result in self.tools.prove(self.questions(), place, beat=self.beat):
                        self.step(result.name, result.ok, result.evidence, result.ms)
                        self._remember(result)
                        if not result.ok:
                            failed.append(f"{result.protocol}: {result.evidence}")
            except (HostError, accounts_push.Held) as error:
                self.step("probe.login", False, _words(error))
                failed.append(_words(error))
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

    def questions(self) -> list[planning.Probe]:
        bundle = self.generation.bundle()
        asked = planning.plan(self.host.reported(), None, bundle).probes
        more = (
            planning.Probe("auth_right", "imaps", 993, "OK"),
            planning.Probe("auth_right", "pop3s", 995, "+OK"),
        )
        return [*asked, *(probe for probe in more if probe not in asked)]

    @contextmanager
    def login(self, helper: Helper) -> Iterator[Place]:
        """A mailbox for these probes alone: it receives nothing, sends nothing, and goes again.

        Should it stay (a worker killed here), nobody knows its password, which is random and never
        stored.
        """
        address = f"{PROBE_LOCAL_PART}@{self.host.fqdn}"
        password = secrets.token_urlsafe(24)
        mailbox = {
            "address": address,
            "password": hash_password(password),
            "can_login": True,
            "can_send": False,
            "receives": False,
            "quota_bytes": 0,
        }
        clock = self.tools.clock
        with accounts_push.held(self.host, clock=clock) as push:
            accounts_push.add(push, helper, [{"mailbox": mailbox}])
        try:
            yield Place(
                address=self.host.address,
                fqdn=self.host.fqdn,
                ca_pem=self.generation.bundle().files["tls/ca.pem"],
                login=address,
                password=password,
            )
        finally:
            with accounts_push.held(self.host, clock=clock) as push:
                accounts_push.add(push, helper, [{"remove": address}], end_sessions=(address,))

    # After a worker's death, or a lost connection

    def resume(self, helper: Helper) -> None:
        facts = helper.facts()
        pending = facts.get("pending") or {}
        if pending.get("generation") == self.number:
            if self.row.state == states.SWITCHING:
                self.go(states.PROBING)
            self.prove(helper)
        elif self.row.state == states.PROBING and facts.get("generation") == self.number:
            # It was confirmed, and only the answer was lost.
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

    def wait(self, code: str, detail: str) -> None:
        """Let go and come back, until the time is up."""
        now = self.tools.clock()
        if self.row.give_up_at is not None and now >= self.row.give_up_at:
            if self.row.state in states.UNTOUCHED:
                self.finish(states.REFUSED, code, detail)
            else:
                self.finish(states.ROLLBACK_FAILED, "silent", detail)
            return
        line = RolloutStep.objects.filter(host_rollout=self.row, name="wait", ok=None).first()
        if line is None:
            self.step("wait", None, detail)
        else:
            RolloutStep.objects.filter(pk=line.pk).update(detail=detail[:4000])
        leases.release(self.row, retry_at=now + RETRY)

    # Ends

    def _receipt(self, **more: Any) -> None:
        self.row.receipt = {**self.row.receipt, **more}
        leases.save(self.row, receipt=self.row.receipt)

    def _remember(self, result: Result) -> None:
        proofs = [
            proof
            for proof in self.row.receipt.get("proofs", [])
            if (proof["kind"], proof["protocol"]) != (result.kind, result.protocol)
        ]
        proofs.append(
            {
                "kind": result.kind,
                "protocol": result.protocol,
                "port": result.port,
                "ok": result.ok,
                "evidence": result.evidence,
                "fingerprint": result.fingerprint,
            }
        )
        self._receipt(proofs=proofs)

    def finish(self, state: str, code: str = "", detail: str = "") -> None:
        states.check(self.row.state, state)
        now = self.tools.clock()
        RolloutStep.objects.filter(host_rollout=self.row, name="wait", ok=None).update(
            ok=state == states.CONFIRMED
        )
        with transaction.atomic():
            leases.release(
                self.row,
                state=state,
                problem=code,
                problem_detail=detail[:4000],
                finished_at=now,
                retry_at=None,
            )
            if state == states.CONFIRMED:
                self._now_live(now)
            else:
                kept = (
                    Generation.DISCARDED if state != states.ROLLBACK_FAILED else Generation.STAGED
                )
                Generation.objects.filter(pk=self.generation.pk).update(state=kept)
            audit.record(
                by=None,
                at=now,
                action=f"deploy.rollout.{state}",
                subject=self.host.fqdn,
                detail={
                    "rollout": self.row.rollout_id,
                    "generation": self.number,
                    "base": self.row.base,
                    **({"problem": code} if code else {}),
                },
            )

    def _now_live(self, now: datetime) -> None:
        before = Generation.objects.live().filter(host=self.host).first()
        Generation.objects.live().filter(host=self.host).update(state=Generation.KEPT)
        Generation.objects.filter(pk=self.generation.pk).update(state=Generation.LIVE, live_at=now)
        new = self.generation.certificate
        if new is None:
            return
        issuance.confirm_served(certificate=new, where=self.host.fqdn, by=None, at=now)
        old = before.certificate if before else None
        if old is not None and _follows(new, old) and not _served_elsewhere(old):
            issuance.supersede(old=old, new=new, by=None, at=now)


def _follows(new: Certificate, old: Certificate) -> bool:
    return (
        new.pk != old.pk
        and old.state == Certificate.VALID
        and new.state == Certificate.VALID
        and old.issued_at <= new.issued_at
    )


def _served_elsewhere(certificate: Certificate) -> bool:
    return Generation.objects.live().filter(certificate=certificate).exists()


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, HostError) else str(error) or type(error).__name__


def _refusal_code(code: str) -> str:
    """The helper's codes as `deploy.sentences` knows them."""
    if code in {"base_moved", "busy", "refused", "key_mismatch"}:
        return code
    return "refused" if code == "not_validated" else "host_error"
