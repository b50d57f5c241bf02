"""A symbolic link in the way: never followed, whoever put it there.

The folders and files are not listed here; what the helper itself asks for is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deploy.hostctl import accounts, durable, generations, paths, switch, wire
from deploy.hostctl.wire import Refused
from tests.faults.sides import managed, unmanaged, whole
from tests.hostctl.fakes import KEY, FakeHost

SECRET = b"what another program relies on\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file elsewhere to which a link leads."""
    made = tmp_path / "elsewhere" / "victim"
    made.parent.mkdir()
    made.write_bytes(SECRET)
    return made


def untouched(victim: Path) -> bool:
    return victim.read_bytes() == SECRET and os.listdir(victim.parent) == ["victim"]


@pytest.mark.parametrize("name", sorted(paths.Layout(Path("/nowhere")).own_paths()))
def test_at_a_well_known_path_it_is_replaced_and_put_back(
    host: FakeHost, victim: Path, name: str
) -> None:
    unmanaged(host)
    path = host.layout.at(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    switch.switch(host, generation=1, base=0, deadline=60)
    assert untouched(victim)
    assert Path(os.readlink(path)).is_relative_to(host.layout.current)
    switch.rollback(host, generation=1)
    assert untouched(victim)
    assert os.readlink(path) == str(victim)


@pytest.mark.parametrize("name", sorted(paths.Layout(Path("/nowhere")).own_paths()))
def test_where_a_well_known_path_is_written_first(host: FakeHost, victim: Path, name: str) -> None:
    unmanaged(host)
    path = host.layout.at(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f".{path.name}.new").symlink_to(victim)
    switch.switch(host, generation=1, base=0, deadline=60)
    switch.rollback(host, generation=1)
    assert untouched(victim)


def folders(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(durable, "folder", lambda path, *rest: asked.append(path))
        host.prepare()
    return [*asked, host.layout.accounts_db.parent]


def test_in_the_place_of_each_of_our_folders(
    host: FakeHost, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed(host)
    accounts.connect(host).close()
    all_of_them = folders(host, monkeypatch)
    assert host.layout.keys in all_of_them and host.layout.state in all_of_them
    for folder in all_of_them:
        aside = folder.with_name(folder.name + ".aside")
        folder.rename(aside)
        folder.symlink_to(victim.parent, target_is_directory=True)
        with pytest.raises(OSError) as failed:
            host.prepare()
            accounts.connect(host)
        assert wire.code_of(failed.value) == "path"
        assert wire.sentence(failed.value) == (
            f"{folder} is a link, which is not followed: remove it."
        )
        assert untouched(victim), folder
        folder.unlink()
        aside.rename(folder)
    whole(host, 1)


def test_in_the_place_of_each_lock(host: FakeHost, victim: Path) -> None:
    for name in paths.LOCKS:
        lock = host.layout.state / name
        lock.unlink(missing_ok=True)
        lock.symlink_to(victim.parent / "made")
        with pytest.raises(OSError) as failed, host.locked(0, name):
            pass
        assert wire.code_of(failed.value) == "path"
        lock.unlink()
    assert untouched(victim)


def test_in_the_place_of_a_generation_and_where_it_is_written(host: FakeHost, victim: Path) -> None:
    managed(host)
    for name in ("3", ".3.new"):
        link = host.layout.generations / name
        link.symlink_to(victim.parent, target_is_directory=True)
        with pytest.raises((Refused, OSError), match=r"a link"):
            host.stage(3, 1)
        assert untouched(victim)
        link.unlink()
    host.stage(3, 1)


def test_in_the_place_of_a_key(host: FakeHost, victim: Path) -> None:
    managed(host)
    key = host.layout.keys / f"{KEY}.key"
    key.unlink()
    key.symlink_to(victim)
    with pytest.raises(Refused) as refused:
        host.stage(3, 1)
    assert refused.value.code == "no_key"
    (host.layout.keys / ".new.key").symlink_to(victim)
    host.ask("csr", sequence=1, names=["mail.example.test"])
    assert untouched(victim)


def test_in_the_place_of_the_next_record(host: FakeHost, victim: Path) -> None:
    managed(host)
    (host.layout.journal / "00000002.jsonl").symlink_to(victim)
    switch.switch(host, generation=2, base=1, deadline=60)
    assert untouched(victim)
    whole(host, 2)


@pytest.mark.parametrize("name", ["host.json", ".host.json.new"])
def test_in_the_place_of_the_identity(host: FakeHost, victim: Path, name: str) -> None:
    managed(host)
    link = host.layout.state / name
    link.symlink_to(victim)
    if name == "host.json":
        with pytest.raises(Refused, match="cannot be read"):
            host.ask("csr", sequence=1, names=["mail.example.test"])
    else:
        host.ask("csr", sequence=1, names=["mail.example.test"])
    assert untouched(victim)


@pytest.mark.parametrize("name", ["accounts.sqlite", "lastlogin.sqlite"])
def test_in_the_place_of_a_database(host: FakeHost, victim: Path, name: str) -> None:
    """Dovecot's group may write in that folder."""
    folder = host.layout.accounts_db.parent
    durable.folder(folder, 0o770)
    for target in (victim, victim.parent / "made"):
        (folder / name).symlink_to(target)
        with pytest.raises(Refused) as refused:
            accounts.connect(host)
        assert refused.value.code == "path"
        assert untouched(victim)
        (folder / name).unlink()


@pytest.mark.parametrize("target", ["elsewhere/1", "/etc/1", "generations/../../1", "generations"])
def test_a_pointer_that_leads_elsewhere(host: FakeHost, target: str) -> None:
    managed(host)
    durable.relink(host.layout.current, target)
    for act in (
        lambda: generations.current(host),
        lambda: switch.switch(host, generation=2, base=1, deadline=60),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "pointer"


def test_a_folder_in_the_place_of_the_pointer(host: FakeHost) -> None:
    managed(host)
    host.layout.current.unlink()
    shutil.copytree(host.layout.generation(1), host.layout.current)
    with pytest.raises((Refused, OSError)):
        switch.switch(host, generation=2, base=1, deadline=60)
    assert host.services["sendmail"].loaded == "cf of generation 1"
