"""Managed files that are not what was deployed, and what is in them now.

Facts name them, with a mark each that changes whenever the file does:

    {"/etc/mail/sendmail.cf": "9c41…", ...}

`drift` shows them:

    {"generation": 7, "files": [
      {"path": "/var/lib/mailadmin/generations/7/dovecot/dovecot23.conf",
       "name": "dovecot/dovecot23.conf", "state": "changed", "mark": "9c41…", "text": "…"},
      {"path": "/etc/mail/sendmail.cf", "name": "sendmail/sendmail.cf", "state": "replaced",
       "mark": "e0b5…", "text": "…", "deployed": "…"},
      {"path": "/etc/sasl2/Sendmail.conf", "name": "sendmail/Sendmail.conf",
       "state": "relinked", "mark": "77aa…", "target": "/usr/lib/sasl2/Sendmail.conf"}]}

| state | |
|---|---|
| `changed` | other bytes |
| `replaced` | a file where the link into the current generation belongs |
| `relinked` | a link, and it leads elsewhere (never followed) |
| `missing` | nothing there |
| `strange` | a folder, a device, or below a folder that is a link |

`text` is missing for what nobody may see (a key), what is not a plain file, and what is larger than
`FILE_CAP` or no longer fits into `ALL_CAP`; `left_out` then says `key` or `size`.  `deployed` is
the text that the console does not have: the cf that was made here, made again of the mc when that
is still the one deployed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from . import checks, generations, paths
from .host import Host
from .wire import Refused

FILE_CAP = 256 * 1024
ALL_CAP = 1024 * 1024
_MARKED_CAP = 16 * 1024 * 1024
"""As much of a file as its mark is made of; a file this large is marked by its size as well."""


class Drifted(NamedTuple):
    path: str
    name: str
    state: str
    mark: str
    target: str = ""


def found(host: Host) -> List[Drifted]:
    """Sorted by path; empty where nothing of ours is live."""
    live = generations.current(host)
    if not live:
        return []
    folder = host.layout.generation(live)
    values = generations.manifest(host, live)
    if values is None:
        return [Drifted(str(folder / paths.MANIFEST), paths.MANIFEST, "missing", "missing")]
    all_of_them = [*_files(folder, values["installed"]), *_links(host, folder)]
    return sorted(all_of_them)


def _files(folder: Path, installed: Dict[str, str]) -> Iterator[Drifted]:
    for name, wanted in installed.items():
        path = folder / name
        state, mark = _looked_at(path)
        if (state, mark) != ("changed", wanted):
            target = os.readlink(path) if state == "relinked" else ""
            yield Drifted(str(path), name, state, mark, target)


def _links(host: Host, folder: Path) -> Iterator[Drifted]:
    inner = folder / paths.DOVECOT_LINK
    if any((folder / "dovecot").glob("dovecot2*.conf")):
        yield from _link(inner, paths.DOVECOT_LINK, ["dovecot23.conf", "dovecot24.conf"])
    for path, target in host.layout.well_known().items():
        yield from _link(path, str(target.relative_to(host.layout.current)), [str(target)])


def _link(path: Path, name: str, wanted: List[str]) -> Iterator[Drifted]:
    if path.is_symlink():
        target = os.readlink(path)
        if target not in wanted:
            yield Drifted(str(path), name, "relinked", _of_text(target), target)
        return
    state, mark = _looked_at(path)
    yield Drifted(str(path), name, "replaced" if state == "changed" else state, mark)


def _looked_at(path: Path) -> "tuple[str, str]":
    """State and mark of what is at `path`; for a plain file its SHA-256."""
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return "missing", "missing"
    if stat.S_ISLNK(kind):
        return "relinked", _of_text(os.readlink(path))
    if not stat.S_ISREG(kind) or not _is_plain(path):
        return "strange", "strange"
    content = _read(path, _MARKED_CAP)
    if content is None:
        return "strange", "strange"
    mark = hashlib.sha256(content).hexdigest()
    if len(content) == _MARKED_CAP:
        mark = _of_text(f"{mark} {path.stat().st_size}")
    return "changed", mark


def _of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _is_plain(path: Path) -> bool:
    """Its folder, and the one above, are no links: what those lead to is not ours to show."""
    return not any(folder.is_symlink() for folder in list(path.parents)[:2])


def _read(path: Path, cap: int) -> Optional[bytes]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return stream.read(cap)


def shown(host: Host) -> Dict[str, Any]:
    """The result of the verb."""
    live = generations.current(host)
    left = ALL_CAP
    files = []
    for each in found(host):
        told: Dict[str, Any] = each._asdict()
        if each.name == paths.KEY_FILE:
            told["left_out"] = "key"
        elif each.state in ("changed", "replaced"):
            content = _read(Path(each.path), FILE_CAP + 1)
            if content is None or len(content) > min(FILE_CAP, left):
                told["left_out"] = "size"
            elif b"PRIVATE KEY-----" in content:
                told["left_out"] = "key"
            else:
                left -= len(content)
                told["text"] = content.decode("utf-8", "replace")
                if each.name == paths.BUILT_CF and live:
                    told.update(_built_again(host, live))
        files.append(told)
    return {"generation": live, "files": files}


def _built_again(host: Host, live: int) -> Dict[str, str]:
    """The cf as it was deployed; nothing when it cannot be had any more."""
    folder = host.layout.generation(live)
    installed = (generations.manifest(host, live) or {}).get("installed", {})
    wanted = installed.get(paths.BUILT_CF)
    if _looked_at(folder / paths.BUILT_CF) == ("changed", wanted):
        kept = _read(folder / paths.BUILT_CF, FILE_CAP) or b""
        return {"deployed": kept.decode("utf-8", "replace")}
    mc = "sendmail/sendmail.mc"
    if _looked_at(folder / mc) != ("changed", installed.get(mc)):
        return {}
    with contextlib.suppress(Refused):
        cf = checks.made_cf(host, folder)
        if hashlib.sha256(cf).hexdigest() == wanted:
            return {"deployed": cf.decode("utf-8", "replace")}
    return {}


def refuse_unseen(host: Host, seen: object) -> None:
    """Refuses to replace a file that is not as whoever asks has seen it.

    `seen`: path to mark, as in the facts.  What is as it was deployed again needs no leave.
    """
    if not isinstance(seen, dict):
        raise Refused("bad_request", "The request's drift is not an object of paths and marks.")
    unseen = [each.path for each in found(host) if seen.get(each.path) != each.mark]
    if unseen:
        raise Refused(
            "drifted",
            f"Changed on this host since it was looked at: {', '.join(unseen)}.",
            paths=unseen,
        )
