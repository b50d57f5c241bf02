"""When something is due, at the boundaries."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ca import lifetimes
from ca.lifetimes import Authority, Leaf

END = datetime(2027, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def days(number: float) -> timedelta:
    return timedelta(days=number)


def leaf(life: float = 90, **changed: object) -> Leaf:
    made = Leaf(END - days(life), END, issuer_end=END + days(1000))
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("life", "left"), [(90, 30), (60, 20), (6, 2), (91, 30), (825, 30), (7305, 30)]
)
def test_a_third_of_the_life_but_no_more_than_thirty_days(life: float, left: float) -> None:
    asked = leaf(life)
    assert lifetimes.renew_from(asked.not_before, asked.not_after) == END - days(left)
    assert lifetimes.why(asked, at=END - days(left) - SECOND) == ()
    assert lifetimes.why(asked, at=END - days(left)) == ("ends",)
    assert lifetimes.why(asked, at=END - SECOND) == ("ends",)
    assert lifetimes.why(asked, at=END) == (), "what has ended cannot be renewed in time"


def test_before_it_begins_nothing_is_due() -> None:
    assert lifetimes.why(leaf(issuer_is_revoked=True), at=END - days(90) - SECOND) == ()


def test_a_revoked_issuer_is_the_whole_story_at_any_time() -> None:
    asked = leaf(issuer_is_revoked=True, issuer_is_retired=True)
    assert lifetimes.why(asked, at=END - days(80)) == ("issuer_revoked",)


def test_renewed_is_said_until_the_old_one_is_superseded() -> None:
    asked = leaf(renewed=True, issuer_is_retired=True)
    assert lifetimes.why(asked, at=END - days(31)) == ()
    assert lifetimes.why(asked, at=END - days(10)) == ("renewed",)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, ("ends",)),
        ({"issuer_is_retired": True, "has_successor": True}, ("ends", "issuer_retired")),
        ({"issuer_is_retired": True}, ("ends", "no_successor")),
        ({"issuer_end": END}, ("ends", "issuer_ends")),
        ({"issuer_end": END + days(1) - SECOND}, ("ends", "issuer_ends")),
        ({"issuer_end": END + days(1)}, ("ends",)),
        ({"issuer_end": None}, ("ends",)),
    ],
)
def test_what_stands_in_the_way_is_named(changed, found) -> None:  # type: ignore[no-untyped-def]
    assert lifetimes.why(leaf(**changed), at=END - days(3)) == found


def authority(**changed: object) -> Authority:
    made = Authority(END - days(3652), END, is_root=False)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("is_root", "left", "code"), [(False, 120, "authority_ends"), (True, 365, "root_ends")]
)
def test_authorities_in_time_for_what_they_sign(is_root: bool, left: int, code: str) -> None:
    asked = authority(is_root=is_root)
    assert lifetimes.why_authority(asked, at=END - days(left) - SECOND) == ()
    assert lifetimes.why_authority(asked, at=END - days(left)) == (code,)
    assert lifetimes.why_authority(asked, at=END) == ("authority_ended",)
    assert lifetimes.why_authority(asked, at=END + days(121)) == (), "nobody waits for it any more"
    retired = authority(is_root=is_root, is_retired=True)
    assert lifetimes.why_authority(retired, at=END - days(1)) == ()
    assert lifetimes.why_authority(retired, at=END) == ()


def test_a_short_lived_authority_is_due_in_its_last_third() -> None:
    asked = authority(not_before=END - days(30))
    assert lifetimes.why_authority(asked, at=END - days(11)) == ()
    assert lifetimes.why_authority(asked, at=END - days(10)) == ("authority_ends",)


def test_a_list_that_waits_for_its_owner() -> None:
    at = END - days(2000)
    asked = authority(is_root=True, list_from=at)
    assert lifetimes.why_authority(asked, at=at - SECOND) == ()
    assert lifetimes.why_authority(asked, at=at) == ("list_ends",)
    assert lifetimes.why_authority(replace(asked, list_is_behind=True), at=at - SECOND) == (
        "list_behind",
    )
    late = replace(asked, list_from=at)
    assert lifetimes.why_authority(late, at=END - days(9)) == ("root_ends", "list_ends")


@pytest.mark.parametrize(
    ("left", "days_of_notice"),
    [(31, None), (30, 30), (14.01, 30), (14, 14), (7, 7), (1.01, 7), (1, 1), (0, 1), (-1, 1)],
)
def test_notices_at_their_days(left: float, days_of_notice: int | None) -> None:
    assert lifetimes.threshold(END, at=END - days(left)) == days_of_notice
