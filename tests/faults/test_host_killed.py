"""kill -9 of the helper on real hosts, at each thing it does to them.

What it does is not listed here: an undisturbed run tells. `./run test` takes the first of each kind
on one Debian, `./run soak` every single one on both. `test_helper_killed` has them all as well,
before and after each, with daemons that pretend.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from tests.faults.hosts import all_on_the_old, first_of_each, killed_at, managed, settled
from tests.live.hostctl_host import MailHost, until


@pytest.fixture(scope="module")
def trixie_host(
    can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MailHost]:
    with managed("trixie", tmp_path_factory.mktemp("authority")) as made:
        yield made


@pytest.fixture(scope="module")
def bookworm_host(
    can_run_hosts: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MailHost]:
    with managed("bookworm", tmp_path_factory.mktemp("authority")) as made:
        yield made


def to_switch(host: MailHost) -> tuple[int, bytes]:
    number, _ = host.prepare()
    fields = {"generation": number, "base": host.generation, "deadline": 60}
    return number, host.request("switch", **fields)


def steps_of_a_switch(host: MailHost) -> list[str]:
    number, request = to_switch(host)
    labels = killed_at(host, 0, request)
    assert labels is not None
    host.ask("rollback", generation=number)
    return labels


def killed_switching(host: MailHost, step: int, label: str) -> None:
    number, request = to_switch(host)
    assert killed_at(host, step, request) is None, label
    records = host.journal()
    if records and records[0]["generation"] == number:
        # The dead-man, or before him nobody: then the next start of the helper.
        if not list(host.machine.path(paths.RUN).glob("deadman-*.pid")):
            host.ask("facts")
        if host.outcome() == "switched":  # only the answer was lost
            host.ask("rollback", generation=number)
        until(lambda: settled(host), 30)
        assert host.outcome() == "rolled_back", label
    all_on_the_old(host)


def steps_of_a_rollback(host: MailHost) -> list[str]:
    number, _ = host.prepare()
    host.switch(number)
    labels = killed_at(host, 0, host.request("rollback", generation=number))
    assert labels is not None
    return labels


def killed_rolling_back(host: MailHost, step: int, label: str) -> None:
    number, _ = host.prepare()
    host.switch(number)
    assert killed_at(host, step, host.request("rollback", generation=number)) is None, label
    host.ask("recover")
    assert host.current() in (host.generation, number)
    if host.outcome() == "switched":  # it had not begun
        host.ask("rollback", generation=number)
    assert host.outcome() == "rolled_back", label
    all_on_the_old(host)


def rebooted_while_waiting(host: MailHost) -> None:
    """As a start of the host finds it: a switch of another boot, and nobody who watches."""
    number, _ = host.prepare()
    host.switch(number)
    for watching in host.machine.path(paths.RUN).glob("deadman-*.pid"):
        host.machine.run(["kill", "-9", watching.read_text().strip()])
        watching.unlink()
    journal = max(host.machine.path(f"{paths.STATE}/journal").glob("*.jsonl"))
    journal.write_text(journal.read_text().replace('"boot": "', '"boot": "another-'))


def test_killed_at_a_step_of_each_kind_of_a_switch(trixie_host: MailHost) -> None:
    labels = steps_of_a_switch(trixie_host)
    kinds = first_of_each(labels)
    assert len(kinds) > 8, labels
    for step in kinds:
        killed_switching(trixie_host, step, labels[step - 1])


def test_killed_at_a_step_of_each_kind_of_a_rollback(bookworm_host: MailHost) -> None:
    labels = steps_of_a_rollback(bookworm_host)
    kinds = first_of_each(labels)
    assert len(kinds) > 5, labels
    for step in kinds:
        killed_rolling_back(bookworm_host, step, labels[step - 1])


@pytest.mark.soak
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_killed_at_every_step(can_run_hosts, tmp_path, release: str) -> None:
    with managed(release, tmp_path) as host:
        for steps, kill in (
            (steps_of_a_switch, killed_switching),
            (steps_of_a_rollback, killed_rolling_back),
        ):
            labels = steps(host)
            for step, label in enumerate(labels, start=1):
                kill(host, step, label)


def test_killed_at_a_step_of_each_kind_of_the_recovery(trixie_host: MailHost) -> None:
    rebooted_while_waiting(trixie_host)
    labels = killed_at(trixie_host, 0, "recover")
    assert labels is not None
    for step in first_of_each(labels):
        killed_recovering(trixie_host, step, labels[step - 1])


@pytest.mark.soak
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_killed_at_every_step_of_the_recovery(can_run_hosts, tmp_path, release: str) -> None:
    with managed(release, tmp_path) as host:
        rebooted_while_waiting(host)
        labels = killed_at(host, 0, "recover")
        assert labels is not None
        for step, label in enumerate(labels, start=1):
            killed_recovering(host, step, label)


def killed_recovering(host: MailHost, step: int, label: str) -> None:
    rebooted_while_waiting(host)
    assert killed_at(host, step, "recover") is None, label
    assert killed_at(host, 0, "recover") is not None
    assert host.outcome() == "rolled_back", label
    all_on_the_old(host)
