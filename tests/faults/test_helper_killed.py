"""The helper is killed at every step it takes: the host ends on one side, whole.

The real code runs in a child process in which every call that changes something counts; the
child kills itself (SIGKILL) at the first, then at the second, and so on, before and after the
call.  Then the helper is started once more, as the next request, the dead-man or the boot unit
would, and pointer, links and both daemons are looked at.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.hostctl import accounts, deadman, generations, holding, switch
from tests.faults.sides import managed, one_side, unmanaged, waiting, whole
from tests.hostctl import queued
from tests.hostctl.fakes import HASH, Commands, Daemon, FakeHost

_CALLS = (
    "replace", "rename", "symlink", "link", "unlink", "fsync", "write", "mkdir", "chmod",
    "fchmod", "rmdir",
)  # fmt: skip
_DAEMON_CALLS = ("start", "stop", "reload", "restart")


def _die_at(step: int, after: bool) -> None:
    """From now on this process dies at its `step`-th change."""
    taken = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            nonlocal taken
            taken += 1
            mine = taken
            if mine == step and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*args, **options)
            finally:
                if mine == step and after:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))
    for name in _DAEMON_CALLS:
        setattr(Daemon, name, counted(getattr(Daemon, name)))
    Commands.__call__ = counted(Commands.__call__)  # type: ignore[method-assign,assignment]


def killed(act: Callable[[], object], step: int, after: bool) -> bool:
    """Runs `act` in a child that dies at this step; False: it came to its end before."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _die_at(step, after)
            act()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "it failed instead of being killed"
    return False


def at_every_step(
    tmp_path: Path,
    prepare: Callable[[FakeHost], None],
    act: Callable[[FakeHost], object],
    look: Callable[[FakeHost], None],
) -> int:
    """The number of steps.  Each time on a fresh copy of the prepared host, at the same path
    (a generation's files name it)."""
    root, kept = tmp_path / "root", tmp_path / "kept"
    prepare(FakeHost(root))
    shutil.copytree(root, kept, symlinks=True)
    for after in (False, True):
        for step in range(1, 1000):
            shutil.rmtree(root)
            shutil.copytree(kept, root, symlinks=True)
            host = FakeHost(root)
            done = not killed(lambda host=host: act(host), step, after)  # type: ignore[misc]
            look(FakeHost(root))
            if done:
                break
        else:
            raise AssertionError("it never ends")
    return step - 1


def test_first_switch(tmp_path: Path) -> None:
    steps = at_every_step(
        tmp_path,
        unmanaged,
        lambda host: switch.switch(host, generation=1, base=0, deadline=60),
        lambda host: one_side(host, 0, 1),
    )
    assert steps > 30


def test_switch_between_generations(tmp_path: Path) -> None:
    steps = at_every_step(
        tmp_path,
        managed,
        lambda host: switch.switch(host, generation=2, base=1, deadline=60),
        lambda host: one_side(host, 1, 2),
    )
    assert steps > 8


def test_confirm(tmp_path: Path) -> None:
    at_every_step(
        tmp_path,
        waiting,
        lambda host: switch.confirm(host, generation=2),
        lambda host: one_side(host, 1, 2),
    )


def test_rollback(tmp_path: Path) -> None:
    at_every_step(
        tmp_path,
        waiting,
        lambda host: switch.rollback(host, generation=2),
        lambda host: one_side(host, 1, 2),
    )


def test_rollback_of_a_switch_that_failed(tmp_path: Path) -> None:
    def prepare(host: FakeHost) -> None:
        managed(host)
        host.stage(3, 1, "BROKEN")

    def act(host: FakeHost) -> None:
        try:
            switch.switch(host, generation=3, base=1, deadline=60)
        except switch.Refused as refused:
            assert refused.code == "rolled_back"

    at_every_step(tmp_path, prepare, act, lambda host: one_side(host, 1, 2))


def test_leaving(tmp_path: Path) -> None:
    def look(host: FakeHost) -> None:
        switch.recover(host, retry=True)
        assert generations.current(host) in (0, 1)
        whole(host, generations.current(host) or 0)

    at_every_step(tmp_path, managed, switch.leave, look)


def test_giving_back(tmp_path: Path) -> None:
    """Ours with every message in the queue, or what was before, with what would bounce held."""

    def prepare(host: FakeHost) -> None:
        queued.fill(queued.two_domains(host))

    def with_queue(host: FakeHost) -> FakeHost:
        host.run = queued.Sendmail(host)
        return host

    def leave(host: FakeHost) -> None:
        switch.switch(with_queue(host), generation=0, base=1, deadline=60)

    def held(host: FakeHost) -> set[str]:
        found = queued.waiting(host)
        assert len(found) == 6
        return {name for name, reason in found.items() if reason == holding.REASON}

    def look(host: FakeHost) -> None:
        switch.recover(with_queue(host), retry=True)
        if generations.current(host) == 0:
            whole(host, 0)
            assert held(host) == queued.BOUNCE
            switch.rollback(host, generation=0)
        whole(host, 1)
        assert not held(host)
        leave(host)
        switch.confirm(host, generation=0)
        whole(host, 0)
        assert held(host) == queued.BOUNCE

    assert at_every_step(tmp_path, prepare, leave, look) > 15


def test_staging(tmp_path: Path) -> None:
    def look(host: FakeHost) -> None:
        whole(host, 1)
        host.stage(3, 1)
        switch.switch(host, generation=3, base=1, deadline=60)
        whole(host, 3)

    at_every_step(tmp_path, managed, lambda host: host.stage(3, 1), look)


def test_the_dead_man_himself(tmp_path: Path) -> None:
    def prepare(host: FakeHost) -> None:
        managed(host)
        switch.switch(host, generation=2, base=1, deadline=2)
        import time

        time.sleep(2.05)

    at_every_step(
        tmp_path, prepare, lambda host: deadman.watch(host, 2), lambda host: one_side(host, 1, 2)
    )


def test_a_delta_of_accounts(tmp_path: Path) -> None:
    """Database and maps agree after the next start; the console sends the delta again."""
    import io
    import json

    def lines(*given: dict[str, object]) -> bytes:
        return "".join(json.dumps(line) + "\n" for line in given).encode()

    def box(name: str, allowed: bool = True) -> dict[str, object]:
        rights = {"can_login": allowed, "can_send": allowed, "receives": True}
        return {"mailbox": {"address": f"{name}@example.test", "password": HASH, **rights}}

    def apply(host: FakeHost, through: int, whole: bool, *given: dict[str, object]) -> None:
        accounts.apply(
            host, lineage="L", from_change=0, through_change=through, whole=whole, force=False,
            end_sessions=[], lines=io.BytesIO(lines(*given)),
        )  # fmt: skip

    def prepare(host: FakeHost) -> None:
        apply(host, 1, True, {"domain": {"name": "example.test"}}, box("anna"), box("bob"))

    def change(host: FakeHost) -> None:
        alias = {"alias": {"address": "sales@example.test", "targets": ["bob@example.test"]}}
        apply(host, 2, False, box("anna", False), box("carol"), alias)

    def look(host: FakeHost) -> None:
        accounts.refresh(host)
        may_send = (host.layout.maps / "cansend.db").read_text()
        accepted = (host.layout.maps / "access.db").read_text()
        named = (host.layout.maps / "sendas.db").read_text()
        if accounts.position(host)["through_change"] == 1:
            assert "anna@" in may_send and "carol@" not in may_send + accepted
            assert not named
        else:
            assert "anna@" not in may_send and "carol@" in may_send and "carol@" in accepted
            assert "bob@example.test:sales@" in named and "sales@" in accepted
        change(host)
        assert accounts.position(host)["through_change"] == 2
        assert "anna@" not in (host.layout.maps / "cansend.db").read_text()

    assert at_every_step(tmp_path, prepare, change, look) > 15


def test_a_request_that_was_killed_is_not_done_when_replayed(tmp_path: Path) -> None:
    """Its number counts as used once anything could have been done."""
    from deploy.hostctl.wire import Refused

    def look(host: FakeHost) -> None:
        if not host.layout.identity.exists():
            assert generations.current(host) == 1
            return
        try:
            host.ask("switch", sequence=7, generation=2, base=1, deadline=60)
        except Refused as refused:
            assert refused.code == "replayed"
            whole(host, int(generations.current(host) or 0))
        else:
            pytest.fail("done twice")

    at_every_step(
        tmp_path,
        managed,
        lambda host: host.ask("switch", sequence=7, generation=2, base=1, deadline=60),
        look,
    )
