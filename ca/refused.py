"""Requests that were refused before there was an order: who asked for what, and why not.

    with noted(by=me, at=now):
        issuance.request(…)      # an `IssuanceRefused` or a `NotMade` leaves its event and goes on

A broken signature or a name outside may be a slip or an attempt; nothing of the request is kept
but the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction

from ca.preparation import IssuanceRefused
from ca.rehearsal import NotMade
from core import audit
from core.models import Operator

LONGEST = 200


@contextmanager
def noted(*, by: Operator | None, at: datetime) -> Iterator[None]:
    """Record in the audit log a refusal that comes out of the block."""
    try:
        yield
    except (IssuanceRefused, NotMade) as refusal:
        said = {key: str(value)[:LONGEST] for key, value in refusal.detail.items()}
        with transaction.atomic():
            audit.record(
                by=by,
                at=at,
                action="ca.request.refused",
                subject=said.get("names") or said.get("value") or refusal.code,
                detail={"reason": refusal.code, **said},
            )
        raise
