"""Writing the audit log. Sealing it is `core.sealing`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from core.models import AuditEvent, Operator
from core.nudge import nudge

THE_CONSOLE = "console"


def record(
    *,
    by: Operator | None,
    at: datetime,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Insert the event of an act, inside the transaction that carries the act out.

    `by` None means that the console itself acted. `action` is `app.thing.verb` in the past tense,
    for example `accounts.mailbox.suspended`; `subject` what the operator calls the thing. Secrets
    never belong into `detail`.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an audit event belongs into the transaction of its act")
    event = AuditEvent.objects.create(
        at=at,
        actor=by,
        actor_name=by.get_username() if by else THE_CONSOLE,
        address=getattr(by, "address", "") or "",
        action=action,
        subject=subject[:255],
        detail=dict(detail or {}),
    )
    nudge("core.seal_audit", event.pk)
    return event
