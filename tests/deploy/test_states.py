"""The table of a rollout's states, and that the documentation draws the same."""

from pathlib import Path

import pytest

from deploy import states
from deploy.models import HostRollout

DOCS = Path(__file__).parents[2] / "docs" / "deployment.md"


def test_the_documentation_shows_the_table() -> None:
    assert states.mermaid() in DOCS.read_text(), "paste states.mermaid() into docs/deployment.md"


def test_every_state_of_the_rows_is_in_the_table() -> None:
    assert {state for state, _name in HostRollout.STATES} == set(states.TABLE)
    assert HostRollout.OPEN == states.OPEN


def test_before_the_switch_everything_that_goes_wrong_is_refused() -> None:
    for state in states.UNTOUCHED:
        ends = {end for end in states.TABLE[state] if end not in states.OPEN}
        assert ends == {states.REFUSED}


def test_after_the_switch_nothing_is_refused() -> None:
    assert states.REFUSED not in states.TABLE[states.PROBING]


@pytest.mark.parametrize("end", [s for s in states.TABLE if s not in states.OPEN])
def test_an_end_is_an_end(end: str) -> None:
    with pytest.raises(states.NoSuchStep):
        states.check(end, states.STAGING)
