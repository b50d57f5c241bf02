"""The trigram index: what it finds is what LIKE finds, whatever happens to a row."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Mailbox
from ca.models import Certificate
from core import search

pytestmark = pytest.mark.django_db
INDEXED = (Certificate, Mailbox)


@pytest.mark.parametrize("model", INDEXED)
def test_every_migration_left_the_index_and_its_triggers(model) -> None:  # type: ignore[no-untyped-def]
    """Fails when a later migration made the table anew: put `MakeTextIndex` behind it again."""
    index = model.objects.all().text_index
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE %s", [f"{index.name}%"])
            found = {name for (name,) in cursor.fetchall()}
            wanted = {
                index.name,
                *(f"{index.name}_{act}" for act in ("added", "removed", "changed")),
            }
        else:
            cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [index.table])
            found, wanted = {name for (name,) in cursor.fetchall()}, {index.name}
    assert wanted <= found
    assert model._meta.db_table == index.table


def test_operators_and_quotes_are_letters() -> None:
    for word in (
        '"',
        '""" OR "',
        "a* AND b",
        "NEAR(",
        "'; DROP",
        "%%%",
        "___",
        "\\\\\\",
        "-abc",
        "^a:b",
    ):
        assert not Certificate.objects.holding([[word]]).exists(), word
        assert not Mailbox.objects.search(word).exists(), word


def test_the_expression() -> None:
    assert search._match([["mail"], ["abc", 'x"yz']]) == (
        '(("mai" AND "ail")) AND (("abc") OR ("x""y" AND """yz"))'
    )
    assert search._match([["host12.example.test"]]).count("AND") == 3, "digits first, and a few"
    assert '"t12"' in search._match([["host12.example.test"]])
    assert search._match([["ab"]]) == "", "too short for the index: LIKE"
    assert search._match([["abc", "ab"]]) == "", "one of a group is too short: the group is LIKE's"


@pytest.fixture
def made(db):  # type: ignore[no-untyped-def]
    """The mailboxes whose texts are given."""
    from accounts.models import Domain

    def make(*texts: str) -> list[Mailbox]:
        now = timezone.now()
        domain, _new = Domain.objects.get_or_create(
            name="example.test", defaults={"created_at": now}
        )
        return [
            Mailbox.objects.create(
                domain=domain,
                local_part=f"m{number}",
                address=f"m{number}@example.test",
                password="x",
                password_set_at=now,
                state_since=now - timedelta(days=1),
                created_at=now,
                search_text=text,
            )
            for number, text in enumerate(texts)
        ]

    return make


def test_the_index_follows_the_rows(made) -> None:  # type: ignore[no-untyped-def]
    first, second = made("anna schmidt", "berta schulz")
    assert list(Mailbox.objects.search("schmidt")) == [first]
    Mailbox.objects.filter(pk=first.pk).update(search_text="anna maier")
    assert not Mailbox.objects.search("schmidt").exists()
    assert list(Mailbox.objects.search("maier anna")) == [first]
    Mailbox.objects.filter(pk=first.pk).update(state_reason="maier")
    assert Mailbox.objects.search("maier").count() == 1, "another column changes nothing"
    first.delete()
    assert not Mailbox.objects.search("maier").exists()
    assert list(Mailbox.objects.search("SCH")) == [second]


def test_trigrams_that_are_there_in_another_order_are_no_hit(made) -> None:  # type: ignore[no-untyped-def]
    _mixed, right = made("abcde xbcdef", "abcdef")
    assert list(Mailbox.objects.search("abcdef")) == [right]


@pytest.mark.parametrize("rare", [1, 2000])
def test_common_words_and_rare_ones(rare: int, made, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(search, "RARE", rare)
    rows = made("王小明 taipei", "李小明 taipei", "chen taipei")
    for text, found in (
        ("taipei", 3),
        ("小明", 2),
        ("王小明", 1),
        ("王小明 chen", 0),
        ("tai i", 3),
    ):
        assert Mailbox.objects.search(text).count() == found, text
    assert [row.pk for row in Mailbox.objects.search("taipei").order_by("-pk")] == [
        row.pk for row in reversed(rows)
    ]
