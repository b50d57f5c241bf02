"""Deleting an erased account's mail, for good.

The account must have left the database first: then nobody logs in and no delivery finds a home.
The folder is moved aside in one step, and deleted there; what a helper that was cut off left aside
is deleted by the next one.  A mail host's `vmail` owns these folders, so every step goes by an open
folder and follows no link: root would otherwise delete what somebody pointed to.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any, Dict, Iterator, Tuple

from . import accounts
from .deltas import ADDRESS
from .host import Host
from .wire import Refused, step

ASIDE = ".erased"
"""Below the mail, so that moving stays a rename; no domain begins with a dot."""
_ROUNDS = 3
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def erase(host: Host, *, address: str) -> Dict[str, Any]:
    if not ADDRESS.fullmatch(address):
        raise Refused("bad_request", f"{address[:80]!r} is not an address of ours.")
    _refuse_present(host, address)
    local, _, domain = address.partition("@")
    messages = size = 0
    with step(host.emit, "erase.delete") as said:
        with contextlib.suppress(FileNotFoundError), _opened(host.layout.mail) as mail:
            with contextlib.suppress(FileExistsError):
                os.mkdir(ASIDE, 0o700, dir_fd=mail)
            with _opened(ASIDE, mail) as aside:
                # A delivery that was under way may make the folder once more.
                for _round in range(_ROUNDS):
                    moved = _move_aside(mail, domain, local, aside, address)
                    files, freed = _delete(address, aside)
                    messages, size = messages + files, size + freed
                    if not moved:
                        break
                else:
                    raise Refused("busy", f"Mail for {address} goes on arriving; try again.")
                os.fsync(aside)
        said.detail = f"{messages} files, {size} bytes"
    _forget_logins(host, address)
    return {"address": address, "files": messages, "bytes": size}


def _refuse_present(host: Host, address: str) -> None:
    with accounts.opened(host) as database:
        found = database.execute("SELECT 1 FROM account WHERE address = ?", (address,)).fetchone()
    if found:
        raise Refused("account_present", f"{address} is an account of this host still.")


@contextlib.contextmanager
def _opened(path: Any, parent: Any = None) -> Iterator[int]:
    handle = os.open(path, _FOLDER, dir_fd=parent)
    try:
        yield handle
    finally:
        os.close(handle)


def _move_aside(mail: int, domain: str, local: str, aside: int, address: str) -> bool:
    """Whether something was moved: not while the place aside is taken by what was left there."""
    if address in os.listdir(aside):
        return True
    try:
        with _opened(domain, mail) as home:
            os.rename(local, address, src_dir_fd=home, dst_dir_fd=aside)
            os.fsync(home)
        os.fsync(aside)
    except FileNotFoundError:
        return False
    return True


def _delete(name: str, parent: int) -> Tuple[int, int]:
    """Deletes a tree, and counts its files and their bytes."""
    files = size = 0
    try:
        kept = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return 0, 0
    try:
        handle = os.open(name, _FOLDER, dir_fd=parent)
    except OSError:  # a file or a link: it was no folder of mail
        os.unlink(name, dir_fd=parent)
        return 1, kept.st_size
    try:
        for entry in list(os.scandir(handle)):
            if entry.is_dir(follow_symlinks=False):
                below = _delete(entry.name, handle)
                files, size = files + below[0], size + below[1]
            else:
                size += entry.stat(follow_symlinks=False).st_size
                files += 1
                os.unlink(entry.name, dir_fd=handle)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=parent)
    return files, size


def _forget_logins(host: Host, address: str) -> None:
    database = sqlite3.connect(host.layout.last_login_db, timeout=20)
    try:
        with database:
            for table in ("last_login", "last_use", "mailbox_size", "submission"):
                database.execute(f"DELETE FROM {table} WHERE userid = ?", (address,))
    finally:
        database.close()
