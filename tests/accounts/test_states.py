"""The table of states, and that the diagram in the documentation is drawn from it."""

from pathlib import Path

import pytest

from accounts import states

DOCS = Path(__file__).resolve().parents[2] / "docs" / "accounts.md"


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    assert f"```mermaid\n{states.diagram()}\n```" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("active", {"suspend", "close"}),
        ("suspended", {"resume", "close"}),
        ("closing", {"reopen", "erase"}),
        ("erased", set()),
    ],
)
def test_what_each_state_allows(state: str, verbs: set[str]) -> None:
    assert {verb for verb in states.BY_VERB if states.may(verb, state)} == verbs


def test_a_verb_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        states.may("delete", "active")


@pytest.mark.parametrize(
    ("state", "refuses_mail", "rights"),
    [
        ("active", False, (True, True, True)),
        ("suspended", False, (False, False, True)),
        ("suspended", True, (False, False, False)),
        ("closing", False, (False, False, False)),
        ("erased", False, (False, False, False)),
    ],
)
def test_rights(state: str, refuses_mail: bool, rights: tuple[bool, bool, bool]) -> None:
    found = states.rights(state, refuses_mail=refuses_mail)
    assert (found.can_login, found.can_send, found.receives) == rights


def test_a_state_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no such state"):
        states.rights("gone", refuses_mail=False)


def test_every_state_can_be_reached() -> None:
    reached = {states.ACTIVE} | {transition.target for transition in states.TABLE}
    assert reached == set(states.STATES)
