"""An invitation: a link with which a mailbox's owner sets the password himself.

    invitation, secret = invite(mailbox=anna, by=me, at=now)     # the secret is shown once
    found = look_up(secret, at=now)                              # or InvitationRefused
    accept(secret, password="…", at=now)

The link works once and for a week; a new one puts the older ones out of use, and so does a password
that an operator sets meanwhile. Who has the link can read the mailbox, as with a password: it goes
to its owner by a way that is not this mailbox.
"""

from __future__ import annotations

import datetime
import secrets

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import lifecycle, states
from accounts.models import Invitation, Mailbox
from accounts.protection import check_not_protected
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


def invite(
    *, mailbox: Mailbox, by: Operator | None, at: datetime.datetime
) -> tuple[Invitation, str]:
    """The invitation and its secret. NotInState unless the account is active. MailboxProtected."""
    check_not_protected(mailbox, by)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        row = Mailbox.objects.select_for_update(of=("self",)).get(pk=mailbox.pk)
        if row.state != states.ACTIVE:
            raise NotInState(
                _("%(address)s is not active: resume it first, then invite its owner.")
                % {"address": row.unicode_address}
            )
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
            detail={"expires_at": invitation.expires_at.isoformat()},
        )
    return invitation, secret


def withdraw(*, mailbox: Mailbox, by: Operator | None, at: datetime.datetime) -> None:
    """Put the open link out of use; without one nothing happens."""
    with transaction.atomic():
        if _withdraw(mailbox, at=at):
            audit.record(
                by=by, at=at, action="accounts.invitation.withdrawn", subject=mailbox.address
            )


def _withdraw(mailbox: Mailbox, *, at: datetime.datetime) -> int:
    return Invitation.objects.open(at).filter(mailbox=mailbox).update(withdrawn_at=at)


def look_up(secret: str, *, at: datetime.datetime) -> Invitation:
    """The invitation, when it can still be used."""
    open_ones = Invitation.objects.open(at).for_secret(secret)
    found = open_ones.select_related("mailbox__domain").first()
    if (
        found is None
        or found.mailbox.state != states.ACTIVE
        or found.mailbox.password_set_at > found.made_at
    ):
        raise InvitationRefused
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
