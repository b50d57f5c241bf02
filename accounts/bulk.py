"""Verbs on many mailboxes: suspend, resume and close a selection.

Each chunk of at most 500 rows is one transaction with its Changes and one AuditEvent, which holds
the number and the SHA-256 of the sorted list of addresses (one a line), and the list itself where
it is short. Mailboxes that the verb does not apply to, protected ones and those of domains that
are not the operator's are left out and counted, not refused: in a list, somebody else's work shows
late.
"""

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from accounts import closing, states
from accounts.models import Change, ChangeKind, Invitation, Mailbox
from accounts.protection import without_protected
from accounts.rules import said
from accounts.tell import tell_host
from core import audit
from core.models import Operator

CHUNK = 500
NAMED_AT_MOST = 50


@dataclass(frozen=True)
class Done:
    """How many were changed, and how many left out."""

    changed: int
    left_out: int


def digest(addresses: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(addresses)).encode()).hexdigest()


def suspend(
    *,
    mailboxes: Sequence[int],
    reason: str = "",
    refuses_mail: bool = False,
    by: Operator | None,
    at: datetime.datetime,
) -> Done:
    return _move(
        "suspend",
        mailboxes,
        at=at,
        by=by,
        detail={"reason": said(reason, "reason"), "refuses_mail": refuses_mail},
        state_reason=said(reason, "reason"),
        refuses_mail=refuses_mail,
    )


def resume(*, mailboxes: Sequence[int], by: Operator | None, at: datetime.datetime) -> Done:
    return _move("resume", mailboxes, at=at, by=by, detail={}, state_reason="", refuses_mail=False)


def close(
    *,
    mailboxes: Sequence[int],
    days: int = closing.KEPT_DAYS,
    reason: str = "",
    by: Operator | None,
    at: datetime.datetime,
) -> Done:
    """As `closing.close`. KeepingRefused."""
    kept_until = closing.keep_until(days, at)
    return _move(
        "close",
        mailboxes,
        at=at,
        by=by,
        detail={"reason": said(reason, "reason"), "kept_until": kept_until.isoformat()},
        state_reason=said(reason, "reason"),
        refuses_mail=False,
        kept_until=kept_until,
    )


_ACTIONS = {
    "suspend": "accounts.mailbox.suspended_many",
    "resume": "accounts.mailbox.resumed_many",
    "close": "accounts.mailbox.closed_many",
}


def _move(
    verb: str,
    mailboxes: Sequence[int],
    *,
    at: datetime.datetime,
    by: Operator | None,
    detail: dict[str, object],
    **fields: object,
) -> Done:
    asked = sorted(set(mailboxes))
    changed = 0
    for start in range(0, len(asked), CHUNK):
        changed += _move_chunk(verb, asked[start : start + CHUNK], at, by, detail, fields)
    return Done(changed, len(asked) - changed)


def _move_chunk(
    verb: str,
    ids: Sequence[int],
    at: datetime.datetime,
    by: Operator | None,
    detail: dict[str, object],
    fields: dict[str, object],
) -> int:
    transition = states.BY_VERB[verb]
    with transaction.atomic():
        rows = list(
            Mailbox.objects.select_for_update(of=("self",))
            .select_related("domain")
            .visible_to(by)
            .filter(pk__in=ids, state__in=transition.sources)
            .order_by("pk")
        )
        if verb != "resume":
            rows = without_protected(rows, by)
        else:
            rows = [row for row in rows if not row.expired(at)]
        if not rows:
            return 0
        Mailbox.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=transition.target, state_since=at, revision=F("revision") + 1, **fields
        )
        if verb == "close":
            Invitation.objects.open(at).filter(mailbox__in=rows).update(withdrawn_at=at)
        names = sorted(row.address for row in rows)
        listed = {"addresses": names} if len(names) <= NAMED_AT_MOST else {}
        audit.record(
            by=by,
            at=at,
            action=_ACTIONS[verb],
            subject=names[0] if len(names) == 1 else f"{len(names)} mailboxes",
            detail={**detail, "count": len(names), "sha256": digest(names), **listed},
        )
        Change.objects.all().append(
            Change(
                at=at,
                host=row.domain.host,
                kind=ChangeKind.MAILBOX,
                subject=row.address,
                end_sessions=verb != "resume",
            )
            for row in rows
        )
        for host in sorted({row.domain.host for row in rows}):
            tell_host(host)
    return len(rows)
