"""Verbs on one mailbox: create, edit, set_password, suspend, resume.

Each checks, writes the row, its Change (what the host must learn) and its AuditEvent in one
transaction, and nudges the host's push after commit. Hashing happens before the transaction. No
exception, event or log line holds a password.
"""

import datetime
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from accounts import states
from accounts.checks import (
    check_expiry,
    check_free,
    check_local_part,
    check_name,
    check_not_expired,
    check_owner,
)
from accounts.hashing import hash_password
from accounts.models import Change, Domain, Mailbox, search_text
from accounts.protection import check_address, check_not_protected, may_touch
from accounts.refusals import (
    AddressRefused,
    AddressTaken,
    DomainGone,
    EditedMeanwhile,
    NotInState,
    SeveralRefused,
)
from accounts.rules import all_said, check_password, check_quota, check_room, quota_for, said
from accounts.tell import tell_host
from core import audit
from core.errors import Refusal
from core.models import Operator


class MailboxRefused(SeveralRefused):
    """More than one thing is wrong with a new mailbox."""


def create(
    *,
    domain: Domain,
    local_part: str,
    password: str | None,
    display_name: str = "",
    owner_contact: str = "",
    note: str = "",
    quota_mb: int | None = None,
    name_reason: str = "",
    expires_at: datetime.datetime | None = None,
    reuse_reason: str = "",
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """A new, active mailbox. AddressRefused, AddressTaken, NameNeedsReason, PasswordRefused,
    QuotaRefused, DomainFull, ExpiryRefused, OwnerMissing or TextRefused; MailboxRefused with all
    of them when there are several. MailboxProtected.

    With `password` None nobody can log in until its owner sets one (`accounts.invitations`).
    `expires_at` makes it a temporary one. `reuse_reason` says why the address of an erased account
    is handed on before `HANDED_ON_AFTER`. That one and `name_reason` are an owner's or an
    administrator's to give: another's does not count.
    """
    insists = may_touch(by)
    handed_on = insists and bool(reuse_reason.strip())
    words, found = all_said(
        display_name=display_name, owner_contact=owner_contact, note=note,
        name_reason=name_reason, reuse_reason=reuse_reason,
    )  # fmt: skip
    found += problems(
        domain=domain,
        local_part=local_part,
        password=password,
        display_name=display_name,
        quota_mb=quota_mb,
        name_reason=name_reason,
        owner_contact=owner_contact,
        expires_at=expires_at,
        insist=handed_on,
        insists=insists,
        at=at,
    )
    if found:
        raise found[0] if len(found) == 1 else MailboxRefused(found)
    local = check_local_part(local_part, domain)
    hashed = "" if password is None else hash_password(password)
    address = f"{local}@{domain.name}"
    check_address(address, by)
    with transaction.atomic():
        # The lock keeps an alias of the same address from being made at the same moment.
        home = Domain.objects.select_for_update().filter(pk=domain.pk).first()
        if home is None:
            raise DomainGone(domain.name)
        check_free(home, local, insist=handed_on, at=at)
        check_room(home)
        quota_mb = quota_for(home, quota_mb)
        check_quota(quota_mb, home)
        Mailbox.objects.filter(address=address, state=states.ERASED).delete()
        try:
            with transaction.atomic():
                mailbox = Mailbox.objects.create(
                    domain=home,
                    local_part=local,
                    address=address,
                    display_name=words["display_name"],
                    owner_contact=words["owner_contact"],
                    note=words["note"],
                    quota_mb=quota_mb,
                    name_reason=words["name_reason"],
                    expires_at=expires_at,
                    password=hashed,
                    password_set_at=at,
                    state_since=at,
                    created_at=at,
                    search_text=search_text(address, words["display_name"], words["owner_contact"]),
                )
        except IntegrityError:
            raise AddressTaken(address, "mailbox") from None
        detail: dict[str, Any] = {"quota_mb": quota_mb}
        if not mailbox.has_password:
            detail["password"] = None
        if mailbox.name_reason:
            detail["name_reason"] = mailbox.name_reason
        if expires_at:
            detail["expires_at"] = expires_at.isoformat()
        if words["reuse_reason"]:
            detail["reuse_reason"] = words["reuse_reason"]
        audit.record(
            by=by, at=at, action="accounts.mailbox.created", subject=address, detail=detail
        )
        tell(mailbox, at)
    return mailbox


def problems(
    *,
    domain: Domain,
    local_part: str,
    password: str | None,
    display_name: str,
    quota_mb: int | None,
    name_reason: str,
    owner_contact: str = "",
    expires_at: datetime.datetime | None = None,
    insist: bool = False,
    insists: bool = True,
    at: datetime.datetime | None = None,
) -> list[Refusal]:
    """Everything that speaks against a new mailbox, so that nobody meets it piece by piece."""
    found: list[Refusal] = []
    local = local_part.strip().lower()
    try:
        local = check_local_part(local_part, domain)
        check_free(domain, local, insist=insist, at=at)
    except (AddressRefused, AddressTaken) as refused:
        found.append(refused)
    checks: list[Callable[[], object]] = [
        lambda: check_name(local, name_reason, temporary=expires_at is not None, insists=insists),
        lambda: check_expiry(expires_at, at),
        lambda: check_owner(owner_contact, expires_at),
        lambda: check_room(domain),
        lambda: check_quota(quota_for(domain, quota_mb), domain),
    ]
    if password is not None:
        checks.append(
            lambda: check_password(password, local=local, domain=domain, display_name=display_name)
        )
    for check in checks:
        try:
            check()
        except Refusal as refused:
            found.append(refused)
    return found


def edit(
    *,
    mailbox: Mailbox,
    revision: int,
    display_name: str,
    owner_contact: str,
    note: str,
    quota_mb: int | None,
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """Change what is said about a mailbox, and its quota. `revision` is the one that the operator
    saw: EditedMeanwhile when it is not the present one any more. QuotaRefused, TextRefused,
    MailboxProtected."""
    new: dict[str, Any] = {
        "display_name": said(display_name, "display_name"),
        "owner_contact": said(owner_contact, "owner_contact"),
        "note": said(note, "note", lines=True),
        "quota_mb": quota_mb,
    }
    with transaction.atomic():
        row = (
            Mailbox.objects.select_for_update(of=("self",))
            .select_related("domain")
            .get(pk=mailbox.pk)
        )
        if row.revision != revision:
            raise EditedMeanwhile
        if row.state == states.ERASED:
            raise NotInState(_("This account was erased."))
        check_owner(owner_contact, row.expires_at)
        changed = {name: value for name, value in new.items() if getattr(row, name) != value}
        if not changed:
            return row
        if "quota_mb" in changed:  # one from before the domain's limit may stay
            check_not_protected(row, by)
            check_quota(quota_mb, row.domain)
        before = {name: getattr(row, name) for name in changed}
        found_by = search_text(row.address, new["display_name"], new["owner_contact"])
        update(row, **changed, search_text=found_by)
        audit.record(
            by=by,
            at=at,
            action="accounts.mailbox.edited",
            subject=row.address,
            detail={"before": before, "after": changed},
        )
        if "quota_mb" in changed:
            tell(row, at)
    return row


def set_password(
    *, mailbox: Mailbox, password: str, by: Operator | None, at: datetime.datetime
) -> Mailbox:
    """A new password. Open sessions end: whoever knew the old one is out. PasswordRefused,
    MailboxProtected."""
    check_not_protected(mailbox, by)
    check_password(
        password,
        local=mailbox.local_part,
        domain=mailbox.domain,
        display_name=mailbox.display_name,
    )
    hashed = hash_password(password)
    with transaction.atomic():
        row = locked(mailbox)
        if row.state == states.ERASED:
            raise NotInState(_("This account was erased."))
        update(row, password=hashed, password_set_at=at)
        audit.record(by=by, at=at, action="accounts.mailbox.password_set", subject=row.address)
        tell(row, at, end_sessions=True)
    return row


def suspend(
    *,
    mailbox: Mailbox,
    reason: str = "",
    refuses_mail: bool = False,
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """No login and no sending from now on, and open sessions end. Mail goes on arriving unless
    `refuses_mail`. NotInState, MailboxProtected."""
    check_not_protected(mailbox, by)
    with transaction.atomic():
        row = locked(mailbox)
        if not row.may_suspend:
            raise NotInState(
                _("%(address)s is not active, so it cannot be suspended.")
                % {"address": row.unicode_address}
            )
        update(
            row,
            state=states.BY_VERB["suspend"].target,
            state_since=at,
            state_reason=said(reason, "reason"),
            refuses_mail=refuses_mail,
        )
        audit.record(
            by=by,
            at=at,
            action="accounts.mailbox.suspended",
            subject=row.address,
            detail={"reason": row.state_reason, "refuses_mail": refuses_mail},
        )
        tell(row, at, end_sessions=True)
    return row


def resume(*, mailbox: Mailbox, by: Operator | None, at: datetime.datetime) -> Mailbox:
    """Login and sending work again, with the same password. NotInState, Expired."""
    with transaction.atomic():
        row = locked(mailbox)
        if not row.may_resume:
            raise NotInState(
                _("%(address)s is not suspended, so it cannot be resumed.")
                % {"address": row.unicode_address}
            )
        check_not_expired(row, at)
        update(
            row,
            state=states.BY_VERB["resume"].target,
            state_since=at,
            state_reason="",
            refuses_mail=False,
        )
        audit.record(by=by, at=at, action="accounts.mailbox.resumed", subject=row.address)
        tell(row, at)
    return row


def locked(mailbox: Mailbox) -> Mailbox:
    rows = Mailbox.objects.select_for_update(of=("self",)).select_related("domain")
    return rows.get(pk=mailbox.pk)


def update(row: Mailbox, **fields: Any) -> None:
    """Write to a locked row and to the instance; every write is a new revision."""
    Mailbox.objects.filter(pk=row.pk).update(**fields, revision=F("revision") + 1)
    for name, value in fields.items():
        setattr(row, name, value)
    row.revision += 1


def tell(row: Mailbox, at: datetime.datetime, *, end_sessions: bool = False) -> None:
    Change.objects.all().append([Change.of(row, at=at, end_sessions=end_sessions)])
    tell_host(row.domain.host)
