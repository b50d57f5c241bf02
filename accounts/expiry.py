"""Temporary mailboxes: one is suspended by itself when its time is over, and can be extended."""

import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import lifecycle, states
from accounts.checks import check_expiry, check_name, check_owner
from accounts.lifecycle import locked, update
from accounts.models import Mailbox
from accounts.models.mailboxes import EXPIRED, MailboxQuerySet
from accounts.protection import check_not_protected, may_touch
from accounts.refusals import NotInState
from accounts.rules import said
from core import audit
from core.models import Operator


def due(at: datetime.datetime) -> MailboxQuerySet:
    """Active mailboxes whose time is over."""
    return Mailbox.objects.in_state(states.ACTIVE).filter(expires_at__lte=at).order_by("expires_at")


def expire(pk: int, *, at: datetime.datetime) -> None:
    """Suspend one mailbox, by nobody; nothing when it was extended or suspended meanwhile."""
    with transaction.atomic():
        row = due(at).select_for_update(of=("self",)).filter(pk=pk).first()
        if row is not None:
            lifecycle.suspend(mailbox=row, reason=EXPIRED, by=None, at=at)


def set_end(
    *,
    mailbox: Mailbox,
    expires_at: datetime.datetime | None,
    name_reason: str = "",
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """Another end, or None: for good. A name that looks like a test then needs `name_reason`.

    A mailbox that is suspended because its time was over stays so until somebody resumes it.
    NotInState, ExpiryRefused, OwnerMissing, NameNeedsReason, MailboxProtected.
    """
    check_not_protected(mailbox, by)
    check_expiry(expires_at, at)
    with transaction.atomic():
        row = locked(mailbox)
        if row.state == states.ERASED:
            raise NotInState(_("This account was erased."))
        check_owner(row.owner_contact, expires_at)
        reason = said(name_reason, "name_reason") or row.name_reason
        # A reason that an administrator gave before goes on counting.
        insists = may_touch(by) or (bool(reason) and reason == row.name_reason)
        check_name(row.local_part, reason, temporary=expires_at is not None, insists=insists)
        before = row.expires_at
        if (expires_at, reason) == (before, row.name_reason):
            return row
        update(row, expires_at=expires_at, name_reason=reason)
        audit.record(
            by=by,
            at=at,
            action="accounts.mailbox.expiry_set",
            subject=row.address,
            detail={
                "before": before.isoformat() if before else None,
                "after": expires_at.isoformat() if expires_at else None,
                "name_reason": reason,
            },
        )
    return row
