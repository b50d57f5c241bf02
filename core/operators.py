"""Verbs on operators: who signs in to the console, with which role, in which domains.

    anna, link = add(username="anna", email="", role="helpdesk", domains=["a.test"], by=me, at=now)
    change(operator=anna, seen=stamp(anna), email="", role="auditor", domains=[], by=me, at=now)
    switch_off(operator=anna, by=me, at=now)                # her sessions end, her tokens stop
    link = let_in(operator=anna, by=me, at=now)             # she was locked out

Nobody is deleted: the log names him. A password is set by its owner alone, with a `Link`, which is
shown once. `domains` are names as DNS holds them; which there are, is for the caller to know.
"""

import hashlib
import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from core import audit, roles, setup
from core.models import OneTimeLink, Operator
from core.operator_refusals import (
    ChangedMeanwhile,
    EmailRefused,
    EmailTaken,
    LastOwner,
    OwnAccount,
    RoleUnknown,
    ScopeNeeded,
    SwitchedOff,
    UsernameRefused,
    UsernameTaken,
)

INVITATION_LIFE = timedelta(days=3)
"""Of the link for somebody who never signed in; one who was locked out has `setup.LIFE`."""

ACTIVE, INVITED, LINK_OVER, OFF = "active", "invited", "link_over", "off"


class Link(NamedTuple):
    """`path` is the secret: it is shown once and not stored."""

    path: str
    expires_at: datetime


def add(
    *,
    username: str,
    email: str = "",
    role: str,
    domains: Collection[str] = (),
    by: Operator | None,
    at: datetime,
) -> tuple[Operator, Link]:
    """An operator without a password, and the link with which he sets one.

    UsernameRefused, UsernameTaken, EmailRefused, EmailTaken, RoleUnknown, ScopeNeeded.
    """
    row = Operator(
        username=_username(username),
        email=_email(email),
        role=role,
        domains=_scope(role, domains),
    )
    row.set_unusable_password()
    try:
        with transaction.atomic():
            _check_name_free(row)
            check_email_free(row)
            row.save(force_insert=True)
            link = _new_link(row, at)
            audit.record(
                by=by,
                at=at,
                action="core.operator.added",
                subject=row.username,
                detail={**_shown(row), "link_until": link.expires_at.isoformat()},
            )
    except IntegrityError:
        raise UsernameTaken(row) from None
    return row, link


def stamp(operator: Operator) -> str:
    """What somebody who edits an operator has before him, for `change`: 16 hexadecimal digits."""
    shown = [_shown(operator), operator.is_active]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]


def change(
    *,
    operator: Operator,
    seen: str,
    email: str,
    role: str,
    domains: Collection[str] = (),
    by: Operator | None,
    at: datetime,
) -> Operator:
    """The new role counts from the next request. Changing nothing writes nothing.

    ChangedMeanwhile unless `seen` is the `stamp` of the present row; OwnAccount for another role or
    other domains of one's own; LastOwner; EmailRefused, EmailTaken, RoleUnknown, ScopeNeeded.
    """
    email, scope = _email(email), _scope(role, domains)
    with transaction.atomic():
        row, owners = _locked(operator)
        if stamp(row) != seen:
            raise ChangedMeanwhile
        before = _shown(row)
        row.email, row.role, row.domains = email, role, scope
        after = _shown(row)
        if after == before:
            return row
        if _is_own(row, by) and {**after, "email": ""} != {**before, "email": ""}:
            raise OwnAccount
        if before["role"] == roles.OWNER and role != roles.OWNER and row.is_active:
            _check_not_last(row, owners)
        if email != before["email"]:
            check_email_free(row)
        row.save(update_fields=["email", "role", "domains"])
        audit.record(
            by=by,
            at=at,
            action="core.operator.edited",
            subject=row.username,
            detail={
                "before": {name: value for name, value in before.items() if after[name] != value},
                "after": {name: value for name, value in after.items() if before[name] != value},
            },
        )
    return row


def switch_off(*, operator: Operator, by: Operator | None, at: datetime) -> Operator:
    """He cannot sign in, his sessions end, his tokens and links stop working. Twice is once.
    OwnAccount, LastOwner."""
    with transaction.atomic():
        row, owners = _locked(operator)
        if not row.is_active:
            return row
        if _is_own(row, by):
            raise OwnAccount
        if row.role == roles.OWNER:
            _check_not_last(row, owners)
        row.is_active = False
        row.save(update_fields=["is_active"])
        OneTimeLink.objects.filter(operator=row).delete()
        ended = _end_sessions(row)
        audit.record(
            by=by,
            at=at,
            action="core.operator.switched_off",
            subject=row.username,
            detail={"sessions_ended": ended},
        )
    return row


def switch_on(*, operator: Operator, by: Operator | None, at: datetime) -> Operator:
    """With the role, the password and the tokens he had. Twice is once."""
    with transaction.atomic():
        row, _owners = _locked(operator)
        if row.is_active:
            return row
        row.is_active = True
        row.save(update_fields=["is_active"])
        audit.record(
            by=by,
            at=at,
            action="core.operator.switched_on",
            subject=row.username,
            detail=_shown(row),
        )
    return row


def let_in(*, operator: Operator, by: Operator | None, at: datetime) -> Link:
    """A new link for somebody who was locked out, or whose invitation is over.

    His password, second factors and sessions are of no use any more: whoever has them may not be
    he. OwnAccount, SwitchedOff.
    """
    with transaction.atomic():
        row, _owners = _locked(operator)
        if _is_own(row, by):
            raise OwnAccount
        if not row.is_active:
            raise SwitchedOff(row)
        removed, _models = Authenticator.objects.filter(user=row).delete()
        row.set_unusable_password()
        row.save(update_fields=["password"])
        ended = _end_sessions(row)
        if removed:
            audit.record(
                by=by,
                at=at,
                action="core.operator.second_factors_reset",
                subject=row.username,
                detail={"removed": removed},
            )
        link = _new_link(row, at)
        audit.record(
            by=by,
            at=at,
            action="core.operator.link_made",
            subject=row.username,
            detail={"link_until": link.expires_at.isoformat(), "sessions_ended": ended},
        )
    return link


def forget_domain(*, name: str, by: Operator | None, at: datetime) -> int:
    """A domain is removed: it leaves every operator's scope, so that another one of that name is
    nobody's by accident. How many operators had it."""
    with transaction.atomic():
        rows = Operator.objects.select_for_update().filter(role__in=roles.IN_SCOPE).order_by("pk")
        having = [row for row in rows if name in row.domains]
        for row in having:
            before = list(row.domains)
            row.domains = [each for each in before if each != name]
            row.save(update_fields=["domains"])
            audit.record(
                by=by,
                at=at,
                action="core.operator.edited",
                subject=row.username,
                detail={
                    "before": {"domains": before},
                    "after": {"domains": row.domains},
                    "removed_domain": name,
                },
            )
    return len(having)


def listed() -> QuerySet[Operator]:
    """Everybody, with `has_second_factor` and `link_until` (None when no link waits)."""
    links = OneTimeLink.objects.filter(operator=OuterRef("pk"), used_at=None).order_by("-pk")
    factors = Authenticator.objects.filter(user=OuterRef("pk")).exclude(
        type=Authenticator.Type.RECOVERY_CODES
    )
    return Operator.objects.annotate(
        has_second_factor=Exists(factors),
        link_until=Subquery(links.values("expires_at")[:1]),
    )


def state_of(row: Operator, at: datetime) -> str:
    """ACTIVE, INVITED (a link waits), LINK_OVER (nobody can sign in with it) or OFF; for a row of
    `listed`."""
    if not row.is_active:
        return OFF
    if row.has_usable_password():
        return ACTIVE
    link_until = row.link_until  # type: ignore[attr-defined]
    return INVITED if link_until and link_until > at else LINK_OVER


def _locked(operator: Operator) -> tuple[Operator, list[Operator]]:
    """The row as it is now, and all owners, none of whom goes meanwhile: of two owners who switch
    each other off, the second is refused."""
    rows = list(
        Operator.objects.select_for_update()
        .filter(Q(pk=operator.pk) | Q(role=roles.OWNER))
        .order_by("pk")
    )
    (row,) = (each for each in rows if each.pk == operator.pk)
    return row, [each for each in rows if each.role == roles.OWNER]


def _check_not_last(row: Operator, owners: list[Operator]) -> None:
    if not any(
        each.is_active and each.has_usable_password() for each in owners if each.pk != row.pk
    ):
        raise LastOwner


def _is_own(row: Operator, by: Operator | None) -> bool:
    return by is not None and by.pk == row.pk


# One signs in with username or address, so neither may be the other of somebody else.


def _check_name_free(row: Operator) -> None:
    names = Q(username__iexact=row.username) | Q(email__iexact=row.username)
    if holder := Operator.objects.filter(names).first():
        raise UsernameTaken(holder)


def check_email_free(row: Operator) -> None:
    """EmailTaken when somebody else signs in with `row.email`."""
    addresses = Q(email__iexact=row.email) | Q(username__iexact=row.email)
    holder = Operator.objects.exclude(pk=row.pk).filter(addresses).first()
    if row.email and holder:
        raise EmailTaken(holder)


def _username(text: str) -> str:
    name = Operator.normalize_username(text.strip())
    try:
        Operator._meta.get_field("username").clean(name, None)
    except ValidationError:
        raise UsernameRefused from None
    return name


def _email(text: str) -> str:
    address = text.strip()
    try:
        if address:
            validate_email(address)
    except ValidationError:
        raise EmailRefused from None
    return address


def _scope(role: str, domains: Collection[str]) -> list[str]:
    if role not in dict(roles.CHOICES):
        raise RoleUnknown
    if role not in roles.IN_SCOPE:
        return []
    names = sorted({name.strip().lower() for name in domains if name.strip()})
    if not names:
        raise ScopeNeeded
    return names


def _shown(row: Operator) -> dict[str, object]:
    return {"email": row.email, "role": row.role, "domains": list(row.domains)}


def _new_link(row: Operator, at: datetime) -> Link:
    life = setup.LIFE if row.last_login else INVITATION_LIFE
    return Link(setup.new_link(at=at, operator=row, life=life), at + life)


def _end_sessions(row: Operator) -> int:
    sessions = list(UserSession.objects.filter(user=row))
    for session in sessions:
        session.end()
    return len(sessions)
