"""Nudges: messages that name a row. The row is the truth; a lost nudge costs one tick.

A verb writes its row and calls `nudge(task, pk)`; after commit a message goes to the queue that
`mailadmin.routes.ROUTES` gives the task. A broker that is away is logged and nothing else happens:
the tick (`mailadmin.tick`, every five seconds) finds every row that is due and that nobody holds.
"""

import logging
from functools import partial

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)


def nudge(task: str, pk: int | str) -> None:
    """Send `task(pk)` after the current transaction commits. Never raises."""
    transaction.on_commit(partial(send, task, pk), robust=True)


def send(task: str, pk: int | str) -> None:
    """Send the message now; a broker that is away is logged, never raised."""
    try:
        current_app.send_task(task, args=[pk], retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 - kombu and redis raise many kinds
        log.warning("nudge %s %s not sent (%s); the next tick sends it", task, pk, error)
