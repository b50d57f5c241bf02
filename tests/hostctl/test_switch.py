"""Switching, confirming, going back: on a real file system, with daemons that pretend."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from deploy.hostctl import deadman, generations, journal, switch
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import FakeHost


@pytest.fixture
def managed(host: FakeHost) -> FakeHost:
    """Generation 1 is live and confirmed; 2 is staged."""
    host.before()
    host.stage(1, 0)
    switch.switch(host, generation=1, base=0, deadline=60)
    switch.confirm(host, generation=1)
    host.stage(2, 1)
    return host


def side(host: FakeHost) -> dict[str, str | None]:
    return {
        "pointer": str(generations.current(host)),
        "sendmail": host.services["sendmail"].loaded,
        "dovecot": host.services["dovecot"].loaded,
    }


def on(host: FakeHost, number: int) -> dict[str, str | None]:
    folder = host.layout.generation(number)
    return {
        "pointer": str(number),
        "sendmail": f"cf of generation {number}",
        "dovecot": f"2.4 conf of generation {number} in {folder}",
    }


BEFORE = {"sendmail": "the system's own cf", "dovecot": "the system's own conf"}


def outcome(host: FakeHost) -> str:
    found = switch.last(host)
    assert found is not None
    return str(found["outcome"])


def test_first_switch_links_the_systems_paths(host: FakeHost, watched: list[int]) -> None:
    host.before()
    host.stage(1, 0)
    result = switch.switch(host, generation=1, base=0, deadline=60)
    assert result["services"] == {
        "dovecot": "restarted", "bridge": "started", "sendmail": "restarted",
    }  # fmt: skip
    assert side(host) == on(host, 1)
    assert watched == [1]
    cf = host.layout.at("/etc/mail/sendmail.cf")
    assert os.readlink(cf) == str(host.layout.current / "sendmail/sendmail.cf")


def test_the_dead_man_watches_before_anything_is_touched(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(host: FakeHost, number: int) -> None:
        assert side(host) == on(host, 1)
        raise Refused("deadman", "The dead-man did not start.")

    monkeypatch.setattr(deadman, "launch", refuse)
    with pytest.raises(Refused) as refused:
        switch.switch(managed, generation=2, base=1, deadline=60)
    assert refused.value.code == "rolled_back"
    assert side(managed) == on(managed, 1)


def test_a_confirmed_switch_stays(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=60)
    assert switch.pending(managed) == {"generation": 2, "deadline": pytest.approx(60, abs=1)}
    assert switch.confirm(managed, generation=2)["outcome"] == "confirmed"
    assert switch.confirm(managed, generation=2)["outcome"] == "confirmed"
    assert switch.recover(managed) is None
    assert side(managed) == on(managed, 2)
    assert managed.services["sendmail"].log[-1] == "reload"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"generation": 9, "base": 1}, "not_staged"),
        ({"generation": 2, "base": 0}, "base_moved"),
        ({"generation": 2, "base": 1, "deadline": 0}, "bad_request"),
        ({"generation": 2, "base": 1, "deadline": 99999}, "bad_request"),
    ],
)
def test_a_switch_that_does_not_fit_touches_nothing(
    managed: FakeHost, fields: dict[str, int], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        switch.switch(managed, **{"deadline": 60, **fields})
    assert refused.value.code == code
    assert side(managed) == on(managed, 1)


def test_what_was_not_validated_is_not_switched_to(managed: FakeHost) -> None:
    managed.stage(3, 1, validated=False)
    with pytest.raises(Refused) as refused:
        switch.switch(managed, generation=3, base=1, deadline=60)
    assert refused.value.code == "not_validated"


def test_no_second_switch_while_one_waits(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=60)
    managed.stage(3, 2)
    with pytest.raises(Refused) as refused:
        switch.switch(managed, generation=3, base=2, deadline=60)
    assert refused.value.code == "pending"


def test_silence_rolls_back(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=2)
    deadman.watch(managed, 2)
    assert side(managed) == on(managed, 1)
    assert outcome(managed) == "rolled_back"
    with pytest.raises(Refused) as refused:
        switch.confirm(managed, generation=2)
    assert (refused.value.code, refused.value.extra["outcome"]) == ("too_late", "rolled_back")


def test_a_confirmation_calls_the_dead_man_off(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=30)
    watching = threading.Thread(target=deadman.watch, args=(managed.again(), 2))
    watching.start()
    switch.confirm(managed, generation=2)
    watching.join(5)
    assert not watching.is_alive()
    assert side(managed) == on(managed, 2)


def test_confirming_too_late_is_refused_even_before_the_dead_man_acts(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=2)
    time.sleep(2.05)
    with pytest.raises(Refused) as refused:
        switch.confirm(managed, generation=2)
    assert refused.value.code == "too_late"


def test_a_daemon_that_does_not_come_back_brings_the_old_one_up(managed: FakeHost) -> None:
    managed.stage(3, 1, "BROKEN")
    with pytest.raises(Refused) as refused:
        switch.switch(managed, generation=3, base=1, deadline=60)
    assert refused.value.code == "rolled_back"
    assert "not running any more" in refused.value.message
    assert side(managed) == on(managed, 1)
    # It was gone: started, not signalled.
    assert managed.services["dovecot"].log[-2:] == ["reload", "start"]
    assert outcome(managed) == "rolled_back"


def test_the_first_switch_that_fails_gives_back_what_was_there(host: FakeHost) -> None:
    host.before()
    host.services["dovecot"].stop()
    host.stage(1, 0, "BROKEN")
    with pytest.raises(Refused):
        switch.switch(host, generation=1, base=0, deadline=60)
    assert host.services["sendmail"].loaded == BEFORE["sendmail"]
    assert host.services["dovecot"].loaded is None, "it was down before"
    assert host.services["bridge"].loaded is None
    assert os.readlink(host.layout.at("/etc/dovecot/dovecot.conf")) == "elsewhere.conf"
    assert not host.layout.at("/etc/mail/sendmail.cf").is_symlink()
    assert not host.layout.at("/etc/sasl2/Sendmail.conf").exists()
    assert generations.current(host) == 0


def test_when_going_back_fails_too_it_says_so(managed: FakeHost) -> None:
    managed.stage(3, 1, "BROKEN")
    (managed.layout.generation(1) / "dovecot/dovecot24.conf").write_text("BROKEN by hand")
    with pytest.raises(Refused) as refused:
        switch.switch(managed, generation=3, base=1, deadline=60)
    assert refused.value.code == "rollback_failed"
    assert outcome(managed) == "rollback_failed"
    assert generations.current(managed) == 1, "the configuration did go back"
    with pytest.raises(Refused) as refused:
        switch.switch(managed, generation=2, base=1, deadline=60)
    assert refused.value.code == "rollback_failed"
    # Nobody retries by himself; whoever repaired it asks.
    assert switch.recover(managed) is None
    (managed.layout.generation(1) / "dovecot/dovecot24.conf").write_text("mended")
    assert switch.recover(managed, retry=True) == "rolled_back"
    assert managed.services["dovecot"].loaded == "mended"


def test_going_back_from_a_confirmed_generation(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=60)
    switch.confirm(managed, generation=2)
    result = switch.rollback(managed, generation=2)
    assert result == {"generation": 1, "outcome": "rolled_back"}
    assert side(managed) == on(managed, 1)
    assert switch.rollback(managed, generation=2) == result, "asked twice, done once"


def test_going_back_names_the_generation_from_the_journal(managed: FakeHost) -> None:
    """Never "the one before": generation 4 replaced 1, whatever lies between."""
    managed.stage(3, 1)
    managed.stage(4, 1)
    switch.switch(managed, generation=4, base=1, deadline=60)
    assert switch.rollback(managed, generation=4)["generation"] == 1
    with pytest.raises(Refused) as refused:
        switch.rollback(managed, generation=3)
    assert refused.value.code == "not_switched"


def test_leaving_gives_everything_back(managed: FakeHost) -> None:
    switch.switch(managed, generation=2, base=1, deadline=60)
    switch.confirm(managed, generation=2)
    switch.leave(managed)
    assert {name: managed.services[name].loaded for name in BEFORE} == BEFORE
    assert managed.services["bridge"].loaded is None
    assert generations.current(managed) == 0
    assert switch.leave(managed)["generation"] == 0


def test_coming_back_after_leaving_remembers_what_is_there_now(managed: FakeHost) -> None:
    switch.leave(managed)
    managed.layout.at("/etc/mail/sendmail.cf").write_text("changed meanwhile")
    managed.stage(2, 0)
    switch.switch(managed, generation=2, base=0, deadline=60)
    switch.rollback(managed, generation=2)
    assert managed.services["sendmail"].loaded == "changed meanwhile"


def test_a_reboot_while_waiting_goes_back_without_starting_daemons(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch.switch(managed, generation=2, base=1, deadline=600)
    told = {name: daemon.log for name, daemon in managed.services.items()}
    monkeypatch.setattr(journal, "boot_id", lambda: "another boot")
    monkeypatch.setattr(switch, "boot_id", lambda: "another boot")
    assert switch.recover(managed, daemons=False) == "rolled_back"
    assert generations.current(managed) == 1
    assert {name: daemon.log for name, daemon in managed.services.items()} == told


def test_recovering_gives_a_waiting_switch_its_dead_man_back(
    managed: FakeHost, watched: list[int]
) -> None:
    switch.switch(managed, generation=2, base=1, deadline=60)
    watched.clear()
    assert switch.recover(managed) is None
    assert watched == [2]
    assert side(managed) == on(managed, 2)


def test_the_dead_man_does_not_act_while_the_switch_is_at_work(managed: FakeHost) -> None:
    entry = journal.Journal(managed.layout.journal).begin(
        generation=2, previous=1, deadline=60, services={}, running={}, ports=[]
    )
    with managed.again().locked():
        assert not deadman._settled(managed, entry.number)
        assert outcome(managed) == "begun"
    assert deadman._settled(managed, entry.number)
    assert outcome(managed) == "rolled_back"


def test_records_come_before_what_they_tell_of(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []
    point = generations.point

    def look(host: FakeHost, number: int) -> None:
        found = json.loads((host.layout.journal / "00000002.jsonl").read_text().splitlines()[0])
        moved.append((found["kind"], found["generation"], found["previous"]))
        point(host, number)

    monkeypatch.setattr(generations, "point", look)
    switch.switch(managed, generation=2, base=1, deadline=60)
    assert moved == [("begun", 2, 1)]


def test_a_full_disk_before_the_first_record_touches_nothing(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: journal.Entry, kind: str, **values: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(journal.Entry, "append", full)
        with pytest.raises(OSError, match="No space"):
            switch.switch(managed, generation=2, base=1, deadline=60)
    assert side(managed) == on(managed, 1)
    assert switch.recover(managed) is None


def test_a_disk_that_fills_up_in_the_middle_goes_back(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = journal.Entry.append

    def full(self: journal.Entry, kind: str, **values: object) -> None:
        if kind != "begun":
            raise OSError(28, "No space left on device")
        append(self, kind, **values)

    with monkeypatch.context() as patched:
        patched.setattr(journal.Entry, "append", full)
        with pytest.raises(Refused, match="No space left on device"):
            switch.switch(managed, generation=2, base=1, deadline=60)
    assert side(managed) == on(managed, 1), "gone back, though it could not be written down"
    assert switch.recover(managed) == "rolled_back"
    assert side(managed) == on(managed, 1)
