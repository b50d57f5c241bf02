"""Dovecot's package upgraded under a live generation: whoever starts it finds its configuration."""

from __future__ import annotations

import os
from typing import Any

import pytest

from deploy.hostctl import __main__, paths, services, switch, upgrades
from deploy.hostctl.host import Ran
from tests.hostctl.fakes import FakeHost


@pytest.fixture
def live(host: FakeHost) -> FakeHost:
    """On generation 2, with Dovecot 2.4; the fake's commands answer for it."""
    host.before()
    for number in (1, 2):
        host.stage(number, number - 1)
        switch.switch(host, generation=number, base=number - 1, deadline=60)
        switch.confirm(host, generation=number)
    return host


def installed(host: FakeHost, words: bytes, status: int = 0) -> FakeHost:
    """As the next start of the helper finds it after an upgrade."""
    again, usual = host.again(), host.run

    def run(argv: list[str], **options: Any) -> Ran:
        if argv[0].endswith("/dovecot"):
            return Ran(status, words)
        return usual(argv, **options)

    again.run = run  # type: ignore[assignment]
    return again


def link_of(host: FakeHost, generation: int) -> str:
    return os.readlink(host.layout.generation(generation) / paths.DOVECOT_LINK)


OTHER = b"2.3.19.1 (9b53102964)\n"


def test_facts_point_it_and_start_what_was_kept_down(live: FakeHost) -> None:
    host = installed(live, OTHER)
    host.services["dovecot"].stop()
    host.ask("facts")
    assert link_of(host, 2) == "dovecot23.conf"
    assert host.services["dovecot"].loaded == "2.3 conf of generation 2"
    assert not host.ask("facts")["drift"], "either is as deployed"


def test_one_that_runs_is_left_alone(live: FakeHost) -> None:
    """The package is being unpacked, and restarts it itself."""
    host = installed(live, OTHER)
    log = list(host.services["dovecot"].log)
    host.ask("facts")
    assert link_of(host, 2) == "dovecot23.conf"
    assert host.services["dovecot"].log == log


def test_one_that_is_down_for_another_reason_is_not_started(live: FakeHost) -> None:
    live.services["dovecot"].stop()
    live.again().ask("facts")
    assert live.services["dovecot"].pid() is None


@pytest.mark.parametrize(("words", "status"), [(b"", 127), (b"half-way", 0)])
def test_a_dovecot_without_a_version_changes_nothing(
    live: FakeHost, words: bytes, status: int
) -> None:
    host = installed(live, words, status)
    host.ask("facts")
    assert link_of(host, 2) == "dovecot24.conf"


def test_a_link_that_somebody_made_is_drift_and_stays(live: FakeHost) -> None:
    link = live.layout.generation(2) / paths.DOVECOT_LINK
    link.unlink()
    link.symlink_to("/etc/dovecot/mine.conf")
    host = installed(live, OTHER)
    assert str(link) in host.ask("facts")["drift"]
    assert link_of(host, 2) == "/etc/dovecot/mine.conf"


def test_a_generation_from_before_the_upgrade_is_gone_back_to(live: FakeHost) -> None:
    host = installed(live, OTHER)
    host.ask("facts")
    switch.rollback(host, generation=2)
    assert link_of(host, 1) == "dovecot23.conf"
    assert host.services["dovecot"].loaded == "2.3 conf of generation 1"


def test_at_boot_it_is_pointed_before_the_daemons(
    live: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "under_systemd", lambda: True)
    host = installed(live, OTHER)
    host.services["dovecot"].stop()
    __main__.boot(host)
    assert link_of(host, 2) == "dovecot23.conf"
    assert host.services["dovecot"].pid() is None, "systemd starts it afterwards"


def test_following_needs_no_lock(live: FakeHost) -> None:
    host = installed(live, OTHER)
    with live.locked():
        assert upgrades.follow_live(host)
    assert not upgrades.follow_live(host), "once"


def test_a_host_that_is_not_managed_has_nothing_to_follow(host: FakeHost) -> None:
    assert not upgrades.follow_live(host)
