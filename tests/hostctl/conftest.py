from pathlib import Path

import pytest

from deploy.hostctl import deadman, paths
from tests.hostctl.fakes import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path / "root")


@pytest.fixture
def postfix_host(tmp_path: Path) -> FakeHost:
    """One on which Postfix is installed in Sendmail's place."""
    program = tmp_path / "postfix-root" / paths.POSTFIX.lstrip("/")
    program.parent.mkdir(parents=True)
    program.touch()
    return FakeHost(tmp_path / "postfix-root")


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The switches a dead-man was started for; tests call `deadman.watch` themselves."""
    numbers: list[int] = []
    monkeypatch.setattr(deadman, "launch", lambda host, number: numbers.append(number))
    return numbers
