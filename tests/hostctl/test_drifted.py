"""Files that somebody changed on the host: named, marked, shown within bounds, never overwritten
unseen."""

import hashlib
import os
from pathlib import Path

import pytest

from deploy.hostctl import checks, drifted, generations, origins, paths
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import KEY, FakeHost, bundle


@pytest.fixture
def live(host: FakeHost) -> FakeHost:
    """Generation 1 is live and nobody touched it."""
    host.before()
    host.stage(1, 0)
    built(host, "cf of generation 1")
    host.ask("switch", sequence=1, generation=1, base=0, deadline=60)
    host.ask("confirm", sequence=2, generation=1)
    assert drifted.found(host) == []
    return host


def built(host: FakeHost, text: str) -> None:
    """As `validate` notes it."""
    folder = host.layout.generation(1)
    values = generations.manifest(host, 1) or {}
    digest = hashlib.sha256(text.encode()).hexdigest()
    values["installed"][paths.BUILT_CF] = digest
    generations.write_manifest(host, folder, values)


def inside(host: FakeHost, name: str) -> Path:
    return host.layout.generation(1) / name


def states(host: FakeHost) -> dict[str, str]:
    return {each.name: each.state for each in drifted.found(host)}


def test_nothing_of_ours_is_live(host: FakeHost) -> None:
    host.before()
    assert drifted.found(host) == []
    assert host.ask("drift") == {"generation": None, "files": []}


def test_a_changed_file_is_named_marked_and_shown(live: FakeHost) -> None:
    path = inside(live, "dovecot/dovecot24.conf")
    path.write_text("mine")
    facts = live.ask("facts")
    assert facts["drift"] == [str(path)]
    mark = facts["drift_marks"][str(path)]
    (file,) = live.ask("drift")["files"]
    assert file == {"path": str(path), "name": "dovecot/dovecot24.conf", "state": "changed",
                    "mark": mark, "target": "", "text": "mine"}  # fmt: skip
    path.write_text("mine, and again")
    assert live.ask("facts")["drift_marks"][str(path)] != mark


def test_a_file_that_is_as_deployed_again_has_not_drifted(live: FakeHost) -> None:
    path = inside(live, "dovecot/dovecot24.conf")
    was = path.read_bytes()
    path.write_text("mine")
    path.write_bytes(was)
    assert drifted.found(live) == []


def test_links_that_a_package_or_a_person_replaced(live: FakeHost) -> None:
    cf = live.layout.at("/etc/mail/sendmail.cf")
    cf.unlink()
    cf.write_text("made by a package's upgrade")
    sasl = live.layout.at("/etc/sasl2/Sendmail.conf")
    sasl.unlink()
    sasl.symlink_to("/etc/shadow")
    live.layout.at("/etc/dovecot/dovecot.conf").unlink()
    inner = inside(live, "dovecot/dovecot.conf")
    inner.unlink()
    inner.symlink_to("/etc/shadow")
    files = {each["path"]: each for each in live.ask("drift")["files"]}
    assert {path: each["state"] for path, each in files.items()} == {
        str(cf): "replaced",
        str(sasl): "relinked",
        str(live.layout.at("/etc/dovecot/dovecot.conf")): "missing",
        str(inner): "relinked",
    }
    assert files[str(cf)]["text"] == "made by a package's upgrade"
    assert files[str(cf)]["deployed"] == "cf of generation 1"
    assert files[str(sasl)]["target"] == "/etc/shadow"
    assert [path for path, each in files.items() if "text" in each] == [str(cf)], "none followed"


@pytest.mark.parametrize("name", ["dovecot/dovecot24.conf", "tls/ca.pem"])
def test_a_link_in_a_files_place_is_not_followed(live: FakeHost, name: str) -> None:
    secret = live.layout.root / "secret"
    secret.write_text("not to be seen")
    inside(live, name).unlink()
    inside(live, name).symlink_to(secret)
    answer = live.ask("drift")
    assert answer["files"][0]["state"] == "relinked"
    assert "not to be seen" not in str(answer)


def test_a_folder_that_is_a_link_is_not_followed(live: FakeHost) -> None:
    elsewhere = live.layout.root / "elsewhere"
    os.rename(inside(live, "tls"), elsewhere)
    (elsewhere / "ca.pem").write_text("not to be seen")
    inside(live, "tls").symlink_to(elsewhere)
    assert states(live)["tls/ca.pem"] == "strange"
    assert "not to be seen" not in str(live.ask("drift"))


def test_a_key_is_never_shown(live: FakeHost) -> None:
    inside(live, paths.KEY_FILE).unlink()
    inside(live, paths.KEY_FILE).write_text("another key")
    inside(live, "tls/chain.pem").write_text("-----BEGIN PRIVATE KEY-----\nabc\n")
    files = {each["name"]: each for each in live.ask("drift")["files"]}
    assert {name: each["left_out"] for name, each in files.items()} == {
        paths.KEY_FILE: "key",
        "tls/chain.pem": "key",
    }
    assert not any("text" in each for each in files.values())


def test_a_key_changed_where_it_is_kept_is_noticed(live: FakeHost) -> None:
    """The file of the generation is a hard link to it."""
    (live.layout.keys / f"{KEY}.key").write_text("another key")
    assert states(live) == {paths.KEY_FILE: "changed"}


def test_what_is_too_large_is_named_and_left_out(
    live: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(live, "dovecot/dovecot24.conf").write_text("x" * (drifted.FILE_CAP + 1))
    (file,) = live.ask("drift")["files"]
    assert file["left_out"] == "size" and "text" not in file
    monkeypatch.setattr(drifted, "ALL_CAP", 10)
    inside(live, "dovecot/dovecot24.conf").write_text("x" * 6)
    inside(live, "sendmail/sendmail.mc").write_text("y" * 6)
    first, second = live.ask("drift")["files"]
    assert first["text"] == "x" * 6 and second["left_out"] == "size"


def test_a_changed_cf_is_shown_beside_the_one_that_was_made(
    live: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """m4 stands in here; the live tests have the real one."""
    made = b"cf of generation 1"
    monkeypatch.setattr(checks, "made_cf", lambda host, folder: made)
    inside(live, paths.BUILT_CF).write_text("another cf")
    (file,) = live.ask("drift")["files"]
    assert (file["text"], file["deployed"]) == ("another cf", "cf of generation 1")
    made = b"what a newer m4 makes of it"
    (file,) = live.ask("drift")["files"]
    assert "deployed" not in file
    inside(live, "sendmail/sendmail.mc").write_text("another mc")
    assert all("deployed" not in each for each in live.ask("drift")["files"])


def test_the_manifest_gone(live: FakeHost) -> None:
    inside(live, paths.MANIFEST).unlink()
    assert states(live) == {paths.MANIFEST: "missing"}


def test_a_request_for_another_host_sees_nothing(live: FakeHost) -> None:
    inside(live, "dovecot/dovecot24.conf").write_text("mine")
    with pytest.raises(Refused) as refused:
        live.ask("drift", host="another")
    assert refused.value.code == "wrong_host"


# Overwriting


def stage(host: FakeHost, **fields: object) -> None:
    from deploy.bundle import Bundle

    made = Bundle(bundle("two"))
    host.ask("stage", made.tar(), sequence=9, generation=2, base=1, key=KEY, digest=made.digest,
             **fields)  # fmt: skip


def test_nothing_is_staged_over_what_nobody_saw(live: FakeHost) -> None:
    path = inside(live, "dovecot/dovecot24.conf")
    path.write_text("mine")
    seen = live.ask("facts")["drift_marks"]
    path.write_text("mine, and again")
    for known in ({}, seen):
        with pytest.raises(Refused) as refused:
            stage(live.again(), drift=known)
        assert (refused.value.code, refused.value.extra["paths"]) == ("drifted", [str(path)])
        (live.layout.identity).unlink()
    assert not live.layout.generation(2).exists()
    stage(live, drift=live.ask("facts")["drift_marks"])
    assert live.layout.generation(2).is_dir()


def test_what_is_as_deployed_again_is_in_nobodys_way(live: FakeHost) -> None:
    stage(live, drift={"/etc/mail/sendmail.cf": "ab" * 32})
    assert live.layout.generation(2).is_dir()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("dovecot/dovecot24.conf", {"dovecot": ["reload"]}),
        ("dovecot/dovecot23.conf", {}),
        ("sendmail/Sendmail.conf", {"sendmail": ["restart"]}),
        (paths.BUILT_CF, {"sendmail": ["reload"]}),
    ],
)
def test_a_daemon_that_may_have_read_a_changed_file_is_told(
    live: FakeHost, name: str, told: dict[str, list[str]]
) -> None:
    """Though both generations hold the same bytes."""
    inside(live, name).write_text("mine")
    live.stage(2, 1, "generation 1")
    before = {each: len(live.services[each].log) for each in live.services}
    live.ask("switch", sequence=9, generation=2, base=1, deadline=60)
    log = {each: live.services[each].log[before[each] :] for each in live.services}
    assert {each: said for each, said in log.items() if said} == told


def test_a_switch_makes_the_links_anew(live: FakeHost) -> None:
    cf = live.layout.at("/etc/mail/sendmail.cf")
    cf.unlink()
    cf.write_text("made by a package's upgrade")
    live.stage(2, 1, "generation 1")
    live.ask("switch", sequence=9, generation=2, base=1, deadline=60)
    assert os.readlink(cf) == str(live.layout.current / paths.BUILT_CF)
    assert live.services["sendmail"].loaded == "cf of generation 1"
    assert origins.generations.current(live) == 2
