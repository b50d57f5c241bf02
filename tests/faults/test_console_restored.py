"""A console, or a host, restored from an old backup: it is told, and there is a way back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deploy.hostctl import paths
from tests.faults.consoles import Console, console_of
from tests.live.conftest import started


@pytest.fixture
def console(can_run_hosts: None, tmp_path: Path) -> Iterator[Console]:
    with started("bookworm") as machine, console_of(machine, tmp_path / "data") as made:
        yield made


def deployed(console: Console) -> int:
    """The generation that is live after one more rollout."""
    pk = console.ask()
    assert console.ok("carry", pk) == "confirmed"
    return int(console.on_one_side(pk)["live"])


def overwritten(console: Console) -> dict[str, object]:
    pk = console.ok("overwrite")
    console.ok("carry", pk)
    return console.report(pk)


def copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def test_a_console_restored_from_an_old_backup(console: Console, tmp_path: Path) -> None:
    assert console.ok("push_mailbox", "anna@example.test") == "current"
    database, backup = console.data / "db.sqlite3", tmp_path / "backup"
    copied(database, backup)
    assert console.ok("push_mailbox", "berta@example.test") == "current"
    assert [deployed(console), deployed(console)] == [2, 3]
    copied(backup, database)

    refused = console.job("ask", 40)
    assert refused["status"] == 0, "it does not know yet"
    assert console.ok("carry", refused["result"]) == "refused"
    assert console.report(refused["result"])["problem"] == "base_moved"

    # Asked about itself, the host says where it is; nothing is put over it unseen.
    assert console.ok("look") == [paths.CURRENT]
    assert "Drifted" in console.job("ask", 41)["result"]
    said = overwritten(console)
    assert (said["state"], said["problem"]) == ("refused", "accounts"), "the host knows more"
    assert console.ok("facts")["generation"] == 3
    assert console.ok("go_on") == "current"
    said = overwritten(console)
    assert said["state"] == "confirmed", said
    assert int(str(said["live"])) > 3
    assert console.ok("look") == []
    assert console.ok("facts")["accounts"]["mailboxes"] == 1, "what the restored console knows"


def test_a_host_restored_from_an_old_backup(console: Console) -> None:
    machine = console.machine
    assert console.ok("push_mailbox", "anna@example.test") == "current"
    state = paths.STATE
    machine.run(["tar", "-cf", "/root/backup.tar", "-C", state, "."])
    assert console.ok("push_mailbox", "berta@example.test") == "current"
    assert [deployed(console), deployed(console)] == [2, 3]

    hostctl = ["/usr/bin/python3", "-I", paths.HELPER]
    restored = f"find {state} -mindepth 1 -delete; tar -xf /root/backup.tar -C {state}"
    machine.run(["sh", "-c", f"doveadm stop; {restored}"])
    machine.run([*hostctl, "recover"])
    assert console.ok("look") == [paths.CURRENT]
    assert "Drifted" in console.job("ask", 40)["result"]
    said = overwritten(console)
    assert (said["state"], said["live"]) == ("confirmed", 4), said
    assert console.ok("look") == []
    assert console.ok("push_mailbox", "carla@example.test") == "current"
    assert console.ok("facts")["accounts"]["mailboxes"] == 3, "what it had forgotten, too"
