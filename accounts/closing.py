"""Verbs at the end of a mailbox's life: close, reopen, erase.

A closing mailbox can neither log in nor send nor receive; its mail is kept until a date, and until
it is erased it can be opened again. Erasing makes the row a tombstone, which holds the address and
nothing about a person, takes the account off its host and leaves an `Erasure`: whoever reaches the
host deletes the mail there.

An alias that leads to the mailbox among others loses that target when it is erased. One that leads
to it alone would lead nowhere: erasing is refused until somebody says where its mail goes.
"""

import datetime
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import states
from accounts.addresses import without_detail
from accounts.checks import check_not_expired
from accounts.lifecycle import locked, tell, update
from accounts.models import (
    Alias,
    AppPassword,
    Change,
    Domain,
    Erasure,
    Flag,
    Invitation,
    LastUse,
    Mailbox,
    WeaknessVerdict,
)
from accounts.protection import check_not_protected
from accounts.refusals import NotInState
from accounts.rules import said
from accounts.tell import ask_to_erase, tell_host
from core import audit
from core.errors import Refusal
from core.models import Operator

KEPT_DAYS = 30
MOST_DAYS = 3650
NAMED_AT_MOST = 10
NO_PASSWORD = "{CRYPT}*"  # noqa: S105 - a hash that nothing matches


class KeepingRefused(Refusal):
    """The day until which mail is to be kept is past, or too far."""

    field = "days"

    def __init__(self) -> None:
        super().__init__(
            _("Mail is kept for 0 to %(most)d days after an account is closed.")
            % {"most": MOST_DAYS}
        )


class KeptStill(Refusal):
    """The mail was promised to be kept until a later day."""

    status = 409
    field = "early"

    def __init__(self, row: Mailbox) -> None:
        super().__init__(
            _(
                "The mail of %(address)s is kept until %(day)s. To erase it before, say so "
                "expressly."
            )
            % {"address": row.unicode_address, "day": f"{row.kept_until:%Y-%m-%d}"}
        )


class ConfirmationWrong(Refusal):
    """What was typed is not the address."""

    field = "typed"

    def __init__(self, row: Mailbox) -> None:
        super().__init__(
            _("That is not the address. Type %(address)s to erase it.")
            % {"address": row.unicode_address}
        )


class AliasesLeadHere(Refusal):
    """`aliases` lead to this mailbox alone."""

    status = 409

    def __init__(self, row: Mailbox, aliases: Sequence[Alias]) -> None:
        named = ", ".join(alias.unicode_address for alias in aliases[:NAMED_AT_MOST])
        super().__init__(
            ngettext(
                "%(count)d alias leads to %(address)s alone: %(named)s. Let it lead elsewhere or "
                "delete it first.",
                "%(count)d aliases lead to %(address)s alone: %(named)s. Let them lead elsewhere "
                "or delete them first.",
                len(aliases),
            )
            % {"count": len(aliases), "address": row.unicode_address, "named": named}
        )
        self.aliases = tuple(aliases)


class OthersLeadHere(Refusal):
    """An alias leads to this mailbox alone that does not exist for the operator."""

    status = 409

    def __init__(self, row: Mailbox) -> None:
        super().__init__(
            _(
                "An alias of a domain that is not yours leads to %(address)s alone. Ask an owner "
                "or an administrator to let it lead elsewhere first."
            )
            % {"address": row.unicode_address}
        )


def close(
    *,
    mailbox: Mailbox,
    days: int = KEPT_DAYS,
    reason: str = "",
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """No login, no sending, no new mail from now on, and open sessions end. The mail is kept for
    `days`. NotInState, KeepingRefused, MailboxProtected."""
    check_not_protected(mailbox, by)
    kept_until = keep_until(days, at)
    with transaction.atomic():
        row = locked(mailbox)
        if not row.may("close"):
            raise NotInState(_("%(address)s is closed already.") % {"address": row.unicode_address})
        update(
            row,
            state=states.BY_VERB["close"].target,
            state_since=at,
            state_reason=said(reason, "reason"),
            refuses_mail=False,
            kept_until=kept_until,
        )
        Invitation.objects.open(at).filter(mailbox=row).update(withdrawn_at=at)
        audit.record(
            by=by,
            at=at,
            action="accounts.mailbox.closed",
            subject=row.address,
            detail={"reason": row.state_reason, "kept_until": kept_until.isoformat()},
        )
        tell(row, at, end_sessions=True)
    return row


def keep_until(days: int, at: datetime.datetime) -> datetime.datetime:
    if not 0 <= days <= MOST_DAYS:
        raise KeepingRefused
    return at + datetime.timedelta(days=days)


def reopen(*, mailbox: Mailbox, by: Operator | None, at: datetime.datetime) -> Mailbox:
    """Active again, with the password and the mail it had. NotInState, Expired."""
    with transaction.atomic():
        row = locked(mailbox)
        if not row.may("reopen"):
            raise NotInState(
                _("%(address)s is not closed, so it cannot be opened again.")
                % {"address": row.unicode_address}
            )
        check_not_expired(row, at)
        update(
            row,
            state=states.BY_VERB["reopen"].target,
            state_since=at,
            state_reason="",
            kept_until=None,
        )
        audit.record(by=by, at=at, action="accounts.mailbox.reopened", subject=row.address)
        tell(row, at)
    return row


def erase(
    *,
    mailbox: Mailbox,
    typed: str,
    early: bool = False,
    by: Operator | None,
    at: datetime.datetime,
) -> Mailbox:
    """For good: the row becomes a tombstone, and its mail is deleted from its host.

    `typed` is the address as the operator typed it. `early` erases mail before the day until which
    it is kept. NotInState, ConfirmationWrong, KeptStill, AliasesLeadHere, OthersLeadHere,
    MailboxProtected.
    """
    check_not_protected(mailbox, by)
    with transaction.atomic():
        # As in aliases.create: no alias may come to lead here meanwhile.
        list(Domain.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
        row = locked(mailbox)
        if not row.may("erase"):
            raise NotInState(
                _("%(address)s is not closed. Close it first; then it can be erased.")
                % {"address": row.unicode_address}
            )
        if typed.strip().lower() not in (row.address, row.unicode_address):
            raise ConfirmationWrong(row)
        if row.kept_until and row.kept_until > at and not early:
            raise KeptStill(row)
        leading = aliases_to(row)
        alone = [alias for alias in leading if not _others(alias, row)]
        if any(alias not in aliases_to(row, by) for alias in alone):
            raise OthersLeadHere(row)
        if alone:
            raise AliasesLeadHere(row, alone)
        detail = {
            "kept_until": row.kept_until.isoformat() if row.kept_until else None,
            "host": row.domain.host,
            "aliases": [alias.address for alias in leading],
        }
        update(
            row,
            state=states.BY_VERB["erase"].target,
            state_since=at,
            password=NO_PASSWORD,
            display_name="",
            owner_contact="",
            note="",
            name_reason="",
            state_reason="",
            quota_mb=None,
            expires_at=None,
            kept_until=None,
            last_used_at=None,
            used_bytes=None,
            used_at=None,
            search_text="",
        )
        for model in (AppPassword, Invitation, LastUse, Flag, WeaknessVerdict):
            model._default_manager.filter(mailbox=row).delete()
        _take_out(row, leading)
        if row.domain.host:
            erasure = Erasure.objects.create(address=row.address, host=row.domain.host, asked_at=at)
            ask_to_erase(erasure.pk)
        audit.record(
            by=by, at=at, action="accounts.mailbox.erased", subject=row.address, detail=detail
        )
        changes = [Change.of(alias, at=at) for alias in leading]
        Change.objects.all().append([*changes, Change.of(row, at=at, end_sessions=True)])
        for host in sorted({row.domain.host, *(alias.domain.host for alias in leading)}):
            tell_host(host)
    return row


def _take_out(row: Mailbox, leading: Iterable[Alias]) -> None:
    for alias in leading:
        alias.targets = _others(alias, row)
        alias.revision += 1
        alias.save(update_fields=["targets", "revision"])


def _others(alias: Alias, row: Mailbox) -> list[str]:
    """The targets that are not the mailbox, with or without a detail: anna+shop@ is anna@."""
    return [target for target in alias.targets if without_detail(target) != row.address]


def aliases_to(mailbox: Mailbox, by: Operator | None = None) -> list[Alias]:
    """The aliases that lead to a mailbox directly, with their domains, as far as `by` sees them."""
    rows = Alias.objects.visible_to(by).select_related("domain")
    detailed = Q(targets__icontains=f"{mailbox.local_part}+")
    rows = rows.filter(Q(targets__icontains=mailbox.address) | detailed)
    return [alias for alias in rows if len(_others(alias, mailbox)) < len(alias.targets)]


def said_of_aliases(aliases: Sequence[Alias]) -> str:
    """What closing means for the aliases that lead to the mailbox; empty where none does."""
    if not aliases:
        return ""
    first, more = aliases[0].unicode_address, len(aliases) - 1
    if not more:
        return _("%(first)s leads here: mail to it no longer arrives here.") % {"first": first}
    return ngettext(
        "%(first)s and %(count)d more alias lead here: mail to them no longer arrives here.",
        "%(first)s and %(count)d more aliases lead here: mail to them no longer arrives here.",
        more,
    ) % {"first": first, "count": more}
