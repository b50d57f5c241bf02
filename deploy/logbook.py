"""What a rollout's worker writes down: steps, states, the receipt, and the end with all its parts.

Every write is conditional on the lease (`core.leases`), so a worker that was thought dead and comes
back changes nothing. The end is one transaction: the state, which generation is live, the audit
event, and what the certificate authority should know.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from ca import issuance
from ca.models import Certificate
from core import audit, leases
from deploy import fleet, states
from deploy.models import Generation, Host, HostRollout, RolloutStep
from deploy.probes.values import Result
from deploy.transport import Event, HostError, TransportError

LEASE_SECONDS = 20
GIVE_UP_AFTER = timedelta(minutes=10)
RETRY = timedelta(seconds=2)


class Logbook:
    def __init__(self, row: HostRollout, clock: Callable[[], datetime]) -> None:
        self.row = row
        self.clock = clock
        self.host = row.host
        self.generation = row.generation
        self.number = row.generation.number

    def beat(self) -> None:
        """Renew the lease when half of it is gone, or the clock went back; raises LeaseLost."""
        if not self.row.is_open:
            return
        now = self.clock()
        until = self.row.lease_until
        left = until - now if until is not None else timedelta(0)
        if not timedelta(seconds=LEASE_SECONDS / 2) <= left <= timedelta(seconds=LEASE_SECONDS):
            leases.renew(self.row, at=now, seconds=LEASE_SECONDS)

    def step(
        self, name: str, ok: bool | None, detail: str = "", ms: int | None = None
    ) -> RolloutStep:
        self.beat()
        return RolloutStep.objects.create(
            host_rollout=self.row,
            at=self.clock(),
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
            line.ok, line.detail = False, line.detail or words(error)
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

    def wait(self, code: str, detail: str) -> None:
        """Let go and come back, until the time is up."""
        now = self.clock()
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
        now = self.clock()
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
            fleet.after(self.row, now)

    def _now_live(self, now: datetime) -> None:
        before = Generation.objects.live().filter(host=self.host).first()
        Generation.objects.live().filter(host=self.host).update(state=Generation.KEPT)
        Generation.objects.filter(pk=self.generation.pk).update(state=Generation.LIVE, live_at=now)
        Host.objects.filter(pk=self.host.pk).update(released_at=None)
        new = self.generation.certificate
        if new is None:
            return
        issuance.confirm_served(certificate=new, where=self.host.fqdn, by=None, at=now)
        old = before.certificate if before else None
        if old is not None and _follows(new, old, now) and not _served_elsewhere(old):
            issuance.supersede(old=old, new=new, by=None, at=now)


def _follows(new: Certificate, old: Certificate, at: datetime) -> bool:
    return (
        new.pk != old.pk
        and old.state == Certificate.VALID
        and new.is_valid(at)
        and old.issued_at <= new.issued_at
    )


def _served_elsewhere(certificate: Certificate) -> bool:
    return Generation.objects.live().filter(certificate=certificate).exists()


def words(error: BaseException) -> str:
    return error.message if isinstance(error, HostError) else str(error) or type(error).__name__
