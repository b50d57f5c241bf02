"""The list of certificates pages by its end date: the key is the date and the row's id.

`not_after` alone is not unique (a bulk issue ends in one second), so the key is both, as
`20270223T101500000000-17`. See `core.paging`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from django.db.models import Q

from ca.models import Certificate, CertificateQuerySet
from core.paging import SIZE, Page

_FORMAT = "%Y%m%dT%H%M%S%f"


def key_of(certificate: Certificate) -> str:
    return f"{certificate.not_after.astimezone(UTC):{_FORMAT}}-{certificate.pk}"


def _read(key: str) -> tuple[datetime, int] | None:
    moment, _, pk = key.partition("-")
    try:
        return datetime.strptime(moment, _FORMAT).replace(tzinfo=UTC), int(pk)
    except (ValueError, OverflowError):
        return None


def by_end(
    rows: CertificateQuerySet,
    parameters: Mapping[str, str],
    *,
    latest_first: bool = False,
    size: int = SIZE,
) -> Page:
    """The page that `after` or `before` asks for; a key that makes no sense is the first page."""
    after = _read(parameters.get("after", ""))
    before = None if after else _read(parameters.get("before", ""))
    key = after or before
    backwards = before is not None
    upwards = backwards == latest_first
    sign = "" if upwards else "-"
    ordered = rows.order_by(f"{sign}not_after", f"{sign}pk")
    if key:
        moment, pk = key
        side = "gt" if upwards else "lt"
        # The first condition lets the index find the place; the second is the exact one.
        ordered = ordered.filter(**{f"not_after__{side}e": moment}).filter(
            Q(**{f"not_after__{side}": moment}) | Q(not_after=moment, **{f"pk__{side}": pk})
        )
    found = list(ordered[: size + 1])
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    return Page(
        rows=found,
        next=key_of(found[-1]) if found and (more or backwards) else None,
        previous=key_of(found[0]) if found and (more if backwards else key is not None) else None,
    )
