"""What the tests of faults share; the list of faults and their tests is in README.md here.

Those that need a real host have the marker `live` by asking for `can_run_hosts` or for a host: they
run where the live tests do, as root, and the others everywhere.
"""

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
