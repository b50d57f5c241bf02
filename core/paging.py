"""Lists page by key, not by offset: the last page costs what the first does.

    page = page_of(AuditEvent.objects.all(), request.GET)
    {% for event in page %} … {% endfor %} {% include "_pager.html" %}

`?after=<key>` is the page of rows that follow the key in the list's order, `?before=<key>` the page
that ends right before it. `order` is a unique field, with `-` for newest first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

SIZE = 50


@dataclass(frozen=True)
class Page:
    """`next` and `previous` are the keys for the links, or None."""

    rows: list[Any]
    next: Any
    previous: Any

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def page_of(
    rows: "models.QuerySet[Any]",
    parameters: Mapping[str, str],
    *,
    order: str = "-pk",
    size: int = SIZE,
) -> Page:
    """The page that `parameters` asks for; a key that makes no sense shows the first page."""
    field = order.lstrip("-")
    descending = order.startswith("-")
    backwards = bool(parameters.get("before")) and not parameters.get("after")
    key = parameters.get("before") if backwards else parameters.get("after")
    upwards = descending == backwards  # towards greater keys?
    ordered = rows.order_by(field if upwards else f"-{field}")
    if key:
        try:
            ordered = ordered.filter(**{f"{field}__{'gt' if upwards else 'lt'}": key})
        except (ValueError, ValidationError):
            return page_of(rows, {}, order=order, size=size)
    found = list(ordered[: size + 1])
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    name = "pk" if field in {"pk", "id"} else field
    first = getattr(found[0], name) if found else None
    last = getattr(found[-1], name) if found else None
    return Page(
        rows=found,
        next=last if (more or backwards) else None,
        previous=first if (more if backwards else bool(key)) else None,
    )
