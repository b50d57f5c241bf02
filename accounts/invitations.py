"""An invitation: a link with which a mailbox's owner sets the password himself.

    invitation, secret = invite(mailbox=anna, by=me, at=now)     # the secret is shown once
    bert, invitation, secret = create(domain=…, local_part="bert", by=me, at=now)  # no password yet
    found = look_up(secret, at=now)                              # or InvitationRefused
    accept(secret, password="…", at=now)

The link works once and for a week; a new one puts the older ones out of use, and so does a password
that an operator sets meanwhile. Who has the link can read the mailbox, as with a password: it goes
to its owner by a way that is not this mailbox.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext_lazy as _

from accounts import lifecycle, states
from accounts.models import Invitation, Mailbox
from accounts.models.mailboxes import MailboxQuerySet
from accounts.protection import MailboxProtected, check_not_protected
from accounts.refusals import NotInState
from core import audit
from core.errors import Refusal
from core.models import Operator

LIFE = datetime.timedelta(days=7)


class InvitationRefused(Refusal):
    """The link is unknown, used, withdrawn or too old; all are said alike to a stranger."""

    status = 410

    def __init__(self) -> None:
        super().__init__(
            _(
                "This link does not work any more: it was used, replaced by a newer one, or is "
                "older than a week. Ask whoever sent it for a new one."
            )
        )


def create(
    *, by: Operator | None, at: datetime.datetime, **given: Any
) -> tuple[Mailbox, Invitation, str]:
    """A mailbox without a password, and the invitation with which its owner sets one. `given` and
    the refusals are those of `lifecycle.create`."""
    with transaction.atomic():
        mailbox = lifecycle.create(password=None, by=by, at=at, **given)
        invitation, secret = invite(mailbox=mailbox, by=by, at=at)
    return mailbox, invitation, secret


def invite(
    *,
    mailbox: Mailbox,
    end_password: bool = False,
    by: Operator | None,
    at: datetime.datetime,
) -> tuple[Invitation, str]:
    """The invitation and its secret. NotInState unless the account is active. MailboxProtected.

    With `end_password` the one it has stops working now, and open sessions end: its owner must set
    another before anybody logs in with it.
    """
    check_not_protected(mailbox, by)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        row = lifecycle.locked(mailbox)
        if row.state != states.ACTIVE:
            raise NotInState(
                _("%(address)s is not active. Once it is resumed, its owner can be invited.")
                % {"address": row.unicode_address}
            )
        ends = end_password and row.has_password
        _withdraw(row, at=at)
        invitation = Invitation.objects.create(
            mailbox=row,
            digest=Invitation.digest_of(secret),
            made_by=by,
            made_at=at,
            expires_at=at + LIFE,
        )
        audit.record(
            by=by,
            at=at,
            action="accounts.invitation.made",
            subject=row.address,
            detail={
                "expires_at": invitation.expires_at.isoformat(),
                **({"password_ended": True} if ends else {}),
            },
        )
        if ends:
            lifecycle.update(row, password="", password_set_at=at)
            lifecycle.tell(row, at, end_sessions=True)
    return invitation, secret


def withdraw(*, mailbox: Mailbox, by: Operator | None, at: datetime.datetime) -> None:
    """Put the open link out of use; without one nothing happens."""
    with transaction.atomic():
        if _withdraw(mailbox, at=at):
            audit.record(
                by=by, at=at, action="accounts.invitation.withdrawn", subject=mailbox.address
            )


def open_until(
    mailboxes: Iterable[Mailbox], *, at: datetime.datetime
) -> dict[int, datetime.datetime]:
    """Until when each of them is invited, by its primary key; who is not is left out."""
    rows = Invitation.objects.open(at).filter(mailbox__in=list(mailboxes))
    return dict(rows.values_list("mailbox_id", "expires_at"))


def with_end(rows: MailboxQuerySet, *, at: datetime.datetime) -> MailboxQuerySet:
    """The same for a few rows, in their own query: each has an `invited_until`, or None."""
    own = Invitation.objects.open(at).filter(mailbox=OuterRef("pk")).order_by("-pk")
    return rows.annotate(invited_until=Subquery(own.values("expires_at")[:1]))


def _withdraw(mailbox: Mailbox, *, at: datetime.datetime) -> int:
    return Invitation.objects.open(at).filter(mailbox=mailbox).update(withdrawn_at=at)


def look_up(secret: str, *, at: datetime.datetime) -> Invitation:
    """The invitation, when it can still be used: also not when the mailbox became a protected one
    since, and whoever has made the link may not touch it."""
    open_ones = Invitation.objects.open(at).for_secret(secret)
    found = open_ones.select_related("mailbox__domain", "made_by").first()
    if (
        found is None
        or found.mailbox.state != states.ACTIVE
        or found.mailbox.password_set_at > found.made_at
    ):
        raise InvitationRefused
    try:
        check_not_protected(found.mailbox, found.made_by)
    except MailboxProtected:
        raise InvitationRefused from None
    return found


def accept(secret: str, *, password: str, at: datetime.datetime, address: str = "") -> Mailbox:
    """Set the owner's password. InvitationRefused, or PasswordRefused: then the link stays good.

    `address` is where the owner came from, for the audit log.
    """
    invitation = look_up(secret, at=at)
    with transaction.atomic():
        # First, so that of two at once one gets in.
        if not Invitation.objects.open(at).filter(pk=invitation.pk).update(used_at=at):
            raise InvitationRefused
        mailbox = lifecycle.set_password(
            mailbox=invitation.mailbox, password=password, by=None, at=at
        )
        audit.record(
            by=None,
            at=at,
            action="accounts.invitation.accepted",
            subject=mailbox.address,
            detail={"from": address} if address else {},
        )
    return mailbox
