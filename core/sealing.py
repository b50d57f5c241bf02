"""Sealing the audit log: a chain of MACs that only the signer can make.

Each event gets the next sequence number and HMAC-SHA256(audit key, previous MAC || canonical JSON
of the event). Removing, adding or changing a sealed event breaks the chain at that event. Events
that have no number yet are the unsealed tail, which `verify` names too.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import QuerySet

from core import seal
from core.models import AuditEvent

RING = "audit"
GENESIS = "0" * 64
AT_ONCE = 500


@dataclass(frozen=True)
class Verdict:
    """`broken_at` is the sequence number of the first event that does not fit, or None."""

    sealed: int
    unsealed: int
    head: str
    broken_at: int | None


def unsealed(at: datetime) -> "QuerySet[AuditEvent]":
    """The oldest unsealed event: one message is enough to seal them all."""
    first = AuditEvent.objects.unsealed().values("pk")[:1]
    return AuditEvent.objects.filter(pk__in=list(first.values_list("pk", flat=True)))


def canonical(event: AuditEvent) -> bytes:
    """What the MAC covers: every field that `core.audit.record` wrote, and the number."""
    return json.dumps(
        [
            event.sequence,
            event.at.astimezone(UTC).isoformat(timespec="microseconds"),
            event.actor_id,
            event.actor_name,
            event.address,
            event.action,
            event.subject,
            event.detail,
        ],
        sort_keys=True,
        ensure_ascii=True,
        separators=(",", ":"),
    ).encode()


def _mac(previous: str, event: AuditEvent) -> str:
    return seal.mac(RING, bytes.fromhex(previous) + canonical(event)).hex()


def seal_events() -> int:
    """Seal all unsealed events in the order of their ids; returns how many."""
    done = 0
    while True:
        with transaction.atomic():
            last = AuditEvent.objects.sealed().last()
            number, previous = (last.sequence, last.mac) if last else (0, GENESIS)
            batch = list(AuditEvent.objects.unsealed()[:AT_ONCE])
            for event in batch:
                number += 1
                event.sequence = number
                event.mac = previous = _mac(previous, event)
            AuditEvent.objects.bulk_update(batch, ["sequence", "mac"], batch_size=AT_ONCE)
        done += len(batch)
        if len(batch) < AT_ONCE:
            return done


def verify() -> Verdict:
    """Walk the chain from its beginning."""
    previous, expected = GENESIS, 0
    for event in AuditEvent.objects.sealed().iterator(chunk_size=1000):
        expected += 1
        if event.sequence != expected or event.mac != _mac(previous, event):
            return Verdict(expected - 1, AuditEvent.objects.unsealed().count(), previous, expected)
        previous = event.mac
    return Verdict(expected, AuditEvent.objects.unsealed().count(), previous, None)
