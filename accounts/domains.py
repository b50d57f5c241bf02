"""Verbs on domains: create, edit, put on a host, remove.

Every domain takes mail for postmaster@ and abuse@ (RFC 5321 4.5.1, RFC 2142), with or without a
mailbox or an alias of that name, so the two are nowhere stored and cannot be deleted.
"""

import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import addresses
from accounts.models import Alias, Change, ChangeKind, Domain, Mailbox, PasswordRule
from accounts.refusals import DomainGone, DomainRefused, EditedMeanwhile, SeveralRefused
from accounts.rules import MOST_QUOTA_MB, said
from accounts.tell import ask_for_host, tell_host
from core import audit, operators
from core.errors import Refusal
from core.models import Operator


class DomainTaken(Refusal):
    status = 409
    field = "name"

    def __init__(self, name: str) -> None:
        shown = addresses.unicode_domain(name)
        super().__init__(_("There is a domain %(name)s already.") % {"name": shown})


class DomainNotEmpty(Refusal):
    """Mailboxes or aliases are still in it."""

    status = 409

    def __init__(self, name: str, count: int) -> None:
        super().__init__(
            ngettext(
                "%(name)s still has %(count)d mailbox or alias. Delete it first.",
                "%(name)s still has %(count)d mailboxes and aliases. Delete them first.",
                count,
            )
            % {"name": addresses.unicode_domain(name), "count": count}
        )


class DomainEditedMeanwhile(EditedMeanwhile):
    """Somebody else saved the domain since this operator opened it."""

    SENTENCE = _(
        "Somebody else changed this domain after you opened it. Nothing of yours was saved: look "
        "at what it says now, then change it again."
    )


class NumberRefused(Refusal):
    """A number of the domain's settings is out of its range."""

    def __init__(self, field: str, least: int, most: int) -> None:
        sentences = {
            "most_mailboxes": _(
                "Give a number of mailboxes from %(least)d to %(most)d, or leave it empty for no "
                "limit."
            ),
            "least_length": _(
                "Give a length from %(least)d to %(most)d. Shorter passwords are guessed, and "
                "longer ones are not asked of anybody."
            ),
            "least_score": _("Give a score from %(least)d (not asked) to %(most)d (very strong)."),
        }
        quota = _("Give a number of megabytes from %(least)d to %(most)d, or leave it empty.")
        super().__init__(sentences.get(field, quota) % {"least": least, "most": most})
        self.field = field


class DefaultAboveMost(Refusal):
    """A new mailbox would get more than the domain allows."""

    field = "quota_mb"

    def __init__(self, most: int) -> None:
        super().__init__(
            _("New mailboxes would get more than the %(most)d MB that a mailbox may have here.")
            % {"most": most}
        )


class RuleUnknown(Refusal):
    field = "password_rule"

    def __init__(self) -> None:
        super().__init__(
            _("There is no such rule. These are: %(rules)s.")
            % {"rules": ", ".join(PasswordRule.values)}
        )


RANGES = {
    "most_mailboxes": (0, 10_000_000),
    "quota_mb": (1, MOST_QUOTA_MB),
    "most_quota_mb": (1, MOST_QUOTA_MB),
    "least_length": (8, 64),
    "least_score": (0, 4),
}


def create(
    *, name: str, host: str = "", note: str = "", by: Operator | None, at: datetime.datetime
) -> Domain:
    """`host` is a host's uuid, or empty until `assign_host`. DomainRefused, DomainTaken,
    TextRefused."""
    words = said(note, "note", lines=True)
    try:
        ascii_name = addresses.domain_name(name)
    except addresses.NotAnAddress as refused:
        raise DomainRefused(refused.reasons) from None
    try:
        with transaction.atomic():
            domain = Domain.objects.create(
                name=ascii_name,
                host=host,
                host_since=at if host else None,
                note=words,
                created_at=at,
            )
            audit.record(
                by=by,
                at=at,
                action="accounts.domain.created",
                subject=domain.name,
                detail={"host": host} if host else {},
            )
            _append(domain.name, host, ChangeKind.DOMAIN, at)
            if not host:
                ask_for_host(domain.pk)
    except IntegrityError:
        raise DomainTaken(ascii_name) from None
    return domain


def edit(
    *,
    domain: Domain,
    revision: int,
    note: str,
    most_mailboxes: int | None,
    quota_mb: int | None,
    most_quota_mb: int | None,
    password_rule: str,
    least_length: int,
    least_score: int,
    by: Operator | None,
    at: datetime.datetime,
) -> Domain:
    """Change what a domain allows. What is there already stays: limits count for what comes.

    `revision` is the one that the operator saw: DomainEditedMeanwhile when it is not the present
    one any more. NumberRefused, DefaultAboveMost, RuleUnknown; SeveralRefused with all of them.
    """
    new: dict[str, Any] = {
        "note": said(note, "note", lines=True),
        "most_mailboxes": most_mailboxes,
        "quota_mb": quota_mb,
        "most_quota_mb": most_quota_mb,
        "password_rule": password_rule,
        "least_length": least_length,
        "least_score": least_score,
    }
    found = _against(new)
    if found:
        raise found[0] if len(found) == 1 else SeveralRefused(found)
    with transaction.atomic():
        row = Domain.objects.select_for_update().filter(pk=domain.pk).first()
        if row is None:
            raise DomainGone(domain.name)
        if row.revision != revision:
            raise DomainEditedMeanwhile
        changed = {name: value for name, value in new.items() if getattr(row, name) != value}
        if not changed:
            return row
        before = {name: getattr(row, name) for name in changed}
        for name, value in changed.items():
            setattr(row, name, value)
        row.revision += 1
        row.save(update_fields=[*changed, "revision"])
        audit.record(
            by=by,
            at=at,
            action="accounts.domain.edited",
            subject=row.name,
            detail={"before": before, "after": changed},
        )
    return row


def _against(new: dict[str, Any]) -> list[Refusal]:
    """Everything that speaks against these settings."""
    found: list[Refusal] = [
        NumberRefused(field, least, most)
        for field, (least, most) in RANGES.items()
        if new[field] is not None and not least <= new[field] <= most
    ]
    if new["password_rule"] not in PasswordRule.values:
        found.append(RuleUnknown())
    quota, most = new["quota_mb"], new["most_quota_mb"]
    if not found and quota is not None and most is not None and quota > most:
        found.append(DefaultAboveMost(most))
    return found


def assign_host(*, domain: Domain, host: str, by: Operator | None, at: datetime.datetime) -> None:
    """Put a domain, with everything in it, on a host. On the one it is on already: nothing."""
    with transaction.atomic():
        row = Domain.objects.select_for_update().get(pk=domain.pk)
        before = row.host
        if before != host:
            Domain.objects.filter(pk=row.pk).update(host=host, host_since=at)
            audit.record(
                by=by,
                at=at,
                action="accounts.domain.assigned",
                subject=row.name,
                detail={"host": host, "before": before},
            )
            if before:
                _append(row.name, before, ChangeKind.REMOVE_DOMAIN, at)
            _append(row.name, host, ChangeKind.DOMAIN, at)
    domain.host = host


def remove(*, domain: Domain, by: Operator | None, at: datetime.datetime) -> None:
    """Remove an empty domain; DomainNotEmpty otherwise. Removing twice is one removal."""
    with transaction.atomic():
        row = Domain.objects.select_for_update().filter(pk=domain.pk).first()
        if row is None:
            return
        present = Mailbox.objects.present().filter(domain=row)
        inside = present.count() + Alias.objects.filter(domain=row).count()
        if inside:
            raise DomainNotEmpty(row.name, inside)
        # Erased addresses keep nobody from removing the domain; the log keeps that there were some.
        tombstones, _rows = Mailbox.objects.filter(domain=row).delete()
        row.delete()
        operators.forget_domain(name=row.name, by=by, at=at)
        audit.record(
            by=by,
            at=at,
            action="accounts.domain.removed",
            subject=row.name,
            detail={"erased_addresses": tombstones} if tombstones else {},
        )
        _append(row.name, row.host, ChangeKind.REMOVE_DOMAIN, at)


def _append(name: str, host: str, kind: Any, at: datetime.datetime) -> None:
    Change.objects.all().append([Change(at=at, host=host, kind=kind, subject=name)])
    tell_host(host)
