"""Columns as the database gives them, where Django's way to them costs more than the work itself.

    for serial, when in rows(found.values_list("serial", "revoked_at")):
        moment(when), second(when)

A list of a million entries, an OCSP answer. Everything else goes through querysets as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.models import QuerySet

CHUNK = 10_000


def rows(found: QuerySet[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a `values_list`, unconverted, without holding all of them."""
    statement, parameters = found.query.sql_with_params()
    with connections[found.db].chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        while chunk := cursor.fetchmany(CHUNK):
            yield from chunk


def moment(value: datetime | str) -> datetime:
    """A date and time: SQLite has text, in UTC."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def second(value: datetime | str) -> datetime:
    """The same in whole seconds, UTC said by nothing: as revocation lists are built from it."""
    if isinstance(value, str):
        return datetime.fromisoformat(value[:19])
    return moment(value).astimezone(UTC).replace(microsecond=0, tzinfo=None)
