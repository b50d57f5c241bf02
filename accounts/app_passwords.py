"""App passwords: one for each program, for some of IMAP, POP3 and sending, and perhaps for a time.

    row, secret = create(mailbox=anna, name="Phone", imap=True, sending=True, by=me, at=now)
    revoke(app_password=row, by=me, at=now)

A secret is 32 letters and digits, `abcd2345…`: eight by which the host finds the row, which are no
secret, and 24 that are, of 32 kinds each: 120 bits. It is shown once. Suspended or closed, a
mailbox keeps them and none works; erased, it has none. The host looks at the clock itself, so that
one ends in time while the console is down; `expire` ends the sessions that it had opened.
"""

from __future__ import annotations

import datetime
import secrets

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import states
from accounts.checks import check_expiry
from accounts.hashing import hash_secret
from accounts.lifecycle import locked, tell
from accounts.models import AppPassword, Mailbox
from accounts.models.app_passwords import AppPasswordQuerySet
from accounts.protection import check_not_protected
from accounts.refusals import NotInState
from accounts.rules import said
from core import audit
from core.errors import Refusal
from core.models import Operator

LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without l and o, 0 and 1, which are taken for each other when they are read out."""
PUBLIC, SECRET = 8, 24
MOST = 50


class NameMissing(Refusal):
    field = "name"

    def __init__(self) -> None:
        super().__init__(_("Say which program it is for, so that you know later what to revoke."))


class ScopeMissing(Refusal):
    """It would be good for nothing."""

    field = "imap"

    def __init__(self) -> None:
        super().__init__(_("Choose at least one of reading by IMAP, by POP3 and sending."))


class TooMany(Refusal):
    status = 409

    def __init__(self, row: Mailbox) -> None:
        super().__init__(
            _("%(address)s has %(most)s app passwords. Revoke one that nobody needs first.")
            % {"address": row.unicode_address, "most": MOST}
        )


class AlreadyRevoked(Refusal):
    status = 409

    def __init__(self) -> None:
        super().__init__(_("It does not work any more: it was revoked, or its time is over."))


def create(
    *,
    mailbox: Mailbox,
    name: str,
    imap: bool = False,
    pop3: bool = False,
    sending: bool = False,
    expires_at: datetime.datetime | None = None,
    by: Operator | None,
    at: datetime.datetime,
) -> tuple[AppPassword, str]:
    """The row and its secret. NameMissing, TextRefused, ScopeMissing, ExpiryRefused, NotInState
    unless the account is active, TooMany, MailboxProtected."""
    check_not_protected(mailbox, by)
    label = said(name, "name")
    if not label:
        raise NameMissing
    if not (imap or pop3 or sending):
        raise ScopeMissing
    check_expiry(expires_at, at)
    selector, rest = _random(PUBLIC), _random(SECRET)
    hashed = hash_secret(selector + rest)
    with transaction.atomic():
        row = locked(mailbox)
        if row.state != states.ACTIVE:
            raise NotInState(
                _("%(address)s is not active. Once it is resumed, it can have an app password.")
                % {"address": row.unicode_address}
            )
        if row.app_passwords.filter(revoked_at=None).count() >= MOST:
            raise TooMany(row)
        made = AppPassword.objects.create(
            mailbox=row,
            name=label,
            selector=selector,
            password=hashed,
            imap=imap,
            pop3=pop3,
            sending=sending,
            made_by=by,
            made_at=at,
            expires_at=expires_at,
        )
        audit.record(
            by=by,
            at=at,
            action="accounts.app_password.made",
            subject=row.address,
            detail={
                **_said(made),
                "for": [scope for scope in ("imap", "pop3", "sending") if getattr(made, scope)],
                "expires_at": expires_at.isoformat() if expires_at else None,
            },
        )
        tell(row, at)
    return made, selector + rest


def revoke(*, app_password: AppPassword, by: Operator | None, at: datetime.datetime) -> AppPassword:
    """It works no more from now on, and the mailbox's open sessions end. AlreadyRevoked,
    MailboxProtected."""
    check_not_protected(app_password.mailbox, by)
    with transaction.atomic():
        row = locked(app_password.mailbox)
        found = row.app_passwords.filter(pk=app_password.pk, revoked_at=None).first()
        if found is None:
            raise AlreadyRevoked
        _end(row, [found], "accounts.app_password.revoked", by=by, at=at)
    return found


def revoke_all(*, mailbox: Mailbox, by: Operator | None, at: datetime.datetime) -> int:
    """How many there were. MailboxProtected."""
    check_not_protected(mailbox, by)
    with transaction.atomic():
        row = locked(mailbox)
        found = list(row.app_passwords.filter(revoked_at=None))
        _end(row, found, "accounts.app_password.revoked", by=by, at=at)
    return len(found)


def due(at: datetime.datetime) -> AppPasswordQuerySet:
    """Those whose time is over and whose sessions may still be open."""
    rows = AppPassword.objects.filter(revoked_at=None, expires_at__lte=at)
    return rows.order_by("expires_at")


def expire(pk: int, *, at: datetime.datetime) -> None:
    """By nobody; nothing when it was revoked meanwhile."""
    with transaction.atomic():
        found = due(at).select_related("mailbox").filter(pk=pk).first()
        if found is not None:
            row = locked(found.mailbox)
            left = list(due(at).filter(pk=pk))
            _end(row, left, "accounts.app_password.expired", by=None, at=at)


def _end(
    row: Mailbox,
    found: list[AppPassword],
    action: str,
    *,
    by: Operator | None,
    at: datetime.datetime,
) -> None:
    for each in found:
        each.revoked_at = at
        audit.record(by=by, at=at, action=action, subject=row.address, detail=_said(each))
    AppPassword.objects.bulk_update(found, ["revoked_at"])
    if found:
        tell(row, at, end_sessions=True)


def _said(row: AppPassword) -> dict[str, str]:
    return {"name": row.name, "selector": row.selector}


def _random(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _each in range(length))
