"""The tick: every five seconds, a message for each row that is due and that nobody holds."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.module_loading import import_string

from core.nudge import send
from mailadmin.routes import ROUTES

# One tick never floods the broker: what is left comes five seconds later.
MOST_AT_ONCE = 200


def tick(*, at: datetime) -> int:
    """Nudge every row that is due. Returns how many messages went out."""
    sent = 0
    for task, route in ROUTES.items():
        if route.due is None:
            continue
        due: Callable[[datetime], QuerySet[Any]] = import_string(route.due)
        for pk in due(at).values_list("pk", flat=True)[:MOST_AT_ONCE]:
            send(task, pk)
            sent += 1
    return sent
