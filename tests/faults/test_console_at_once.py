"""Two requests to put something live in the same moment, from two processes of the console."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.consoles import Console, console_of
from tests.faults.databases import postgres, postgres_bin
from tests.live.conftest import started


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.soak), "postgresql"])
def consoles(
    request: pytest.FixtureRequest, can_run_hosts: None, tmp_path: Path
) -> Iterator[tuple[Console, Console]]:
    bin_folder = postgres_bin()
    if request.param == "postgresql" and bin_folder is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    with started("trixie") as machine:
        if request.param == "sqlite" or bin_folder is None:
            yield from two(machine, tmp_path / "data", "")
        else:
            with postgres(bin_folder) as cluster:
                yield from two(machine, tmp_path / "data", cluster.url)


def two(machine, data: Path, database: str) -> Iterator[tuple[Console, Console]]:  # type: ignore[no-untyped-def]
    with console_of(machine, data, database) as one:
        other = Console(machine, data, database)
        try:
            yield one, other
        finally:
            other.close()


def test_one_of_two_requests_is_told_that_something_is_under_way(consoles) -> None:
    one, other = consoles
    for megabytes in (30, 31):
        for each in consoles:
            # Both have seen that nothing is under way when the first of them writes.
            each.begin("ask", megabytes, at="INSERT deploy_generation", run=["sleep", "1"])
        answers = [one.finish(), other.finish()]
        (asked,) = [answer["result"] for answer in answers if answer["status"] == 0]
        (refused,) = [answer["result"] for answer in answers if answer["status"]]
        assert "UnderWay: Something is being put live" in refused

        # Two workers at the row: one of them carries it out.
        for each in consoles:
            each.begin("carry", asked)
        for each in consoles:
            each.finish()
        said = one.on_one_side(asked)
        assert said["state"] == "confirmed"
        assert sum(" stage True" in step for step in said["steps"]) == 1, said["steps"]
