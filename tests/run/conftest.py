import os
from collections.abc import Iterator

import pytest

from tests.run.console import Console


@pytest.fixture
def console() -> Iterator[Console]:
    one = Console()
    yield one
    one.clear()


@pytest.fixture
def running(console: Console) -> Console:
    return console.start().ready()


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
