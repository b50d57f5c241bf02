"""What is due, with its reasons and what can be done: the rows behind the page "Due".

    page = page_of(request.GET, at=now)       # `core.paging.Page` of Due, the soonest first
    authorities(at=now)                       # list of DueAuthority
    count(at=now)                             # for the tab: at most MOST_COUNTED + 1

The rules are `ca.lifetimes`'; the database only narrows down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import DurationField, ExpressionWrapper, F, Q, Value

from ca import lifetimes, lists
from ca.models import Certificate, CertificateQuerySet, Issuer, Order
from core.paging import Page

MOST_COUNTED = 99


@dataclass(frozen=True)
class Due:
    """`way`: who made the key, "" for what was signed elsewhere. `replacement`: the valid
    certificate that takes its place; `order`: the open order for one."""

    certificate: Certificate
    reasons: tuple[str, ...]
    days: int
    way: str
    replacement: Certificate | None
    order: Order | None


@dataclass(frozen=True)
class DueAuthority:
    issuer: Issuer
    reasons: tuple[str, ...]
    days: int


def revoked_issuers(at: datetime) -> set[int]:
    """Issuers nobody believes: their certificate, or one above it, is revoked or on hold."""
    issuers = {each.pk: each for each in Issuer.objects.select_related("certificate")}
    bad = (Certificate.REVOKED, Certificate.HELD)
    found: set[int] = set()
    for pk in issuers:
        seen: set[int] = set()
        above: int | None = pk
        while above is not None and above not in seen:
            seen.add(above)
            issuer = issuers[above]
            if issuer.certificate is not None and issuer.certificate.state in bad:
                found.add(pk)
                break
            above = issuer.parent_id
    return found


def certificates(
    at: datetime,
    *,
    revoked: set[int] | None = None,
    ahead: timedelta = timedelta(),
    only: Q | None = None,
) -> CertificateQuerySet:
    """Valid certificates that are due, as `lifetimes.why` has it, or will be `ahead` from now.

    `only`: a cheap condition that is looked at first: SQLite calls Python for spans of time.
    """
    then = at + ahead

    def span(expression: object) -> ExpressionWrapper:
        return ExpressionWrapper(expression, output_field=DurationField())  # type: ignore[arg-type]

    # A third of the life is left when twice what is left is no more than what is spent.
    last_third = Certificate.objects.filter(only or Q()).alias(
        left=span(F("not_after") - Value(then)), spent=span(Value(then) - F("not_before"))
    )
    wanted = Q(not_after__lte=then + lifetimes.MOST, spent__gte=F("left") + F("left"))
    bad = revoked_issuers(at) if revoked is None else revoked
    if bad:
        wanted |= Q(issuer__in=bad)
    return last_third.valid(at).leaves().filter(wanted, not_before__lte=at)


def page_of(parameters: Mapping[str, str], *, at: datetime) -> Page:
    bad = revoked_issuers(at)
    rows = certificates(at, revoked=bad).select_related("issuer__certificate")
    page = lists.by_end(rows, parameters)
    return replace(page, rows=describe(page.rows, at=at, revoked=bad))


def describe(rows: Sequence[Certificate], *, at: datetime, revoked: set[int]) -> list[Due]:
    """What is to be said of each; two queries for all of them."""
    newer = replacements(rows, at=at)
    known = Order.objects.filter(Q(renews__in=rows) | Q(certificate__in=rows)).order_by()
    orders = {each.renews_id: each for each in known if not each.is_final}
    ways = {each.certificate_id: each.way for each in known if each.certificate_id}
    found = []
    for row in rows:
        issuer = row.issuer
        leaf = lifetimes.Leaf(
            not_before=row.not_before,
            not_after=row.not_after,
            issuer_end=issuer.certificate.not_after if issuer.certificate else None,
            issuer_is_revoked=issuer.pk in revoked,
            issuer_is_retired=issuer.retired_at is not None,
            has_successor=issuer.successor_id is not None,
            renewed=row.pk in newer,
        )
        found.append(
            Due(
                certificate=row,
                reasons=lifetimes.why(leaf, at=at),
                days=(row.not_after - at).days,
                way=ways.get(row.pk, ""),
                replacement=newer.get(row.pk),
                order=orders.get(row.pk),
            )
        )
    return found


def replacements(rows: Sequence[Certificate], *, at: datetime) -> dict[int | None, Certificate]:
    """The newest valid certificate in the place of each that has one.

    What is valid is looked at here: the database would begin with all that are.
    """
    renewals = Certificate.objects.filter(renews__in=rows).order_by()
    found = sorted(renewals, key=lambda each: each.pk)
    return {each.renews_id: each for each in found if each.is_valid(at)}


def authorities(at: datetime) -> list[DueAuthority]:
    """Issuers that want their owner: their own end, or a list that only a passphrase renews."""
    rows = Issuer.objects.select_related("certificate", "revocation_list")
    found = []
    for issuer in rows:
        certificate = issuer.certificate
        if certificate is None or certificate.state != Certificate.VALID:
            continue
        listed = getattr(issuer, "revocation_list", None)
        if issuer.key_kept != Issuer.UNDER_PASSPHRASE:
            listed = None
        authority = lifetimes.Authority(
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            is_root=issuer.is_root,
            is_retired=issuer.retired_at is not None or issuer.successor_id is not None,
            list_from=listed.renew_at if listed else None,
            list_is_behind=bool(listed and listed.stale_at),
        )
        reasons = lifetimes.why_authority(authority, at=at)
        if reasons:
            days = max(0, (certificate.not_after - at).days)
            found.append(DueAuthority(issuer, reasons, days))
    return sorted(found, key=lambda each: each.days)


def count(at: datetime) -> int:
    """How many are due, up to MOST_COUNTED + 1."""
    rows = certificates(at).order_by("not_after", "pk").values_list("pk", flat=True)
    return min(len(rows[: MOST_COUNTED + 1]) + len(authorities(at)), MOST_COUNTED + 1)
