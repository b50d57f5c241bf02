"""Lists page by key, not by offset: the last page costs what the first does.

    page = page_of(AuditEvent.objects.all(), request.GET)
    {% for event in page %} … {% endfor %} {% include "_pager.html" %}

`?after=<key>` is the page of rows that follow the key in the list's order, `?before=<key>` the page
that ends right before it. `order` is a unique field, with `-` for the greatest first; or several
fields of which the last is unique, such as ("-last_used_at", "-pk"), with an index that begins with
them. The key of several is their values between `~`: `20260223T101500000000~17`, `~17` for none.
A row without a value comes before all that have one, whatever the database thinks of NULL.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

SIZE = 50
Order = str | Sequence[str]
_MOMENT = "%Y%m%dT%H%M%S%f"


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
    order: Order = "-pk",
    size: int = SIZE,
) -> Page:
    """The page that `parameters` asks for; a key that makes no sense shows the first page."""
    fields = [order] if isinstance(order, str) else list(order)
    backwards = bool(parameters.get("before")) and not parameters.get("after")
    text = parameters.get("before") if backwards else parameters.get("after")
    key: list[Any] = []
    if text:
        try:
            key = _read(rows.model, fields, text)
        except (ValueError, ValidationError):
            return page_of(rows, {}, order=order, size=size)
    found: list[Any] = []
    walked = [_turned(each) for each in fields] if backwards else fields
    for stretch in _stretches(rows.order_by(*walked), walked, key):
        found += stretch[: size + 1 - len(found)]
        if len(found) > size:
            break
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    first = key_of(found[0], order) if found else None
    last = key_of(found[-1], order) if found else None
    return Page(
        rows=found,
        next=last if (more or backwards) else None,
        previous=first if (more if backwards else bool(key)) else None,
    )


def key_of(row: models.Model, order: Order) -> Any:
    """A row's key; of an order by one field its value."""
    if isinstance(order, str):
        return getattr(row, order.lstrip("-"))
    return "~".join(_said(getattr(row, each.lstrip("-"))) for each in order)


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):{_MOMENT}}"
    return "" if value is None else str(value)


def _read(model: type[models.Model], fields: Sequence[str], text: str) -> list[Any]:
    parts = text.split("~", len(fields) - 1)
    if len(parts) != len(fields) or "\0" in text:
        raise ValueError(text)
    return [_value(_field(model, each), part) for each, part in zip(fields, parts, strict=True)]


def _value(field: Any, text: str) -> Any:
    if not text and field.null:
        return None
    if isinstance(field, models.DateTimeField):
        return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
    return field.to_python(text)


def _field(model: type[models.Model], order: str) -> Any:
    name = order.lstrip("-")
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def _turned(order: str) -> str:
    return order[1:] if order.startswith("-") else f"-{order}"


def _stretches(
    rows: "models.QuerySet[Any]", fields: Sequence[str], key: Sequence[Any]
) -> Iterator["models.QuerySet[Any]"]:
    """What follows the key, one piece after the other.

    Each piece is a single range of an index over the fields, on every database: an OR of them is
    not, and where an index keeps NULL is each database's own opinion.
    """
    first, *others = fields
    name, upwards = first.lstrip("-"), not first.startswith("-")
    if key and others:
        yield from _stretches(rows.filter(**{name: key[0]}), others, key[1:])
    nullable, at_null = _field(rows.model, first).null, bool(key) and key[0] is None
    if key and not at_null:
        having = rows.filter(**{f"{name}__{'gt' if upwards else 'lt'}": key[0]})
    elif nullable:
        having = rows.filter(**{f"{name}__isnull": False})
    else:
        having = rows
    if nullable and upwards and not key:
        yield rows.filter(**{f"{name}__isnull": True})
    if upwards or not at_null:
        yield having
    if nullable and not upwards and not at_null:
        yield rows.filter(**{f"{name}__isnull": True})
