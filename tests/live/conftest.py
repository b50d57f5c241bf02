"""Real mail hosts for tests: Debian 12 and 13 with their own Sendmail, Dovecot and sshd.

`bookworm` and `trixie` are started once a session and shared: leave them as you found them, or use
`fresh_machine("bookworm")`, which takes a quarter of a second and is removed after the test.
`machine` runs a test on both, and so does `host`, where a configuration of ours is live. All end
with the test process, even when it is killed.

Without root they skip, saying why; with CI=true, where they must not be skipped, they fail.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.practice import Machine, can_practise
from tests.live.rendered import ROWS, Deployed

FreshMachine = Callable[..., Machine]
FQDN = {
    "bookworm": "mail1.example.test",
    "trixie": "mail2.example.test",
    "bookworm-postfix": "mail3.example.test",
    "trixie-postfix": "mail4.example.test",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def can_run_hosts() -> None:
    possible, reason = can_practise()
    if not possible and os.environ.get("CI") == "true":
        pytest.fail(f"the live tests must run here: {reason}")
    if not possible:
        pytest.skip(reason)


@contextmanager
def started(release: str, fqdn: str = "") -> Iterator[Machine]:
    # Not pytest's own folder: it keeps the last three runs, and a host is 50 MB.
    with tempfile.TemporaryDirectory(prefix="mailadmin-live-") as folder:
        made = Machine.create(Path(folder) / release, release, fqdn or FQDN[release])
        try:
            made.start(leash=True)
            yield made
        finally:
            made.destroy()


@pytest.fixture(scope="session")
def bookworm(can_run_hosts: None) -> Iterator[Machine]:
    with started("bookworm") as machine:
        yield machine


@pytest.fixture(scope="session")
def trixie(can_run_hosts: None) -> Iterator[Machine]:
    with started("trixie") as machine:
        yield machine


@pytest.fixture(params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def host(request: pytest.FixtureRequest, can_run_hosts: None) -> Iterator[Deployed]:
    """With the accounts of `rendered.ROWS` and a configuration of ours, live."""
    with started(request.param) as machine:
        made = Deployed(machine)
        made.accounts(*ROWS)
        made.snapshot = made.deploy()
        yield made


@pytest.fixture
def fresh_machine(can_run_hosts: None) -> Iterator[FreshMachine]:
    """Makes started hosts that no other test has seen: `fresh_machine("trixie")`."""
    made = []

    def make(release: str, fqdn: str = "") -> Machine:
        context = started(release, fqdn)
        made.append(context)
        return context.__enter__()

    yield make
    for context in reversed(made):
        context.__exit__(None, None, None)
