"""Verbs on domains: create, put on a host, remove.

Every domain takes mail for postmaster@ and abuse@ (RFC 5321 4.5.1, RFC 2142), with or without a
mailbox or an alias of that name, so the two are nowhere stored and cannot be deleted.
"""

import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import addresses
from accounts.models import Alias, Change, ChangeKind, Domain, Mailbox
from accounts.refusals import DomainRefused
from accounts.tell import ask_for_host, tell_host
from core import audit
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


def create(
    *, name: str, host: str = "", note: str = "", by: Operator | None, at: datetime.datetime
) -> Domain:
    """`host` is a host's uuid, or empty until `assign_host`. DomainRefused, DomainTaken."""
    try:
        ascii_name = addresses.domain_name(name)
    except addresses.NotAnAddress as refused:
        raise DomainRefused(refused.reasons) from None
    try:
        with transaction.atomic():
            domain = Domain.objects.create(name=ascii_name, host=host, note=note, created_at=at)
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


def assign_host(*, domain: Domain, host: str, by: Operator | None, at: datetime.datetime) -> None:
    """Put a domain, with everything in it, on a host. On the one it is on already: nothing."""
    with transaction.atomic():
        row = Domain.objects.select_for_update().get(pk=domain.pk)
        before = row.host
        if before != host:
            Domain.objects.filter(pk=row.pk).update(host=host)
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
        inside = (
            Mailbox.objects.filter(domain=row).count() + Alias.objects.filter(domain=row).count()
        )
        if inside:
            raise DomainNotEmpty(row.name, inside)
        row.delete()
        audit.record(by=by, at=at, action="accounts.domain.removed", subject=row.name)
        _append(row.name, row.host, ChangeKind.REMOVE_DOMAIN, at)


def _append(name: str, host: str, kind: Any, at: datetime.datetime) -> None:
    Change.objects.all().append([Change(at=at, host=host, kind=kind, subject=name)])
    tell_host(host)
