"""The tables of states: the rows obey them, and the documentation shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ca import states
from ca.models import Ceremony, Certificate, Order

DOCS = Path(__file__).resolve().parents[2] / "docs" / "authority.md"


@pytest.mark.parametrize(
    ("table", "choices"),
    [
        (states.ORDER, Order.STATES),
        (states.CERTIFICATE, Certificate.STATES),
        (states.CEREMONY, Ceremony.STATES),
    ],
)
def test_tables_and_rows_have_the_same_states(table: states.Table, choices) -> None:  # type: ignore[no-untyped-def]
    assert set(table) == {state for state, _label in choices}
    assert {new for following in table.values() for new in following} <= set(table)


def test_the_documentation_shows_them() -> None:
    drawn = re.findall(r"```mermaid\n(.*?)\n```", DOCS.read_text(), re.DOTALL)
    expected = [states.ORDER, states.CERTIFICATE, states.CEREMONY]
    assert drawn == [states.mermaid(table) for table in expected]


def test_what_is_final() -> None:
    assert states.final(states.ORDER) == {"issued", "refused"}
    assert states.may_go(states.CEREMONY, "refused", "requested")
    assert not states.may_go(states.CERTIFICATE, "revoked", "valid")
