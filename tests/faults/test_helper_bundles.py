"""Bundles that nobody honest would send, and requests that do not end: refused, and cheaply."""

from __future__ import annotations

import io
import os
import random
import resource
import tarfile
from pathlib import Path

import pytest

from deploy.bundle import Bundle
from deploy.hostctl import generations, paths, wire
from deploy.hostctl.wire import Refused
from tests.faults.sides import managed, whole
from tests.hostctl.fakes import KEY, FakeHost, bundle, tar_of

WHOLE = Bundle(bundle("a")).tar()
GIGABYTES = 10 * 1024**3


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [member("../../etc/passwd")],
        [member("/etc/passwd")],
        [member("sendmail/sendmail.cf")],
        [member("tls/key.pem")],
        [member("sendmail/./sendmail.mc")],
        [member("tls/ca.pem", tarfile.SYMTYPE, "/etc/shadow")],
        [member("tls/ca.pem", tarfile.LNKTYPE, "/etc/shadow")],
        [member("tls/ca.pem", tarfile.CHRTYPE)],
        [member("tls/ca.pem", tarfile.FIFOTYPE)],
        [member("tls", tarfile.DIRTYPE)],
        [member("tls/ca.pem"), member("tls/ca.pem")],
        [member("tls/ca.pem", tarfile.BLKTYPE)],
        [member("tls/ca.pem", tarfile.GNUTYPE_SPARSE)],
        [member("tls/ca.pem", tarfile.XHDTYPE)],
    ],
)
def test_anything_but_the_tables_plain_files_is_refused(members: list[tarfile.TarInfo]) -> None:
    with pytest.raises(Refused) as refused:
        generations.unpack(io.BytesIO(tar_of(members)))
    assert refused.value.code == "path"


def test_a_file_beyond_its_cap_is_refused() -> None:
    name = "sendmail/Sendmail.conf"
    content = b"x" * (paths.BUNDLE_FILES[name].cap + 1)
    with pytest.raises(Refused) as refused:
        generations.unpack(io.BytesIO(tar_of([member(name)], {name: content})))
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("archive", [b"", b"x" * 2048, b"\0" * 1024])
def test_what_is_no_archive_is_refused(archive: bytes) -> None:
    with pytest.raises(Refused):
        generations.unpack(io.BytesIO(archive))


def test_an_archive_cut_short_is_refused() -> None:
    whole = Bundle(bundle("a")).tar()
    with pytest.raises(Refused):
        generations.unpack(io.BytesIO(whole[: len(whole) // 2 - 100]))


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_that_needs_an_extension_of_tar_is_refused(format: int) -> None:
    """Nothing of what an extended header says is looked at."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        tar.addfile(member("tls/" + "a" * 200 + ".pem"))
    out.seek(0)
    with pytest.raises(Refused) as refused:
        generations.unpack(out)
    assert refused.value.code == "path"


def test_a_member_that_announces_ten_gigabytes_is_refused_by_its_header() -> None:
    made = member("tls/ca.pem")
    made.size = GIGABYTES
    for header in (made.tobuf(tarfile.GNU_FORMAT), negative(made)):
        with pytest.raises(Refused) as refused:
            generations.unpack(io.BytesIO(header))
        assert refused.value.code == "too_large"


def negative(made: tarfile.TarInfo) -> bytes:
    made.size = -1
    return made.tobuf(tarfile.GNU_FORMAT)


def test_a_bundle_cut_anywhere_is_refused() -> None:
    for length in range(0, len(WHOLE.rstrip(b"\0")), 61):
        with pytest.raises(Refused):
            generations.unpack(io.BytesIO(WHOLE[:length]))


def test_a_bundle_with_any_byte_changed_is_refused_or_has_another_digest() -> None:
    chance = random.Random(5)
    digest = generations.digest_of(bundle("a"))
    used = len(WHOLE.rstrip(b"\0"))
    for _ in range(2000):
        changed = bytearray(WHOLE)
        changed[chance.randrange(used)] ^= 1 << chance.randrange(8)
        try:
            files = generations.unpack(io.BytesIO(changed))
        except Refused:
            continue
        same = generations.digest_of(files) == digest
        assert not same or files == bundle("a")


class Endless(io.RawIOBase):
    """Zeros without end; counts what was taken."""

    def __init__(self, header: bytes) -> None:
        self.header, self.taken = io.BytesIO(header), 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        given = self.header.readinto(into)
        if not given:
            given = len(into)
            into[:] = bytes(given)
        self.taken += given
        return given


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("size", [None, GIGABYTES])
def test_ten_gigabytes_are_not_taken(tmp_path: Path, size: int | None) -> None:
    """Announced, they are refused unread; streamed, no more than the cap is read and kept."""
    header = b'{"v": 1, "verb": "stage", "host": "a", "sequence": 1%s}\n' % (
        b', "size": %d' % size if size else b""
    )
    given = Endless(header)
    host = FakeHost(tmp_path / "root")
    managed(host)
    before = peak()
    with pytest.raises(Refused) as refused:
        generations_of(host, given)
    assert refused.value.code == "too_large"
    most = wire.STAGE_CAP + 2 * 1024 * 1024 if size is None else 64 * 1024
    assert given.taken <= most
    assert peak() - before < 64 * 1024 * 1024
    assert not host.layout.identity.exists(), "not even a number was used"
    whole(host, 1)


def generations_of(host: FakeHost, given: Endless) -> None:
    from deploy.hostctl import verbs

    verbs.serve(host, io.BufferedReader(given))


def test_a_header_without_an_end_is_not_taken(tmp_path: Path) -> None:
    given = Endless(b"")
    with pytest.raises(Refused, match="64 KiB"):
        wire.read_header(io.BufferedReader(given))
    assert given.taken <= 2 * wire.HEADER_CAP


def test_a_refused_bundle_leaves_nothing_behind(tmp_path: Path) -> None:
    host = FakeHost(tmp_path / "root")
    managed(host)
    before = sorted(os.listdir(host.layout.generations))
    evil = tar_of([member("tls/ca.pem"), member("../../../etc/passwd")])
    with pytest.raises(Refused):
        host.ask("stage", evil, sequence=1, generation=3, base=1, key=KEY, digest="0" * 64)
    assert sorted(os.listdir(host.layout.generations)) == before
    whole(host, 1)
