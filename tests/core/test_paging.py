"""Pages by key: every row once, forwards and backwards, in orders by one field and by several."""

import datetime
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Domain, Mailbox
from core.paging import Order, key_of, page_of

AT = datetime.datetime(2026, 11, 20, 9, 0, tzinfo=datetime.UTC)
TWINS, NEVER = 5, 4
BY_USE: list[Order] = [("last_used_at", "pk"), ("-last_used_at", "-pk")]
# Another direction for the second field, as the flags have it.
ORDERS: list[Order] = ["address", "-pk", *BY_USE, ("-last_used_at", "pk"), ("quota_mb", "-pk")]


@pytest.fixture
def rows(db: None) -> None:
    """Fifteen mailboxes: four never used, five at the same moment, two within one second."""
    domain = Domain.objects.create(name="example.test", created_at=AT)
    uses: list[datetime.datetime | None] = [None] * NEVER + [AT] * TWINS
    uses += [AT + datetime.timedelta(microseconds=n) for n in (1, 2)]
    uses += [AT + datetime.timedelta(days=n) for n in (-3, -2, 2, 3)]
    Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain, local_part=f"m{n * 7 % 15}", address=f"m{n * 7 % 15}@example.test",
            last_used_at=used, quota_mb=[None, 5, 100][n % 3], password="x", password_set_at=AT,
            state_since=AT, created_at=AT,
        )
        for n, used in enumerate(uses)
    )  # fmt: skip


def expected(order: Order) -> list[int]:
    """Sorted by Python: None is the least."""
    found = list(Mailbox.objects.all())
    for each in reversed([order] if isinstance(order, str) else list(order)):
        name = each.lstrip("-")

        def value(row: Any, name: str = name) -> Any:
            given = getattr(row, name)
            return (given is not None, given)

        found.sort(key=value, reverse=each.startswith("-"))
    return [row.pk for row in found]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("size", [1, 2, 4, 5, 7, 14, 15, 16])
def test_every_row_once_forwards_and_back(rows: None, order: Order, size: int) -> None:
    pages = [page_of(Mailbox.objects.all(), {}, order=order, size=size)]
    while pages[-1].next is not None:
        given = {"after": str(pages[-1].next)}
        pages.append(page_of(Mailbox.objects.all(), given, order=order, size=size))
    assert [row.pk for page in pages for row in page] == expected(order)
    assert all(len(page) == size for page in pages[:-1])
    assert pages[0].previous is None
    for earlier, later in pairwise(pages):
        back = page_of(
            Mailbox.objects.all(), {"before": str(later.previous)}, order=order, size=size
        )
        assert back.rows == earlier.rows
        assert (back.previous is None) == (earlier is pages[0])


@pytest.mark.parametrize("order", BY_USE, ids=str)
def test_a_page_goes_on_where_the_row_of_its_key_was(rows: None, order: Order) -> None:
    """The row may be gone, or used again, meanwhile."""
    whole = expected(order)
    for place in range(len(whole)):
        key = key_of(Mailbox.objects.get(pk=whole[place]), order)
        page = page_of(Mailbox.objects.exclude(pk=whole[place]), {"after": key}, order=order)
        assert [row.pk for row in page] == whole[place + 1 :]
        page = page_of(Mailbox.objects.exclude(pk=whole[place]), {"before": key}, order=order)
        assert [row.pk for row in page] == whole[:place]


@pytest.mark.parametrize(
    "key", ["x", "~", "~x", "17", "20261120T090000000000", "2026-11-20~3", "1~2~3", "\0~1", "~1\0"]
)
@pytest.mark.parametrize("name", ["after", "before"])
def test_a_key_without_sense_is_the_first_page(rows: None, key: str, name: str) -> None:
    page = page_of(Mailbox.objects.all(), {name: key}, order=("last_used_at", "pk"), size=3)
    assert [row.pk for row in page] == expected(("last_used_at", "pk"))[:3]
    assert page.previous is None


@pytest.mark.parametrize("key", ["9" * 40, "-1", "\0", "x"])
@pytest.mark.parametrize("order", ["pk", "address", ("-quota_mb", "pk")], ids=str)
def test_no_key_breaks_a_list(rows: None, key: str, order: Order) -> None:
    for name in ("after", "before"):
        page_of(Mailbox.objects.all(), {name: key}, order=order)
        page_of(Mailbox.objects.all(), {name: f"{key}~{key}"}, order=order)


@pytest.mark.parametrize("order", BY_USE, ids=str)
@pytest.mark.parametrize("given", ["", "after", "before"])
def test_no_page_by_last_use_is_sorted(rows: None, order: Order, given: str) -> None:
    """Every query of it reads an index in its order: 100k mailboxes cost what fifteen do."""
    key = key_of(Mailbox.objects.get(pk=expected(order)[8]), order)
    with CaptureQueriesContext(connection) as seen:
        page_of(Mailbox.objects.all(), {given: key} if given else {}, order=order, size=50)
    assert 1 <= len(seen) <= 3
    if connection.vendor != "sqlite":
        return  # PostgreSQL sorts so few rather than open an index
    with connection.cursor() as cursor:
        for query in seen:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " ".join(str(row[3]) for row in cursor.fetchall())
            assert "mailbox_last_used" in plan and "TEMP B-TREE" not in plan, plan
