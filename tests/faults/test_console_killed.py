"""kill -9 of the worker at every step that a rollout writes down, and at every write between.

The steps are not listed here: a rollout that nothing disturbs tells them. Another worker takes over
when the lease has ended, and whatever was under way, the host ends on one side, and the console
knows on which.
"""

from collections.abc import Iterator

import pytest

from tests.faults.consoles import KILLED, Console, console_of
from tests.live.conftest import started


@pytest.fixture(scope="module")
def console(can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with (
        started("bookworm") as machine,
        console_of(machine, tmp_path_factory.mktemp("console") / "data") as made,
    ):
        yield made


def undisturbed(console: Console) -> list[str]:
    """The names of the points of a rollout, in order."""
    pk = console.ask()
    done = console.job("carry", pk)
    assert (done["status"], done["result"]) == (0, "confirmed"), console.report(pk)
    console.on_one_side(pk)
    return [str(point) for point in done["points"]]


def one_of_each(points: list[str]) -> list[str]:
    """Of the steps (`switching switch.pointer`) the first of each state and verb."""
    steps = dict.fromkeys(point for point in points if point[0].islower())
    first: dict[str, str] = {}
    for step in steps:
        first.setdefault(step.partition(".")[0], step)
    return list(first.values())


def killed(console: Console, at: "int | str") -> str:
    """How a rollout ended whose worker was killed there."""
    pk = console.ask()
    done = console.job("carry", pk, at=at)
    assert done["status"] == KILLED, f"never came to {at}"
    before = console.report(pk)
    console.settle(pk)
    said = console.on_one_side(pk)
    if before["state"] in {"confirmed", "rolled_back", "refused"}:
        assert said["state"] == before["state"]
    return str(said["state"])


def test_a_worker_killed_at_a_step_of_each_kind(console: Console) -> None:
    steps = one_of_each(undisturbed(console))
    assert {step.split()[0] for step in steps} >= {"staging", "validating", "switching", "probing"}
    ends = {step: killed(console, step) for step in steps}
    print(ends)
    assert "confirmed" in ends.values()


@pytest.mark.soak
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_worker_killed_at_every_write(can_run_hosts, tmp_path, release: str) -> None:
    with started(release) as machine, console_of(machine, tmp_path / "data") as console:
        points = undisturbed(console)
        for number in range(len(points)):
            print(number, points[number], killed(console, number))
