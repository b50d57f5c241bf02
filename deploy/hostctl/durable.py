"""Writing so that a power cut leaves the old or the new, never half of either.

Write beside, fsync, rename, fsync the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Optional


def fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Shortly before a disk is full, write() takes a part and says nothing."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def create(path: Path, data: bytes, mode: int, owner: Optional[tuple[int, int]] = None) -> None:
    """A new file, its mode set before its bytes are in it; refuses one that is there."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        if owner is not None:
            os.fchown(handle, *owner)
        os.fchmod(handle, mode)
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, data: bytes, mode: int, owner: Optional[tuple[int, int]] = None) -> None:
    """Puts `data` in the place of whatever `path` was."""
    beside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    create(beside, data, mode, owner)
    os.replace(beside, path)
    fsync_folder(path.parent)


def relink(path: Path, target: str) -> None:
    """Makes `path` a symbolic link to `target`, in the place of whatever it was."""
    beside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    os.symlink(target, beside)
    os.replace(beside, path)
    fsync_folder(path.parent)


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        fsync_folder(path.parent)


def folder(path: Path, mode: int, owner: Optional[tuple[int, int]] = None) -> None:
    """A folder with exactly this mode and owner, made when it is not there.

    One that is right is not touched, so that a disk which cannot be written stops nothing.  A link
    in its place is not followed: OSError (ELOOP).
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "a link is where a folder belongs", str(path))
    if not path.is_dir():
        os.makedirs(path, mode=0o755, exist_ok=True)
        fsync_folder(path.parent)
    found = os.stat(path)
    if stat.S_IMODE(found.st_mode) != mode:
        os.chmod(path, mode)
    if owner is not None and (found.st_uid, found.st_gid) != owner:
        os.chown(path, *owner)
