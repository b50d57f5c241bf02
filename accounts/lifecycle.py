"""Verbs on one mailbox: create, edit, set_password, suspend, resume.

Each checks, writes the row, its Change (what the host must learn) and its AuditEvent in one
transaction, and nudges the host's push after commit. Hashing happens before the transaction. No
exception, event or log line holds a password.
"""

import datetime
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from accounts import addresses, passwords, states
from accounts.common import common_passwords
from accounts.hashing import hash_password
from accounts.models import Alias, Change, Domain, Mailbox, search_text
from accounts.refusals import (
    AddressRefused,
    AddressTaken,
    DomainGone,
    EditedMeanwhile,
    NotInState,
    ReasonsRefusal,
)
from accounts.tell import tell_host
from core import audit
from core.errors import Refusal
from core.models import Operator

POLICY = passwords.STRONG
MOST_QUOTA_MB = 16 * 1024 * 1024  # 16 TiB, so that bytes stay far below 2**63 on the host


class PasswordRefused(ReasonsRefusal):
    """Every reason why the password is not good enough."""

    field = "password"


class NameNeedsReason(Refusal):
    """The name looks like an account for a test, and nobody said why it is one."""

    field = "name_reason"

    def __init__(self, token: str) -> None:
        super().__init__(
            _(
                "“%(token)s” looks like an account for a test. Such accounts are forgotten, and "
                "are the first that attackers try. Say what it is for and who looks after it, or "
                "choose another name."
            )
            % {"token": token}
        )
        self.token = token


class MailboxRefused(Refusal):
    """More than one thing is wrong with a new mailbox: `refusals` holds them all."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(" ".join(refusal.sentence for refusal in refusals))
        self.refusals = tuple(refusals)


class QuotaRefused(Refusal):
    field = "quota_mb"

    def __init__(self) -> None:
        super().__init__(
            _("A quota is a number of megabytes from 1 to %(most)d; leave it empty for no limit.")
            % {"most": MOST_QUOTA_MB}
        )


def judge_password(
    password: str, *, local: str, domain: str, display_name: str = ""
) -> passwords.Verdict:
    """The verdict on a password for this account, by the policy in force."""
    context = passwords.Context(local, domain, display_name, words=("mailadmin", "password"))
    return passwords.judge(password, context, POLICY, common=common_passwords())


def create(
    *,
    domain: Domain,
    local_part: str,
    password: str,
    display_name: str = "",
    owner_contact: str = "",
    note: str = "",
    quota_mb: int | None = None,
    name_reason: str = "",
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """A new, active mailbox. AddressRefused, AddressTaken, NameNeedsReason, PasswordRefused or
    QuotaRefused; MailboxRefused with all of them when there are several."""
    found = problems(
        domain=domain,
        local_part=local_part,
        password=password,
        display_name=display_name,
        quota_mb=quota_mb,
        name_reason=name_reason,
    )
    if found:
        raise found[0] if len(found) == 1 else MailboxRefused(found)
    local = check_local_part(local_part, domain)
    hashed = hash_password(password)
    address = f"{local}@{domain.name}"
    with transaction.atomic():
        # The lock keeps an alias of the same address from being made at the same moment.
        home = Domain.objects.select_for_update().filter(pk=domain.pk).first()
        if home is None:
            raise DomainGone(domain.name)
        check_free(home, local)
        try:
            with transaction.atomic():
                mailbox = Mailbox.objects.create(
                    domain=home,
                    local_part=local,
                    address=address,
                    display_name=display_name.strip(),
                    owner_contact=owner_contact.strip(),
                    note=note.strip(),
                    quota_mb=quota_mb,
                    name_reason=name_reason.strip(),
                    password=hashed,
                    password_set_at=at,
                    state_since=at,
                    created_at=at,
                    search_text=search_text(address, display_name, owner_contact),
                )
        except IntegrityError:
            raise AddressTaken(address, "mailbox") from None
        detail: dict[str, Any] = {"quota_mb": quota_mb}
        if mailbox.name_reason:
            detail["name_reason"] = mailbox.name_reason
        audit.record(
            by=by, at=at, action="accounts.mailbox.created", subject=address, detail=detail
        )
        _tell(mailbox, at)
    return mailbox


def problems(
    *,
    domain: Domain,
    local_part: str,
    password: str,
    display_name: str,
    quota_mb: int | None,
    name_reason: str,
) -> list[Refusal]:
    """Everything that speaks against a new mailbox, so that nobody meets it piece by piece."""
    found: list[Refusal] = []
    local = local_part.strip().lower()
    try:
        local = check_local_part(local_part, domain)
        check_free(domain, local)
    except (AddressRefused, AddressTaken) as refused:
        found.append(refused)
    for check in (
        lambda: check_name(local, name_reason),
        lambda: check_quota(quota_mb),
        lambda: check_password(
            password, local=local, domain=domain.name, display_name=display_name
        ),
    ):
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
    saw: EditedMeanwhile when it is not the present one any more. QuotaRefused."""
    check_quota(quota_mb)
    new: dict[str, Any] = {
        "display_name": display_name.strip(),
        "owner_contact": owner_contact.strip(),
        "note": note.strip(),
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
        changed = {name: value for name, value in new.items() if getattr(row, name) != value}
        if not changed:
            return row
        before = {name: getattr(row, name) for name in changed}
        found_by = search_text(row.address, new["display_name"], new["owner_contact"])
        _update(row, **changed, search_text=found_by)
        audit.record(
            by=by,
            at=at,
            action="accounts.mailbox.edited",
            subject=row.address,
            detail={"before": before, "after": changed},
        )
        if "quota_mb" in changed:
            _tell(row, at)
    return row


def set_password(
    *, mailbox: Mailbox, password: str, by: Operator | None, at: datetime.datetime
) -> Mailbox:
    """A new password. Open sessions end: whoever knew the old one is out. PasswordRefused."""
    check_password(
        password,
        local=mailbox.local_part,
        domain=mailbox.address.rpartition("@")[2],
        display_name=mailbox.display_name,
    )
    hashed = hash_password(password)
    with transaction.atomic():
        row = _locked(mailbox)
        if row.state == states.ERASED:
            raise NotInState(_("This account was erased."))
        _update(row, password=hashed, password_set_at=at)
        audit.record(by=by, at=at, action="accounts.mailbox.password_set", subject=row.address)
        _tell(row, at, end_sessions=True)
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
    `refuses_mail`. NotInState."""
    with transaction.atomic():
        row = _locked(mailbox)
        if not row.may_suspend:
            raise NotInState(
                _("%(address)s is not active, so it cannot be suspended.")
                % {"address": row.unicode_address}
            )
        _update(
            row,
            state=states.BY_VERB["suspend"].target,
            state_since=at,
            state_reason=reason.strip(),
            refuses_mail=refuses_mail,
        )
        audit.record(
            by=by,
            at=at,
            action="accounts.mailbox.suspended",
            subject=row.address,
            detail={"reason": row.state_reason, "refuses_mail": refuses_mail},
        )
        _tell(row, at, end_sessions=True)
    return row


def resume(*, mailbox: Mailbox, by: Operator | None, at: datetime.datetime) -> Mailbox:
    """Login and sending work again, with the same password. NotInState."""
    with transaction.atomic():
        row = _locked(mailbox)
        if not row.may_resume:
            raise NotInState(
                _("%(address)s is not suspended, so it cannot be resumed.")
                % {"address": row.unicode_address}
            )
        _update(
            row,
            state=states.BY_VERB["resume"].target,
            state_since=at,
            state_reason="",
            refuses_mail=False,
        )
        audit.record(by=by, at=at, action="accounts.mailbox.resumed", subject=row.address)
        _tell(row, at)
    return row


def check_local_part(text: str, domain: Domain) -> str:
    """The name as it is stored, or AddressRefused."""
    try:
        return addresses.within(text, domain.name).local
    except addresses.NotAnAddress as refused:
        raise AddressRefused(refused.reasons) from None


def check_free(domain: Domain, local: str) -> None:
    """AddressTaken when a mailbox, an alias or a tombstone has the address."""
    address = f"{local}@{domain.name}"
    state = Mailbox.objects.filter(address=address).values_list("state", flat=True).first()
    if state:
        raise AddressTaken(address, "erased" if state == states.ERASED else "mailbox")
    if Alias.objects.filter(address=address).exists():
        raise AddressTaken(address, "alias")


def check_name(local: str, reason: str) -> None:
    token = addresses.test_token(local)
    if token and not reason.strip():
        raise NameNeedsReason(token)


def check_quota(quota_mb: int | None) -> None:
    if quota_mb is not None and not 1 <= quota_mb <= MOST_QUOTA_MB:
        raise QuotaRefused


def check_password(password: str, *, local: str, domain: str, display_name: str = "") -> None:
    verdict = judge_password(password, local=local, domain=domain, display_name=display_name)
    if not verdict.accepted:
        raise PasswordRefused(verdict.reasons)


def _locked(mailbox: Mailbox) -> Mailbox:
    rows = Mailbox.objects.select_for_update(of=("self",)).select_related("domain")
    return rows.get(pk=mailbox.pk)


def _update(row: Mailbox, **fields: Any) -> None:
    """Write to a locked row and to the instance; every write is a new revision."""
    Mailbox.objects.filter(pk=row.pk).update(**fields, revision=F("revision") + 1)
    for name, value in fields.items():
        setattr(row, name, value)
    row.revision += 1


def _tell(row: Mailbox, at: datetime.datetime, *, end_sessions: bool = False) -> None:
    Change.objects.all().append([Change.of(row, at=at, end_sessions=end_sessions)])
    tell_host(row.domain.host)
