"""Rollover: a new issuing authority takes over, and the one before retires.

    ceremony = request_successor(issuer=old, wish=wish, passphrase="…", by=me, at=now)
    retire(issuer=old, by=me, at=now)         # it signs no certificate any more
    reinstate(issuer=old, by=me, at=now)      # undone, while it has not ended

Between the two verbs both can sign, and new orders offer the successor first. A retired authority
still signs its revocation lists, and what it signed stays valid until it ends.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca.authorities import request_issuing
from ca.models import Ceremony, Issuer
from ca.rehearsal import NotMade
from ca.wishes import Wish
from core import audit
from core.models import Operator


class NotRetirable(NotMade):
    """The authority's state does not allow it."""

    status = 409


def parent_of(issuer: Issuer) -> Issuer:
    """Who is to sign the successor, or a refusal."""
    if issuer.is_root or issuer.certificate is None or issuer.parent is None:
        raise NotRetirable("successor_root", name=issuer.name)
    if issuer.successor is not None:
        raise NotRetirable("successor_there", name=issuer.name, successor=issuer.successor.name)
    return issuer.parent


def next_name(issuer: Issuer) -> str:
    """The name with its number one higher: "Example Issuing CA" → "Example Issuing CA 2"."""
    words, _space, number = issuer.name.rpartition(" ")
    if words and number.isascii() and number.isdigit() and len(number) < 6:
        return f"{words} {int(number) + 1}"
    return f"{issuer.name} 2"


@sensitive_variables("passphrase")
def request_successor(
    *,
    issuer: Issuer,
    wish: Wish,
    unconstrained: bool = False,
    passphrase: str = "",
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask for an authority under the same parent that will take the place of `issuer`."""
    return request_issuing(
        under=parent_of(issuer),
        wish=replace(wish, replaces=issuer.pk),
        unconstrained=unconstrained,
        passphrase=passphrase,
        by=by,
        at=at,
    )


def retire(*, issuer: Issuer, by: Operator | None, at: datetime) -> None:
    """From now on it signs no certificate; its lists it still signs."""
    if issuer.is_root or issuer.key_kept not in Issuer.AT_HAND or issuer.certificate is None:
        raise NotRetirable("retire_root", name=issuer.name)
    with transaction.atomic():
        moved = Issuer.objects.filter(pk=issuer.pk, retired_at=None).update(retired_at=at)
        issuer.refresh_from_db()
        if not moved:
            raise NotRetirable("retired_already", name=issuer.name)
        _record("ca.authority.retired", issuer, by, at)


def reinstate(*, issuer: Issuer, by: Operator | None, at: datetime) -> None:
    """It signs again: the undoing of `retire`, while its certificate is valid."""
    if issuer.certificate is None or not issuer.certificate.is_valid(at):
        raise NotRetirable("reinstate_ended", name=issuer.name)
    with transaction.atomic():
        moved = Issuer.objects.filter(pk=issuer.pk, retired_at__isnull=False).update(
            retired_at=None
        )
        issuer.refresh_from_db()
        if not moved:
            raise NotRetirable("not_retired", name=issuer.name)
        _record("ca.authority.reinstated", issuer, by, at)


def _record(action: str, issuer: Issuer, by: Operator | None, at: datetime) -> None:
    audit.record(
        by=by,
        at=at,
        action=action,
        subject=issuer.name,
        detail={"successor": issuer.successor.name if issuer.successor else None},
    )
