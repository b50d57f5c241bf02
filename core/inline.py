"""Work that a command does itself, beside the workers or while they are stopped.

    carry_out(order, tasks.sign_order, ends=lambda order: order.is_final, role="sign", patience=60)

The row is the truth here too: the worker's own task claims it by its lease, so that a running
worker and the command never do it both; whoever was quicker, the command waits for the end. A
process without the role's key rings (`core.seal`) only waits: for a console that runs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from core import seal
from core.leases import Leased, LeaseLost

PAUSE = 0.25

Row = TypeVar("Row", bound=Leased)


class NotCarriedOut(Exception):
    """The row did not come to its end in time; it stays, and whoever can does it later.

    `holds`: whether this process could have done it, had nobody else held the row.
    """

    def __init__(self, *, holds: bool, patience: float) -> None:
        super().__init__("not carried out in time")
        self.holds = holds
        self.patience = patience


def holds_rings_of(role: str) -> bool:
    return seal.ROLES[role] <= set(seal.held())


def carry_out(
    row: Row,
    work: Callable[[int], None],
    *,
    ends: Callable[[Row], bool],
    role: str,
    patience: float,
) -> Row:
    """Bring `row` to its end and return it as it then is. `work(pk)` claims it and does it, or
    does nothing while somebody else holds it; `patience` in seconds. Raises `NotCarriedOut`."""
    holds = holds_rings_of(role)
    until = time.monotonic() + patience
    while True:
        if holds:
            with contextlib.suppress(LeaseLost):  # another took it over
                work(row.pk)
        row.refresh_from_db()
        if ends(row):
            return row
        if time.monotonic() >= until:
            raise NotCarriedOut(holds=holds, patience=patience)
        time.sleep(PAUSE)
