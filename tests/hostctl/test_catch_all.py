"""A catch-all on the host: what its maps say, and what must not be one."""

import pytest

from deploy.hostctl import accounts, checks, maps
from tests.hostctl.fakes import FakeHost
from tests.hostctl.test_accounts import Line, alias, apply, box, domain, refusal, rows

STAR = "*@example.test"


@pytest.fixture
def filled(host: FakeHost) -> FakeHost:
    apply(
        host, domain(), domain("other.test"), box("anna@example.test"), box("ben@example.test"),
        alias(STAR, "anna@example.test", "far@else.test"), whole=True,
    )  # fmt: skip
    return host


def test_it_is_asked_for_by_its_domain_and_leads_to_its_targets(filled: FakeHost) -> None:
    access = rows(filled, "access")
    assert access["Catchall:example.test"] == "RELAY"
    assert "Catchall:other.test" not in access
    assert f"To:{STAR}" not in access, "it is not an address of its own"
    assert access["To:example.test"].startswith("ERROR:5.1.1"), "not one for subdomains"
    assert rows(filled, "aliases")[STAR] == "anna@example.test, far@else.test"


def test_known_names_keep_their_own_entries(filled: FakeHost) -> None:
    apply(filled, box("ben@example.test", receives=False), through=2)
    access = rows(filled, "access")
    assert access["To:ben@example.test"] == maps.CLOSED
    assert access["To:postmaster@example.test"] == "RELAY"
    assert rows(filled, "aliases")["postmaster@example.test"] == "root"


def test_nobody_may_send_as_everybody(filled: FakeHost) -> None:
    assert rows(filled, "sendas") == {}
    apply(filled, alias("sales@example.test", "anna@example.test"), through=2)
    assert rows(filled, "sendas") == {"anna@example.test:sales@example.test": "OK"}


def test_edited_maps_are_what_building_them_anew_makes(filled: FakeHost) -> None:
    steps: list[list[Line]] = [
        [alias(STAR, "ben@example.test")],
        [{"remove": STAR}],
        [alias(STAR, "ben@example.test"), box("new@example.test")],
        [alias("*@other.test", "x@else.test"), {"remove": "new@example.test"}],
        [{"remove_domain": "other.test"}],
    ]
    for through, lines in enumerate(steps, start=2):
        apply(filled, *lines, through=through)
        edited = rows(filled, "access")
        with accounts.opened(filled) as database:
            maps.build(filled, database, "access", "mail.example.test")
        assert rows(filled, "access") == edited, lines
    assert "access" in filled.run.maps_edited
    assert "Catchall:other.test" not in rows(filled, "access")


def test_whole_removes_one_that_is_not_named(filled: FakeHost) -> None:
    apply(filled, domain(), box("anna@example.test"), whole=True, through=2)
    assert "Catchall:example.test" not in rows(filled, "access")
    assert STAR not in rows(filled, "aliases")


@pytest.mark.parametrize(
    "line",
    [
        box(STAR),
        alias("**@example.test", "anna@example.test"),
        alias("a*@example.test", "anna@example.test"),
        alias("*@elsewhere.test", "anna@example.test"),
        alias("*@*", "anna@example.test"),
        alias("info@example.test", STAR),
        {"remove": "*@"},
        {"remove": "*@example.test\n"},
    ],
)
def test_a_star_is_nothing_else(filled: FakeHost, line: Line) -> None:
    assert refusal(filled, line, through=2).code == "bad_line"


def test_the_gate_is_checked_where_unknown_names_are_refused(filled: FakeHost) -> None:
    assert checks._strict_domain(filled, "example.test") == "other.test"
    apply(filled, alias("*@other.test", "anna@example.test"), through=2)
    assert checks._strict_domain(filled, "example.test") == ""
    apply(filled, {"remove": STAR}, through=3)
    assert checks._strict_domain(filled, "example.test") == "example.test"
