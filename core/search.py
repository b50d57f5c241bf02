"""Searching by parts of words: one QuerySet method over FTS5 trigrams (SQLite) or pg_trgm.

    NAMES = TextIndex(table="ca_certificate", column="search")
    class Migration: operations = [MakeTextIndex(NAMES)]            # reversible
    class Rows(Searchable): text_index = NAMES
    rows.holding([["mail1"], ["example", "exemple"]])       # "mail1", and one of the other two

SQLite: a contentless FTS5 table beside the model's, kept by triggers. It holds which rows have a
trigram, not where (`detail=none`: a third of the size, twice as fast to fill), so what it finds is
checked with LIKE. Its row number is `place`, an SQL expression of the row that ascends in the order
people want their lists in: a page of the hits of a word that every row has costs what a page of a
rare one does, and nothing is sorted. `place` must hold the id in its lower `ID_BITS`.

A later migration in which SQLite makes the model's table anew (most alterations do) loses the
triggers: put `MakeTextIndex` behind it again. A test in `tests/core` sees it.

PostgreSQL: a GIN index with `gin_trgm_ops`; its planner decides. Sources: sqlite.org/fts5.html
sections 4.3.4 (trigram) and 4.6 (detail), PostgreSQL's manual F.33 (pg_trgm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from django.db import connections, models
from django.db.migrations.operations.base import Operation
from django.db.models import Q
from django.db.models.expressions import RawSQL

ID_BITS = 30
_ID = (1 << ID_BITS) - 1
# Above so many hits a word is common, and the list's own order finds a page sooner.
RARE = 2000
_TRIGRAM = 3
# To intersect the rows of many common trigrams costs more than LIKE on what a few leave over.
_MOST_TRIGRAMS = 4

Rows = TypeVar("Rows", bound="Searchable")


@dataclass(frozen=True)
class TextIndex:
    """Which column is searched. `place` is SQL with `{row}` for the row."""

    table: str
    column: str
    place: str = "{row}.id"

    @property
    def name(self) -> str:
        return f"{self.table}_trigrams"


class MakeTextIndex(Operation):
    """Makes the index and fills it; run again, it makes it anew."""

    reversible = True

    def __init__(self, index: TextIndex) -> None:
        self.index = index

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (self.__class__.__name__, [self.index], {})

    def state_forwards(self, app_label: str, state: Any) -> None:
        """No model knows of it."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        self.database_backwards(app_label, schema_editor, from_state, to_state)
        for statement in _MAKE[schema_editor.connection.vendor](self.index):
            schema_editor.execute(statement, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        for statement in _DROP[schema_editor.connection.vendor](self.index):
            schema_editor.execute(statement, params=None)

    def describe(self) -> str:
        return f"Trigram index over {self.index.table}.{self.index.column}"


def _make_sqlite(index: TextIndex) -> list[str]:
    name, table, column = index.name, index.table, index.column
    old, new = index.place.format(row="old"), index.place.format(row="new")
    add = f"INSERT INTO {name}(rowid, {column}) VALUES ({new}, new.{column});"  # noqa: S608
    remove = (
        f"INSERT INTO {name}({name}, rowid, {column}) "  # noqa: S608
        f"VALUES ('delete', {old}, old.{column});"
    )
    return [
        f"CREATE VIRTUAL TABLE {name} USING fts5({column}, content='', detail=none, "
        "tokenize='trigram case_sensitive 1')",
        f"CREATE TRIGGER {name}_added AFTER INSERT ON {table} BEGIN {add} END",
        f"CREATE TRIGGER {name}_removed AFTER DELETE ON {table} BEGIN {remove} END",
        f"CREATE TRIGGER {name}_changed AFTER UPDATE ON {table} "
        f"WHEN old.{column} IS NOT new.{column} OR {old} IS NOT {new} "
        f"BEGIN {remove} {add} END",
        f"INSERT INTO {name}(rowid, {column}) "  # noqa: S608 - names of our own
        f"SELECT {index.place.format(row=table)}, {column} FROM {table}",
    ]


def _drop_sqlite(index: TextIndex) -> list[str]:
    dropped = [
        f"DROP TRIGGER IF EXISTS {index.name}_{act}" for act in ("added", "removed", "changed")
    ]
    return [*dropped, f"DROP TABLE IF EXISTS {index.name}"]


def _make_postgres(index: TextIndex) -> list[str]:
    return [
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        f"CREATE INDEX {index.name} ON {index.table} USING gin ({index.column} gin_trgm_ops)",
    ]


def _drop_postgres(index: TextIndex) -> list[str]:
    # The extension stays: others may use it.
    return [f"DROP INDEX IF EXISTS {index.name}"]


_MAKE = {"sqlite": _make_sqlite, "postgresql": _make_postgres}
_DROP = {"sqlite": _drop_sqlite, "postgresql": _drop_postgres}


Groups = Sequence[Sequence[str]]


def like(index: TextIndex, groups: Groups) -> Q:
    """Rows whose text has a word of every group in it."""
    found = Q()
    for group in groups:
        one = Q()
        for word in group:
            one |= Q(**{f"{index.column}__contains": word})
        found &= one
    return found


class Searchable(models.QuerySet[Any]):
    """What to look for is groups of words: one of each group must be there, anywhere."""

    text_index: ClassVar[TextIndex]

    def holding(self: Rows, groups: Groups) -> Rows:
        """Rows that have a word of every group.

        On SQLite, words that few rows have become their ids; common ones are looked for with LIKE
        along the list's own order, which soon fills a page.
        """
        found = self.hits(groups)
        rows = self if found is None else self.filter(pk__in=found)
        return rows.filter(like(self.text_index, groups))

    def hits(self, groups: Groups) -> list[int] | None:
        """Ids that may have these words, at most `RARE`; None when there are more, or where no
        index tells at once (short words, PostgreSQL). To be checked with `like`."""
        match = _match(groups)
        if not match or connections[self.db].vendor != "sqlite":
            return None
        name = self.text_index.name
        with connections[self.db].cursor() as cursor:
            cursor.execute(
                f"SELECT rowid FROM {name} WHERE {name} MATCH %s LIMIT {RARE + 1}",  # noqa: S608
                [match],
            )
            found = [row[0] & _ID for row in cursor.fetchall()]
        return found if len(found) <= RARE else None

    def by_place(self: Rows, groups: Groups) -> Rows:
        """`holding`, to be read in the order of the annotation `place`.

        Nothing is sorted, and a page is read off the index. Where no index has that order (short
        words, PostgreSQL) there is no such annotation.
        """
        match = _match(groups)
        rows = self.filter(like(self.text_index, groups))
        if not match or connections[self.db].vendor != "sqlite":
            return rows
        name, table = self.text_index.name, self.text_index.table
        rows = rows.extra(  # noqa: S610 - names of our own
            tables=[name],
            where=[f"{name} MATCH %s", f"{table}.id = ({name}.rowid & {_ID})"],
            params=[match],
        )
        place = RawSQL(f"{name}.rowid", [], output_field=models.BigIntegerField())  # noqa: S611
        return rows.alias(place=place)


def is_indexed(group: Sequence[str]) -> bool:
    """Whether the index tells which rows have one of these words: a short word is in no trigram."""
    return bool(group) and min(map(len, group)) >= _TRIGRAM


def _match(groups: Groups) -> str:
    """FTS5's expression; a group with a word too short for the index is left to LIKE."""
    able = [group for group in groups if is_indexed(group)]
    return " AND ".join(
        "(" + " OR ".join(f"({_trigrams(word)})" for word in group) + ")" for group in able
    )


def _trigrams(word: str) -> str:
    """`"mai" AND "ail"`: rows that may hold `word`. A few of its trigrams: those with digits, in
    which machines' names differ, then the first ones, since domains stand at the end."""
    places = range(len(word) - _TRIGRAM + 1)
    grams = list(dict.fromkeys(word[place : place + _TRIGRAM] for place in places))
    grams.sort(key=lambda gram: not any(letter.isdigit() for letter in gram))
    quoted = ('"' + gram.replace('"', '""') + '"' for gram in grams[:_MOST_TRIGRAMS])
    return " AND ".join(quoted)
