from pathlib import Path

import pytest

from deploy.hostctl import deadman
from tests.hostctl.fakes import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path / "root")


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The switches a dead-man was started for; tests call `deadman.watch` themselves."""
    numbers: list[int] = []
    monkeypatch.setattr(deadman, "launch", lambda host, number: numbers.append(number))
    return numbers
