"""The list of certificates: what is asked for, and pages and chunks of it.

    asked = Asked(q="mail1", state="valid", order="latest")
    page = page_of(asked, request.GET, at=now)         # `core.paging.Page`
    for rows in chunks(asked, at=now): …               # all of it, for a download

Pages go by key, and nothing is counted. The key is the end and the row's id: `not_after` alone is
not unique (a bulk issue ends in one second), so it is `20270223T101500000000-17`; for the newest
first it is the id. Rules for 1M certificates on SQLite, whose planner knows no statistics here:

- one filter: its index ends in `not_after, id` and gives the rows in order;
- several filters, or the newest first: when one of them leaves at most `RARE` rows, their ids are
  taken first; when none does, the list's own order soon fills a page;
- a common word: the search index itself is in the order of the end (`Certificate.matching`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Coalesce

from ca.models import Certificate, CertificateQuerySet
from ca.models.certificates import place_of
from core.paging import SIZE, Page
from core.search import RARE

SOONEST, LATEST, NEWEST = "", "latest", "newest"
ENDING = "ending"
SOON_DAYS = 30
CHUNK = 1000
_FORMAT = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class Asked:
    """What the URL or a call asks for. `state`: as `in_state`, or "ending" for valid ones that end
    within `days`. `since` and `until`: the first and the last day (UTC) of the end."""

    q: str = ""
    state: str = ""
    days: int | None = None
    issuer: int | None = None
    profile: str = ""
    since: date | None = None
    until: date | None = None
    batch: int | None = None
    order: str = SOONEST

    @property
    def is_filtered(self) -> bool:
        return replace(self, order=SOONEST, days=None) != Asked()


def key_of(certificate: Certificate) -> str:
    return f"{certificate.not_after.astimezone(UTC):{_FORMAT}}-{certificate.pk}"


def _read(key: str) -> tuple[datetime, int] | None:
    moment, _, pk = key.partition("-")
    try:
        found = datetime.strptime(moment, _FORMAT).replace(tzinfo=UTC), int(pk)
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found[1] < 1 << 62 else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _conditions(asked: Asked, at: datetime) -> list[Q]:
    """Each filter alone. The states are those of `CertificateQuerySet.in_state`."""
    found: list[Q] = []
    if asked.state == ENDING:
        end = at + timedelta(days=SOON_DAYS if asked.days is None else asked.days)
        found.append(Q(state=Certificate.VALID, not_after__gt=at, not_after__lte=end))
    elif asked.state == Certificate.EXPIRED:
        found.append(Q(not_after__lte=at) & ~Q(state=Certificate.REVOKED))
    elif asked.state == Certificate.REVOKED:
        found.append(Q(state=asked.state))
    elif asked.state:
        found.append(Q(state=asked.state, not_after__gt=at))
    if asked.issuer is not None:
        found.append(Q(issuer=asked.issuer))
    if asked.batch is not None:
        found.append(Q(batch=asked.batch))
    if asked.profile:
        found.append(Q(profile=asked.profile))
    if asked.since or asked.until:
        ends = Q()
        if asked.since:
            ends &= Q(not_after__gte=_midnight(asked.since))
        if asked.until and asked.until < date.max:
            ends &= Q(not_after__lt=_midnight(asked.until + timedelta(days=1)))
        found.append(ends)
    return found


def rows_of(asked: Asked, *, at: datetime) -> CertificateQuerySet:
    """The rows asked for, without an order."""
    rows = Certificate.objects.all()
    conditions = _conditions(asked, at)
    by_end = asked.order != NEWEST
    few = None
    if connection.vendor == "sqlite" and (len(conditions) + bool(asked.q) > 1 or not by_end):
        few = next((ids for ids in map(_few, conditions) if ids is not None), None)
    if few is not None:
        # Whatever else is asked is looked at on these rows; no other index shall lead.
        rows = rows.filter(pk__in=few)
    elif not by_end:
        same = {f"same_{name}": Coalesce(name, name) for name in _FILTERED}
        rows = rows.alias(**same)
        conditions = [_without_index(each) for each in conditions]
    for each in conditions:
        rows = rows.filter(each)
    if not asked.profile:
        rows = rows.leaves()
    if asked.q:
        rows = rows.matching(asked.q, by_end=by_end and few is None)
    return rows


_FILTERED = ("state", "not_after", "issuer", "batch", "profile")


def _without_index(condition: Q) -> Q:
    """The same of columns that no index has: the rows are walked in the list's own order."""
    found = Q(_connector=condition.connector, _negated=condition.negated)
    found.children = [
        _without_index(each) if isinstance(each, Q) else (f"same_{each[0]}", each[1])  # type: ignore[index]
        for each in condition.children
    ]
    return found


def _few(condition: Q) -> list[int] | None:
    """The ids, when there are few of them."""
    rows = Certificate.objects.filter(condition).order_by().values_list("pk", flat=True)
    found = list(rows[: RARE + 1])
    return found if len(found) <= RARE else None


def page_of(asked: Asked, parameters: Mapping[str, str], *, at: datetime, size: int = SIZE) -> Page:
    """The page that `after` or `before` asks for; a key that makes no sense is the first page."""
    return page(rows_of(asked, at=at), parameters, order=asked.order, size=size)


def by_end(
    rows: CertificateQuerySet,
    parameters: Mapping[str, str],
    *,
    latest_first: bool = False,
    size: int = SIZE,
) -> Page:
    return page(rows, parameters, order=LATEST if latest_first else SOONEST, size=size)


def page(
    rows: CertificateQuerySet, parameters: Mapping[str, str], *, order: str, size: int = SIZE
) -> Page:
    after = _read(parameters.get("after", ""))
    before = None if after else _read(parameters.get("before", ""))
    key = after or before
    backwards = before is not None
    upwards = backwards == (order != SOONEST)
    found = list(_following(rows, key, order=order, upwards=upwards)[: size + 1])
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    return Page(
        rows=found,
        next=key_of(found[-1]) if found and (more or backwards) else None,
        previous=key_of(found[0]) if found and (more if backwards else key is not None) else None,
    )


def _following(
    rows: CertificateQuerySet, key: tuple[datetime, int] | None, *, order: str, upwards: bool
) -> CertificateQuerySet:
    """The rows behind the key, in the direction asked for."""
    sign, side = ("", "gt") if upwards else ("-", "lt")
    if order == NEWEST:
        ordered = rows.order_by(f"{sign}pk")
        return ordered.filter(**{f"pk__{side}": key[1]}) if key else ordered
    if rows.is_by_place:
        ordered = rows.order_by(f"{sign}place")
        return ordered.filter(**{f"place__{side}": place_of(*key)}) if key else ordered
    ordered = rows.order_by(f"{sign}not_after", f"{sign}pk")
    if not key:
        return ordered
    moment, pk = key
    # The first condition lets the index find the place; the second is the exact one.
    return ordered.filter(**{f"not_after__{side}e": moment}).filter(
        Q(**{f"not_after__{side}": moment}) | Q(not_after=moment, **{f"pk__{side}": pk})
    )


def chunks(asked: Asked, *, at: datetime, size: int = CHUNK) -> Iterator[list[Certificate]]:
    """All rows, `size` at a time and none of them twice; no query outlives its chunk."""
    rows = rows_of(asked, at=at).defer("pem", "search")
    following: str | None = ""
    while following is not None:
        found = page(rows, {"after": following}, order=asked.order, size=size)
        if found.rows:
            yield found.rows
        following = found.next
