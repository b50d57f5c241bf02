import io
import os
import time

import pytest

from deploy.bundle import Bundle
from deploy.hostctl import generations, origins, paths
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import KEY, FakeHost, bundle


def test_the_consoles_bundle_is_understood_and_has_the_same_digest() -> None:
    made = Bundle(bundle("a"))
    files = generations.unpack(io.BytesIO(made.tar()))
    assert files == dict(made.files)
    assert generations.digest_of(files) == made.digest


def test_the_console_and_the_host_name_the_same_files() -> None:
    from deploy import bundle as consoles
    from deploy import plan

    assert set(paths.BUNDLE_FILES) == consoles.PATHS
    for name, file in paths.BUNDLE_FILES.items():
        assert set(plan.SERVICES_OF[name]) == file.services


def test_staging_writes_beside_what_is_live(host: FakeHost) -> None:
    host.stage(1, 0)
    folder = host.layout.generation(1)
    mc = (folder / "sendmail/sendmail.mc").read_text()
    assert mc == f"mc of generation 1 in {folder}"
    assert os.readlink(folder / paths.DOVECOT_LINK) == "dovecot24.conf"
    assert (folder / paths.KEY_FILE).stat().st_ino == (
        host.layout.keys / f"{KEY}.key"
    ).stat().st_ino
    assert generations.current(host) is None


def stage(host: FakeHost, **changes: object) -> None:
    files = bundle("other")
    wanted = {
        "generation": 2, "base": 0, "key": KEY, "digest": generations.digest_of(files),
        "files": files, "dovecot_version": "2.3.19",
    }  # fmt: skip
    generations.stage(host, **{**wanted, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"base": 1}, "base_moved"),
        ({"digest": "0" * 64}, "digest"),
        ({"key": "42" * 16}, "no_key"),
        ({"key": "../../../etc/passwd"}, "bad_request"),
    ],
)
def test_staging_refuses(host: FakeHost, changes: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        stage(host, **changes)
    assert refused.value.code == code
    assert not host.layout.generation(2).exists()


def test_postfix_need_not_wait_for_files_just_written(host: FakeHost) -> None:
    """It would for two seconds, in case that somebody is still writing."""
    program = host.layout.at(paths.POSTFIX)
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch()
    files = {"postfix/main.cf": b"a = @GENERATION@\n", "postfix/master.cf": b""}
    stage(host, files=files, digest=generations.digest_of(files))
    folder = host.layout.generation(2) / "postfix"
    assert (folder / "main.cf").read_text() == f"a = {folder.parent}\n"
    for name in ("main.cf", "master.cf"):
        assert time.time() - (folder / name).stat().st_mtime > 3


def test_a_bundle_for_another_mail_server_is_refused(host: FakeHost) -> None:
    files = {"postfix/main.cf": b"", "postfix/master.cf": b""}
    with pytest.raises(Refused) as refused:
        stage(host, files=files, digest=generations.digest_of(files))
    assert refused.value.code == "wrong_mta"


def test_staging_the_same_again_is_no_error(host: FakeHost) -> None:
    stage(host)
    before = (host.layout.generation(2) / paths.MANIFEST).stat().st_mtime_ns
    stage(host)
    assert (host.layout.generation(2) / paths.MANIFEST).stat().st_mtime_ns == before


def test_what_was_never_live_may_be_staged_anew(host: FakeHost) -> None:
    host.stage(2, 0, "first thought")
    stage(host)
    assert os.readlink(host.layout.generation(2) / paths.DOVECOT_LINK) == "dovecot23.conf"


def test_what_was_live_is_never_overwritten(host: FakeHost) -> None:
    host.stage(2, 0, "first thought")
    host.ask("switch", sequence=1, generation=2, base=0, deadline=60)
    with pytest.raises(Refused) as refused:
        stage(host, base=2)
    assert refused.value.code == "exists"


def test_only_what_changed_is_told(host: FakeHost) -> None:
    host.stage(1, 0, "same")
    host.stage(2, 0, "same")
    assert generations.affected(host, 1, 2) == {}
    files = bundle("same")
    for number, change, expected in (
        (3, {"sendmail/sendmail.mc": b"new"}, {"sendmail": "reload"}),
        (4, {"dovecot/dovecot24.conf": b"new"}, {"dovecot": "reload"}),
        (5, {"dovecot/dovecot23.conf": b"new"}, {}),
        (6, {"sendmail/Sendmail.conf": b"new"}, {"sendmail": "restart"}),
        (7, {"tls/chain.pem": b"new"}, {"sendmail": "reload", "dovecot": "reload"}),
    ):
        new = {**files, **change}
        stage(host, generation=number, files=new, digest=generations.digest_of(new),
              dovecot_version="2.4.1")  # fmt: skip
        assert generations.affected(host, 1, number) == expected
    assert generations.affected(host, 0, 1) == {"sendmail": "restart", "dovecot": "restart"}


def test_old_generations_go_but_never_the_ones_in_use(host: FakeHost) -> None:
    origins.remember(host)
    for number in range(1, 16):
        host.stage(number, 0)
    generations.point(host, 2)
    (host.layout.generations / ".1.gone/tls").mkdir(parents=True)  # of one that was killed
    generations.prune(host, frozenset({3}))
    left = sorted(int(p.name) for p in host.layout.generations.iterdir())
    assert left == [0, 2, 3, *range(6, 16)]


def test_a_pointer_that_is_not_ours_is_not_followed(host: FakeHost) -> None:
    host.layout.current.symlink_to("/somewhere/else")
    with pytest.raises(Refused) as refused:
        generations.current(host)
    assert refused.value.code == "pointer"
