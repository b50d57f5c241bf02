"""A disk that is full, fails or cannot be written, from every write on: the host stays whole.

As in `test_helper_killed`, the calls that change something count, and the n-th fails: alone, or
with all that come after it. Then one looks twice: while the disk is as it is, and after there is
room. A file that was replaced and for which there is no room any more cannot be put back: then the
helper has to say `rollback_failed`, and what to do.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploy.hostctl import accounts, deadman, generations, switch, wire
from deploy.hostctl.host import run
from deploy.hostctl.journal import Entry, Journal
from deploy.hostctl.wire import Refused
from tests.faults.sides import managed, one_side, unmanaged, waiting, whole
from tests.hostctl.fakes import HASH, FakeHost

GROWING = ("write", "symlink", "mkdir", "link")
CHANGING = (*GROWING, "replace", "rename", "unlink", "rmdir", "chmod", "fchmod", "fsync")
Act = Callable[[FakeHost], object]


class Disk:
    """`calls`: how many writes were asked for."""

    def __init__(self, number: int, first: int, forever: bool) -> None:
        self.number, self.first, self.forever = number, first, forever
        self.calls = 0

    def may(self) -> None:
        self.calls += 1
        if self.calls == self.first or (self.forever and self.calls > self.first):
            raise OSError(self.number, os.strerror(self.number))

    def guards(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            self.may()
            return real(*args, **options)

        return call

    def opens(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: str, flags: int, *args: object, **options: object) -> int:
            makes = flags & os.O_CREAT and not os.path.lexists(path)
            if makes or (self.number == errno.EROFS and flags & (os.O_WRONLY | os.O_RDWR)):
                self.may()
            return real(path, flags, *args, **options)

        return call


@contextmanager
def bad(number: int, first: int, forever: bool) -> Iterator[Disk]:
    disk = Disk(number, first, forever)
    with pytest.MonkeyPatch.context() as patched:
        for name in GROWING if number == errno.ENOSPC else CHANGING:
            patched.setattr(os, name, disk.guards(getattr(os, name)))
        patched.setattr(os, "open", disk.opens(os.open))
        yield disk


def at_every_write(
    tmp_path: Path,
    prepare: Act,
    act: Act,
    look: Act,
    *,
    number: int = errno.ENOSPC,
    meanwhile: Act = lambda host: None,
) -> int:
    """How many writes there are. `meanwhile` is asked while the disk is still bad."""
    root, kept = tmp_path / "root", tmp_path / "kept"
    prepare(FakeHost(root))
    shutil.copytree(root, kept, symlinks=True)
    for forever in (True, False):
        for first in range(1, 1000):
            shutil.rmtree(root)
            shutil.copytree(kept, root, symlinks=True)
            host = FakeHost(root)
            with bad(number, first, forever) as disk:
                told = ""
                try:
                    act(host)
                except Refused as refused:
                    told = refused.message if refused.code == "rollback_failed" else ""
                except OSError:
                    pass
                if disk.calls < first:
                    break
                assert not told or ("failed too" in told and "recover" in told)
                if told and number == errno.ENOSPC:  # otherwise it may not be on the disk
                    entry = Journal(host.layout.journal).last()
                    assert entry is not None
                    assert generations.current(host) != entry.previous, "it is back, and says no"
                if forever and not told:
                    meanwhile(host)
            look(FakeHost(root))
        else:
            raise AssertionError("it never ends")
    return first


def to(new: int, old: int) -> Act:
    return lambda host: switch.switch(host, generation=new, base=old, deadline=60)


def sound(host: FakeHost) -> None:
    """Whatever could not be written down: pointer, links and daemons agree, and go on agreeing
    when the helper is started again on the same disk."""
    for _ in range(2):
        number = generations.current(host)
        if number is None:
            assert host.services["sendmail"].loaded == "the system's own cf"
        else:
            whole(host, number)
        with suppress(Refused, OSError):
            switch.recover(host)


def test_the_first_switch_on_a_full_disk(tmp_path: Path) -> None:
    found = at_every_write(
        tmp_path, unmanaged, to(1, 0), lambda host: one_side(host, 0, 1), meanwhile=sound
    )
    assert found > 10


def test_a_switch_on_a_full_disk(tmp_path: Path) -> None:
    found = at_every_write(
        tmp_path, managed, to(2, 1), lambda host: one_side(host, 1, 2), meanwhile=sound
    )
    assert found > 3


@pytest.mark.parametrize("end", [switch.confirm, switch.rollback])
def test_ending_a_switch_on_a_full_disk(tmp_path: Path, end: Callable[..., object]) -> None:
    at_every_write(
        tmp_path,
        waiting,
        lambda host: end(host, generation=2),
        lambda host: one_side(host, 1, 2),
        meanwhile=sound,
    )


def test_staging_on_a_full_disk(tmp_path: Path) -> None:
    def look(host: FakeHost) -> None:
        whole(host, 1)
        host.stage(3, 1)
        switch.switch(host, generation=3, base=1, deadline=60)
        whole(host, 3)

    at_every_write(
        tmp_path,
        managed,
        lambda host: host.stage(3, 1),
        look,
        meanwhile=lambda host: whole(host, 1),
    )


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
@pytest.mark.parametrize(
    ("prepare", "act", "old", "new"),
    [
        (unmanaged, to(1, 0), 0, 1),
        (managed, to(2, 1), 1, 2),
        (waiting, lambda host: switch.confirm(host, generation=2), 1, 2),
        (waiting, lambda host: switch.rollback(host, generation=2), 1, 2),
    ],
    ids=["first_switch", "switch", "confirm", "rollback"],
)
def test_a_disk_that_cannot_be_written_any_more(
    tmp_path: Path, prepare: Act, act: Act, old: int, new: int, number: int
) -> None:
    """Where even the pointer cannot move it says `rollback_failed`, and what to do."""
    at_every_write(tmp_path, prepare, act, lambda host: one_side(host, old, new), number=number)


def test_a_record_of_which_only_a_part_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What write() does shortly before the disk is full: no error, and fewer bytes."""
    host = FakeHost(tmp_path / "root")
    waiting(host)
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data[:5])))
    switch.confirm(host, generation=2)
    monkeypatch.undo()
    newest = Journal(host.layout.journal).last()
    assert newest is not None and newest.state == "confirmed"


def test_facts_are_told_on_a_host_that_cannot_be_written(tmp_path: Path) -> None:
    """Who repairs it has to see it. The cut-off switch is finished when it can be."""
    host = FakeHost(tmp_path / "root")
    waiting(host)
    entry = Journal(host.layout.journal).last()
    assert entry is not None
    entry.append("switched", boot="another", due=0)
    with bad(errno.EROFS, 1, True):
        assert host.ask("facts")["generation"] == 2
    assert host.ask("facts")["generation"] == 1
    whole(host, 1)


def test_the_dead_man_waits_for_a_disk_he_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(tmp_path / "root")
    waiting(host)
    entry = Journal(host.layout.journal).last()
    assert entry is not None
    entry.append("switched", boot="another", due=0)
    with bad(errno.EROFS, 1, True):
        assert not deadman._settled(host, entry.number)
        whole(host, 2)
    deadman._settled(host, entry.number)
    assert deadman._settled(host, entry.number)
    whole(host, 1)


def test_the_dead_man_does_not_go_back_again_and_again(tmp_path: Path) -> None:
    """He went back, and could not write it down: the daemons are left in peace."""
    host = FakeHost(tmp_path / "root")
    waiting(host)
    entry = Journal(host.layout.journal).last()
    assert entry is not None
    entry.append("switched", boot="another", due=0)
    with bad(errno.ENOSPC, 1, True), pytest.MonkeyPatch.context() as patched:
        # Names are there already: only bytes find no room.
        for name in ("symlink", "open"):
            patched.setattr(os, name, getattr(os, name).__closure__[0].cell_contents)
        assert deadman._settled(host, entry.number)
        whole(host, 1)
    assert switch.last(host)["outcome"] != "rolled_back"  # type: ignore[index]
    switch.recover(host)
    assert switch.last(host)["outcome"] == "rolled_back"  # type: ignore[index]


def test_requests_on_a_full_disk_do_not_go_back_again_and_again(tmp_path: Path) -> None:
    """A console asks for facts all the time, and each request finishes what was cut off."""
    host = FakeHost(tmp_path / "root")
    waiting(host)
    entry = Journal(host.layout.journal).last()
    assert entry is not None
    entry.append("switched", boot="another", due=0)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Entry, "append", full)
        assert switch.recover(host) == "rolled_back"
        done = [service.log for service in host.services.values()]
        assert switch.recover(host) == "rolled_back"
        assert [service.log for service in host.services.values()] == done
        switch.recover(host, retry=True)  # asked for: all of it
    done = [service.log for service in host.services.values()]
    switch.recover(host)
    assert switch.last(host)["outcome"] == "rolled_back"  # type: ignore[index]
    assert [service.log for service in host.services.values()] == done
    whole(host, 1)


def test_nothing_is_prepared_that_is_there(tmp_path: Path) -> None:
    """At boot on a disk that is read-only, the daemons are started all the same."""
    host = FakeHost(tmp_path / "root")
    managed(host)
    with bad(errno.EROFS, 1, True) as disk:
        host.prepare()
    assert disk.calls == 0


def test_accounts_on_a_full_disk(tmp_path: Path) -> None:
    """Database and maps agree afterwards, and the same change goes through."""
    host = FakeHost(tmp_path / "root")
    rights = {"can_login": True, "can_send": True, "receives": True}
    box = {"mailbox": {"address": "anna@example.test", "password": HASH, **rights}}
    import json

    def give(through: int, *lines: object) -> None:
        payload = "".join(json.dumps(line) + "\n" for line in lines).encode()
        host.ask(
            "accounts", payload, sequence=through, lineage="L", from_change=0,
            through_change=through, whole=True,
        )  # fmt: skip

    give(1, {"domain": {"name": "example.test"}})
    for first in range(1, 200):
        with bad(errno.ENOSPC, first, True) as disk, suppress(Refused, OSError):
            give(2 * first, {"domain": {"name": "example.test"}}, box)
        if disk.calls < first:
            break
        accounts.refresh(host)
        known = "anna@" in (host.layout.maps / "cansend.db").read_text()
        assert known == (accounts.position(host)["mailboxes"] == 1)
        give(2 * first + 1, {"domain": {"name": "example.test"}})
    else:
        pytest.fail("it never ends")


def test_commands_run_where_no_disk_has_room() -> None:
    """A rollback asks `doveadm` and others; what they say goes to a file."""
    with bad(errno.EROFS, 1, True):
        assert run(["/bin/echo", "here"]).out == b"here\n"
        assert run(["/bin/cat"], stdin=b"there").out == b"there"


def test_a_full_database_is_told_in_words() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    assert wire.code_of(full) == "disk"
    assert wire.sentence(full) == (
        "The disk of this host cannot be written: database or disk is full."
    )
