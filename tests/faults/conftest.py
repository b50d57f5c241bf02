"""What the tests of faults share; the list of faults and their tests is in README.md here.

Those that need a real host have the marker `live` by asking for `can_run_hosts` or for a host: they
run where the live tests do, as root, and the others everywhere.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostctl.conftest import host, watched
from tests.live.conftest import bookworm, can_run_hosts, fresh_machine, trixie

__all__ = ["bookworm", "can_run_hosts", "fresh_machine", "host", "trixie", "watched"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker(pytest.mark.faults)
        if "can_run_hosts" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.live)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """In memory where one host after another is made and removed, thousands of them."""
    memory = Path("/dev/shm")
    if not request.path.name.startswith("test_helper_") or not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="mailadmin-faults-", dir=memory) as folder:
        yield Path(folder)
