"""Requests twice, late, at the same time, and to a host that went back in time."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from deploy.hostctl import __main__ as program
from deploy.hostctl import accounts, generations, switch
from deploy.hostctl.wire import Refused
from tests.faults.sides import managed, waiting, whole
from tests.hostctl.fakes import HASH, FakeHost


def ask(host: FakeHost, sequence: int, verb: str, **fields: object) -> str:
    """The code of its refusal; empty when it was done."""
    try:
        host.again().ask(verb, sequence=sequence, **fields)
    except Refused as refused:
        return refused.code
    return ""


def test_two_rollouts_at_once(tmp_path: Path) -> None:
    """One is done; the other hears that one waits, and the host is whole, every time."""
    for round in range(6):
        host = FakeHost(tmp_path / f"root{round}")
        managed(host)
        host.stage(3, 1)
        said: dict[int, str] = {}

        def put_live(generation: int, host: FakeHost = host, said: dict[int, str] = said) -> None:
            said[generation] = ask(
                host, 10 + generation, "switch", generation=generation, base=1, deadline=60
            )

        threads = [threading.Thread(target=put_live, args=[number]) for number in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = [generation for generation, code in said.items() if not code]
        assert len(done) == 1, said
        assert set(said.values()) <= {"", "pending", "replayed"}
        whole(host.again(), done[0])


def test_the_same_request_twice_at_once(tmp_path: Path) -> None:
    host = FakeHost(tmp_path / "root")
    managed(host)
    said: list[str] = []

    def put_live() -> None:
        said.append(ask(host, 7, "switch", generation=2, base=1, deadline=60))

    threads = [threading.Thread(target=put_live) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["", "replayed", "replayed"]
    whole(host.again(), 2)


def test_requests_that_overtook_each_other(host: FakeHost) -> None:
    """A rollback arrives before the switch that it undoes: the switch is not done any more."""
    managed(host)
    assert ask(host, 9, "rollback", generation=2) == "not_switched"
    assert ask(host, 8, "switch", generation=2, base=1, deadline=60) == "replayed"
    whole(host, 1)


def test_a_confirmation_that_comes_after_the_rollback(host: FakeHost) -> None:
    waiting(host)
    assert ask(host, 5, "rollback", generation=2) == ""
    assert ask(host, 6, "confirm", generation=2) == "too_late"
    whole(host, 1)


def test_a_confirmation_of_another_generation(host: FakeHost) -> None:
    waiting(host)
    assert ask(host, 5, "confirm", generation=1) == "not_pending"
    assert ask(host, 6, "confirm", generation=2) == ""
    assert ask(host, 7, "rollback", generation=2) == ""
    whole(host, 1)


# --- a host that was restored from an old backup -------------------------------------------------


def account(host: FakeHost, sequence: int, through: int, name: str, **fields: object) -> str:
    rights = {"can_login": True, "can_send": True, "receives": True}
    box = {"mailbox": {"address": f"{name}@example.test", "password": HASH, **rights}}
    import json

    lines = [{"domain": {"name": "example.test"}}, box]
    payload = "".join(json.dumps(line) + "\n" for line in lines).encode()
    asked = {"lineage": "L", "from_change": through - 1, "through_change": through, **fields}
    try:
        host.again().ask("accounts", payload, sequence=sequence, **asked)
    except Refused as refused:
        return refused.code
    return ""


def restored(host: FakeHost, backup: Path) -> None:
    """/var/lib/mailadmin from the backup; then the host starts."""
    shutil.rmtree(host.layout.state)
    shutil.copytree(backup, host.layout.state, symlinks=True)
    for service in host.services.values():
        service.stop()
    program.boot(host.again())


def test_an_old_backup_of_the_host(host: FakeHost, tmp_path: Path) -> None:
    """It runs as it did then; the console's numbers go on, and what it sends does not fit until it
    looks: the base has moved, and accounts are missing."""
    managed(host)
    assert account(host, 3, 1, "anna", whole=True) == ""
    shutil.copytree(host.layout.state, tmp_path / "backup", symlinks=True)
    assert account(host, 4, 2, "bob") == ""
    assert ask(host, 5, "switch", generation=2, base=1, deadline=60) == ""
    assert ask(host, 6, "confirm", generation=2) == ""

    restored(host, tmp_path / "backup")
    whole(host, 1)
    facts = host.again().ask("facts")
    assert (facts["generation"], facts["accounts"]["through_change"]) == (1, 1)
    assert "bob@" not in (host.layout.maps / "cansend.db").read_text()
    host.stage(3, 1)
    assert ask(host, 7, "switch", generation=3, base=2, deadline=60) == "base_moved"
    assert ask(host, 8, "rollback", generation=2) == "not_switched"
    assert account(host, 9, 3, "carol") == "behind"
    assert account(host, 10, 3, "carol", whole=True, force=True) == ""
    assert ask(host, 11, "switch", generation=3, base=1, deadline=60) == ""
    assert ask(host, 12, "confirm", generation=3) == ""
    whole(host.again(), 3)


def test_a_backup_that_was_made_while_a_switch_waited(host: FakeHost, tmp_path: Path) -> None:
    """The deadline of another boot has passed: back to what was proved."""
    waiting(host)
    shutil.copytree(host.layout.state, tmp_path / "backup", symlinks=True)
    switch.confirm(host, generation=2)
    records = tmp_path / "backup" / "journal" / "00000002.jsonl"
    from deploy.hostctl.journal import boot_id

    records.write_text(records.read_text().replace(boot_id(), "the boot of then"))
    restored(host, tmp_path / "backup")
    whole(host, 1)


def test_accounts_newer_than_the_console(host: FakeHost) -> None:
    """The console is the one that was restored: nothing is taken away without being asked."""
    managed(host)
    assert account(host, 3, 5, "anna", whole=True) == ""
    assert account(host, 4, 4, "bob", whole=True) == "ahead"
    assert accounts.position(host)["through_change"] == 5
    assert generations.current(host) == 1


@pytest.mark.parametrize("missing", ["generations/1", "generations/1/manifest.json"])
def test_a_backup_without_the_generation_that_is_to_be_gone_back_to(
    host: FakeHost, missing: str
) -> None:
    """Confirmed, so that nobody goes back by himself: refused, and the live one goes on."""
    waiting(host)
    switch.confirm(host, generation=2)
    lost = host.layout.state / missing
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    assert ask(host, 5, "rollback", generation=2) == "gone"
    whole(host, 2)
