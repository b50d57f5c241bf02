"""The disk of a real host: full from any page on, without inodes, read-only.

/var/lib/mailadmin is a file system of its own there, so small that it can be filled.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from tests.faults.hosts import KEY, all_on_the_old, outside, settled
from tests.live.conftest import started
from tests.live.hostctl_host import HostError, MailHost, until

OPTIONS = "size=12m,nr_inodes=2000,mode=755"
FILL = """
import errno, os, sys
left, what = int(sys.argv[1]), sys.argv[2]
place = "/var/lib/mailadmin/.filler"
os.makedirs(place, exist_ok=True)
made = []
try:
    if what == "inodes":
        while True:
            name = f"{place}/{len(made)}"
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
            made.append(name)
    with open(f"{place}/bytes", "wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096:
            pass
except OSError as full:
    assert full.errno == errno.ENOSPC
if what == "inodes":
    for name in made[len(made) - left:]:
        os.unlink(name)
else:
    size = os.path.getsize(f"{place}/bytes")
    os.truncate(f"{place}/bytes", max(0, (size // 4096 - left) * 4096))
"""


@pytest.fixture(scope="module", params=["trixie", pytest.param("bookworm", marks=pytest.mark.soak)])
def host(
    request: pytest.FixtureRequest,
    can_run_hosts: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MailHost]:
    with started(request.param) as machine:
        machine.run(["mkdir", "-p", paths.STATE])
        made = MailHost.__new__(MailHost)
        made.machine = machine
        outside(made, "mount", "-t", "tmpfs", "-o", OPTIONS, "tmpfs", paths.STATE)
        made = MailHost(machine, tmp_path_factory.mktemp("authority"), KEY)
        made.fill("anna")
        made.deploy()
        yield made


@pytest.fixture(autouse=True)
def room_again(host: MailHost) -> Iterator[None]:
    yield
    make_room(host)


def fill(host: MailHost, left: int, what: str = "bytes") -> None:
    """Until `left` pages, or files, are left."""
    host.machine.run(["/usr/bin/python3", "-c", FILL, str(left), what])


def make_room(host: MailHost) -> None:
    host.machine.run(["rm", "-rf", f"{paths.STATE}/.filler"])


def attempt(host: MailHost, left: int, what: str) -> str:
    """A rollout with so little room; where it ended."""
    tls = host.certificate()
    bundle = host.bundle(tls)
    number = host.numbered + 1
    fill(host, left, what)
    said = "confirmed"
    try:
        host.stage(bundle, tls.key_id)
        host.ask("validate", generation=number)
        host.switch(number)
        host.ask("confirm", generation=number)
    except HostError as error:
        said = error.code
    facts = host.ask("facts")
    assert facts["generation"] == (number if said == "confirmed" else host.generation)
    make_room(host)
    host.numbered = number
    if said == "confirmed":
        host.generation, host.served = number, tls.fingerprint_sha256
    else:
        assert said in ("disk", "rolled_back", "refused"), said
        host.ask("recover")
    return said


def until_it_fits(host: MailHost, what: str, by: int) -> list[str]:
    said = []
    for left in range(0, 400, by):
        said.append(attempt(host, left, what))
        if said[-1] == "confirmed":
            break
    all_on_the_old(host)
    return said


def test_a_rollout_on_a_full_disk(host: MailHost) -> None:
    said = until_it_fits(host, "bytes", 11)
    assert said[0] == "disk" and said[-1] == "confirmed" and len(said) > 2, said


def test_a_rollout_without_inodes(host: MailHost) -> None:
    said = until_it_fits(host, "inodes", 5)
    assert said[0] == "disk" and said[-1] == "confirmed" and len(said) > 2, said


@pytest.mark.soak
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_rollout_with_any_room(host: MailHost, what: str) -> None:
    assert until_it_fits(host, what, 1)[-1] == "confirmed"


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_switch_on_a_full_disk(host: MailHost, left: int) -> None:
    """What was checked goes live, or the old one stays; and going back needs no room."""
    number, tls = host.prepare()
    fill(host, left)
    try:
        host.switch(number, deadline=60)
    except HostError as error:
        assert error.code in ("disk", "rolled_back")
    else:
        until(lambda: set(host.fingerprints().values()) == {tls.fingerprint_sha256}, 10)
        host.ask("rollback", generation=number)
    assert host.current() == host.generation
    make_room(host)
    host.ask("recover")
    all_on_the_old(host)


def test_the_dead_man_on_a_full_disk(host: MailHost) -> None:
    number, _ = host.prepare()
    host.switch(number, deadline=3)
    fill(host, 0)
    until(lambda: host.current() == host.generation, 15)
    make_room(host)
    host.ask("recover")
    assert host.outcome() == "rolled_back"
    all_on_the_old(host)


def test_a_disk_that_became_read_only(host: MailHost) -> None:
    """Facts are told, nothing is changed, and what waited goes back as soon as it can."""
    number, _ = host.prepare()
    waiting, _ = host.prepare()
    host.switch(waiting, deadline=3)
    try:
        outside(host, "mount", "-o", "remount,ro", paths.STATE)
        for verb, fields in (
            ("switch", {"generation": number, "base": waiting, "deadline": 60}),
            ("csr", {"names": [host.machine.fqdn]}),
        ):
            with pytest.raises(HostError) as refused:
                host.ask(verb, **fields)
            assert refused.value.code == "disk"
            assert "Read-only file system" in refused.value.message
        until(lambda: host.ask("facts")["pending"]["deadline"] == 0, 10)
        assert host.ask("facts")["generation"] == waiting
    finally:
        outside(host, "mount", "-o", "remount,rw", paths.STATE)
    until(lambda: settled(host), 20)
    assert host.outcome() == "rolled_back"
    all_on_the_old(host)
