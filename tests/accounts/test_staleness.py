"""What is said of an account, and what the evidence does not allow to say."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.staleness import (
    CERTAIN,
    DORMANT,
    EXPIRED,
    HIGH,
    LOW,
    MIDDLE,
    NEVER_USED,
    NO_OWNER,
    PROTOCOLS,
    SENDS_ONLY,
    SINCE,
    TEST_NAMED,
    WEAK,
    Account,
    Finding,
    Watched,
    findings,
)

AT = datetime.datetime(2026, 11, 24, 9, 0, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def ago(days: int) -> datetime.datetime:
    return AT - days * DAY


def watched(days: int, *names: str, through: int = 0) -> dict[str, Watched]:
    return {name: Watched(ago(days), ago(through)) for name in names or PROTOCOLS}


def account(**changes: Any) -> Account:
    plain = {
        "address": "anna@example.test",
        "created_at": ago(400),
        "password_set_at": ago(300),
        "active": True,
        "owner_contact": "Anna",
    }
    return Account(**{**plain, **changes})


def found(**changes: Any) -> dict[str, Finding]:
    return {each.kind: each for each in findings(account(**changes), at=AT)}


TABLE: dict[str, tuple[dict[str, Any], dict[str, tuple[str, int]]]] = {
    "nobody looked": ({}, {}),
    "used lately": ({"uses": {"imap": ago(3)}, "watched": watched(500)}, {}),
    "used by sending alone, reading not looked at": (
        {"uses": {"smtp": ago(3)}, "watched": watched(500, "smtp")},
        {},
    ),
    "watched since before it was made": (
        {"created_at": ago(20), "watched": watched(30)},
        {NEVER_USED: (CERTAIN, MIDDLE)},
    ),
    "made too lately": ({"created_at": ago(13), "watched": watched(30)}, {}),
    "made before anybody looked, looked at for a month": ({"watched": watched(30)}, {}),
    "made before anybody looked, looked at for long": (
        {"watched": watched(91)},
        {NEVER_USED: (SINCE, MIDDLE)},
    ),
    "sending not looked at": (
        {"created_at": ago(20), "watched": watched(30, "imap", "pop3")},
        {NEVER_USED: (SINCE, MIDDLE)},
    ),
    "nobody looks any more": (
        {"created_at": ago(100), "watched": watched(200, through=95)},
        {},
    ),
    "dormant": (
        {"uses": {"imap": ago(91)}, "watched": watched(500)},
        {DORMANT: (CERTAIN, MIDDLE)},
    ),
    "one day short of dormant": ({"uses": {"imap": ago(89)}, "watched": watched(500)}, {}),
    "used long ago, looked at for less": ({"uses": {"imap": ago(200)}, "watched": watched(60)}, {}),
    "used long ago, looked at for long but later": (
        {"uses": {"pop3": ago(200)}, "watched": watched(100)},
        {DORMANT: (SINCE, MIDDLE)},
    ),
    "named like a test": ({"address": "scan-2@example.test"}, {TEST_NAMED: (CERTAIN, LOW)}),
    "a surname": ({"address": "testa@example.test"}, {}),
    "named like a test, dormant": (
        {"address": "test@example.test", "uses": {"imap": ago(91)}, "watched": watched(500)},
        {TEST_NAMED: (CERTAIN, HIGH), DORMANT: (CERTAIN, HIGH)},
    ),
    "named like a test, weak": (
        {"address": "test@example.test", "weak": "equals_name"},
        {TEST_NAMED: (CERTAIN, HIGH), WEAK: (CERTAIN, HIGH)},
    ),
    "expired": ({"expires_at": AT}, {EXPIRED: (CERTAIN, MIDDLE)}),
    "not expired": ({"expires_at": AT + DAY}, {}),
    "no owner": ({"owner_contact": "  "}, {NO_OWNER: (CERTAIN, LOW)}),
    "only sends": (
        {"created_at": ago(30), "uses": {"smtp": ago(1)}, "watched": watched(40)},
        {SENDS_ONLY: (CERTAIN, MIDDLE)},
    ),
    "only sends as far as anybody can tell": (
        {"uses": {"smtp": ago(1)}, "watched": watched(40, "imap", "smtp")},
        {SENDS_ONLY: (SINCE, MIDDLE)},
    ),
    "sends and once read": (
        {"uses": {"smtp": ago(1), "pop3": ago(80)}, "watched": watched(99)},
        {},
    ),
    "not active": (
        {
            "active": False,
            "address": "test@example.test",
            "expires_at": ago(1),
            "owner_contact": "",
        },
        {},
    ),
    "not active, weak": ({"active": False, "weak": "common"}, {WEAK: (CERTAIN, LOW)}),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_is_found(case: str) -> None:
    changes, expected = TABLE[case]
    assert {kind: (each.sure, each.risk) for kind, each in found(**changes).items()} == expected


def test_evidence_names_the_day_before_which_nothing_is_known() -> None:
    flag = found(watched=watched(100, "imap", "pop3"))[NEVER_USED]
    assert flag.since == ago(100)
    assert flag.evidence == {
        "days": 100,
        "evidence_since": ago(100).isoformat(),
        "evidence_through": AT.isoformat(),
        "unwatched": ["smtp"],
    }


def test_a_dormant_one_says_when_and_how_it_was_used() -> None:
    flag = found(uses={"imap": ago(200), "pop3": ago(120)}, watched=watched(500))[DORMANT]
    assert flag.since == ago(120)
    assert (flag.evidence["protocol"], flag.evidence["days"]) == ("pop3", 120)


days = st.integers(min_value=0, max_value=1000)
spans = st.tuples(days, days).map(lambda two: (max(two), min(two)))


@given(
    created=days,
    uses=st.dictionaries(st.sampled_from(PROTOCOLS), days),
    looked=st.dictionaries(st.sampled_from(PROTOCOLS), spans),
)
def test_nothing_is_said_that_the_evidence_does_not_hold(
    created: int, uses: dict[str, int], looked: dict[str, tuple[int, int]]
) -> None:
    flags = found(
        created_at=ago(created),
        uses={name: ago(day) for name, day in uses.items()},
        watched={name: Watched(ago(since), ago(till)) for name, (since, till) in looked.items()},
    )
    assert not {NEVER_USED, DORMANT} <= flags.keys()
    if not looked:
        assert not flags
    for kind in {NEVER_USED, DORMANT} & flags.keys():
        assert (kind == NEVER_USED) == (not uses)
        begin = min(since for since, _till in looked.values())  # in days ago
        known = created if not uses else min(uses.values())
        if flags[kind].sure == CERTAIN:
            assert begin >= known
            assert set(looked) == set(PROTOCOLS)
        quiet = min(known, begin) - max(till for _since, till in looked.values())
        assert quiet >= (14 if kind == NEVER_USED and begin >= known else 90)
    if SENDS_ONLY in flags:
        assert set(uses) == {"smtp"}
        assert {"imap", "pop3"} & looked.keys()
