"""A whole folder in one file: zip and tar archives, unpacked in memory within bounds.

    unpack([("CA.tar.gz", content)], most_files=…, most_bytes=…)   → [("CA/certs/a.crt", b"…"), …]

Files that are no archive stay as they are. Names are only shown, never used as paths. What is
longer than a certificate's file can be is passed over, and so is what is no plain file.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from ca.legacy.files import BadImport

_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
File = tuple[str, bytes]

MOST_MEMBERS = 100_000


class _TooBig(Exception):
    """There is more in it than there is room for."""


def unpack(files: Iterable[File], *, most_files: int, most_bytes: int) -> list[File]:
    """The files, those in archives included; raises `BadImport` when they are too many or large."""
    found: list[File] = []
    room = most_bytes
    try:
        for name, content in files:
            for inner, text in _inside(name, content, room):
                room -= len(text)
                if room < 0:
                    raise _TooBig
                found.append((inner, text))
                if len(found) > most_files:
                    raise BadImport("import_too_many", part="issued", most=str(most_files))
    except _TooBig:
        most = f"{most_bytes >> 20} MiB"
        raise BadImport("import_too_big", part="issued", most=most) from None
    return found


def _inside(name: str, content: bytes, room: int) -> Iterator[File]:
    try:
        if content.startswith(_ZIP):
            yield from _zip(content, room)
        elif content.startswith(_GZIP) or content[257:262] == b"ustar":
            yield from _tar(content, room)
        else:
            yield name, content
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        if isinstance(error, BadImport):
            raise
        raise BadImport("import_archive_damaged", part="issued", name=name) from error


def _zip(content: bytes, room: int) -> Iterator[File]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as file:
                    # One byte more than there is room for is enough to know that it is too much.
                    yield member.filename, file.read(room + 1)


def _tar(content: bytes, room: int) -> Iterator[File]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for number, member in enumerate(archive):
            # A small file can unpack to headers without end, or to a hole that is skipped over.
            if member.size > room or number > MOST_MEMBERS:
                raise _TooBig
            file = archive.extractfile(member) if member.isreg() else None
            if file is not None:
                yield member.name, file.read(room + 1)
