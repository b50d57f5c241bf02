"""Generation 0: what was at the well-known paths before the console came.

Imported once, before the first switch; put back when everything is undone.

    {"generation": 0, "paths": {"/etc/mail/sendmail.cf":
        {"kind": "file", "mode": 420, "uid": 0, "gid": 0, "copy": "etc.mail.sendmail.cf"}},
     "running": {"sendmail": true, "dovecot": true, "bridge": false}, "ports": [25, 143]}

A path may also have been a link (`"kind": "link", "target": ...`) or absent.  `running` and
`ports` (the mail ports that were listened on) say what must be so again.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any, Dict

from . import durable, generations, services
from .host import Host
from .wire import Refused


def remember(host: Host) -> None:
    """Makes generation 0 from what is there, unless the console's own links already are."""
    target = host.layout.generation(0)
    ours = [path for path, to in host.layout.well_known().items() if _is_link_to(path, str(to))]
    if generations.current(host) or (ours and target.is_dir()):
        return
    building = target.with_name(".0.new")
    shutil.rmtree(building, ignore_errors=True)
    durable.folder(building, 0o700, host.owner("root", "root"))
    kept: Dict[str, Dict[str, Any]] = {}
    for name in host.layout.own_paths():
        path = host.layout.at(name)
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            kept[name] = {"kind": "absent"}
            continue
        if stat.S_ISLNK(found.st_mode):
            kept[name] = {"kind": "link", "target": os.readlink(path)}
        elif stat.S_ISREG(found.st_mode):
            copy = name.strip("/").replace("/", ".")
            durable.create(building / copy, path.read_bytes(), 0o600)
            kept[name] = {
                "kind": "file",
                "mode": stat.S_IMODE(found.st_mode),
                "uid": found.st_uid,
                "gid": found.st_gid,
                "copy": copy,
            }
        else:
            raise Refused("origin", f"{name} is neither a file nor a link; put it in order first.")
    values = {
        "generation": 0,
        "paths": kept,
        "running": {name: each.pid() is not None for name, each in host.services.items()},
        "ports": sorted(services.listening()),
    }
    generations.write_manifest(host, building, values)
    # Between the two renames there is no generation 0; it would be made again from the same files.
    if target.is_dir():
        os.rename(target, target.with_name(".0.gone"))
    os.rename(building, target)
    durable.fsync_folder(host.layout.generations)
    shutil.rmtree(target.with_name(".0.gone"), ignore_errors=True)


def _is_file_of(path: Path, was: Dict[str, Any], kept: Path) -> bool:
    try:
        found = os.stat(path)
        return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (
            was["mode"], was["uid"], was["gid"]
        ) and path.read_bytes() == (kept / was["copy"]).read_bytes()  # fmt: skip
    except OSError:
        return False


def _is_link_to(path: Path, target: str) -> bool:
    return path.is_symlink() and os.readlink(path) == target


def link(host: Host) -> None:
    """Makes the well-known paths links into the live generation."""
    for path, target in host.layout.well_known().items():
        if not _is_link_to(path, str(target)):
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.relink(path, str(target))


def put_back(host: Host) -> None:
    """Gives the well-known paths back what they were; what is so already is not written, for which
    there may be no room."""
    values = generations.manifest(host, 0)
    if values is None:
        raise Refused("origin", "What was here before the console is not on record.")
    for name, was in values["paths"].items():
        path = host.layout.at(name)
        if was["kind"] == "absent":
            durable.remove(path)
        elif was["kind"] == "link":
            if not _is_link_to(path, was["target"]):
                durable.relink(path, was["target"])
        elif path.is_symlink() or not _is_file_of(path, was, host.layout.generation(0)):
            content = (host.layout.generation(0) / was["copy"]).read_bytes()
            owner = (was["uid"], was["gid"]) if host.real else None
            durable.write(path, content, was["mode"], owner)
