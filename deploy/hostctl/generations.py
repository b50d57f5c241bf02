"""Generations: whole configurations side by side, one pointer that names the live one.

`stage` unpacks a bundle into `generations/<n>`, where nothing reads it yet.  What it holds
is remembered in `manifest.json`:

    {"generation": 7, "base": 6, "digest": "9c...", "key": "41...", "validated": false,
     "files": {"tls/chain.pem": "<sha256 as sent>"},
     "installed": {"tls/chain.pem": "<sha256 as written>"}}

A rendered file says `@GENERATION@` where its own folder's name belongs, so two renderings
of the same settings are the same bytes whatever their number, and every generation reads
its own certificate.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tarfile
import time
from pathlib import Path
from typing import IO, Any, Dict, FrozenSet, Mapping, Optional, Set

from . import durable, paths
from .host import Host
from .wire import Refused

KEPT = 10
_BLOCK = 512
KEY_ID = re.compile(r"[0-9a-f]{32}")

Manifest = Dict[str, Any]


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 over every path and content in order, each preceded by its length in 8 bytes."""
    total = hashlib.sha256()
    for path in sorted(files):
        for part in (path.encode(), files[path]):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()


def unpack(archive: IO[bytes]) -> Dict[str, bytes]:
    """The files of a plain ustar stream, each one named in the table and within its cap.

    Header by header: what extends the format (long names, sparse files, pax) is a member that the
    table does not name, and is never interpreted.
    """
    files: Dict[str, bytes] = {}
    while True:
        block = archive.read(_BLOCK)
        if len(block) < _BLOCK:
            raise Refused("truncated", "The bundle is cut short.")
        if not any(block):
            break
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError) as failure:
            raise Refused("bad_request", f"The bundle is not a tar archive: {failure}.") from None
        known = paths.BUNDLE_FILES.get(member.name)
        if known is None:
            raise Refused("path", f"A generation may not hold {member.name[:200]!r}.")
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise Refused("path", f"{member.name} is not a plain file.")
        if member.name in files:
            raise Refused("path", f"{member.name} comes twice.")
        if not 0 <= member.size <= known.cap:
            raise Refused("too_large", f"{member.name} is larger than {known.cap} bytes.")
        padded = archive.read(-(-member.size // _BLOCK) * _BLOCK)
        if len(padded) < member.size:
            raise Refused("truncated", f"{member.name} is cut short.")
        files[member.name] = padded[: member.size]
    if not files:
        raise Refused("truncated", "The bundle is empty.")
    return files


def current(host: Host) -> Optional[int]:
    """The live generation; 0 after going back to what was there before; None: never switched."""
    try:
        target = os.readlink(host.layout.current)
    except FileNotFoundError:
        return None
    folder, _, name = target.rpartition("/")
    if folder != "generations" or not (name.isascii() and name.isdigit()):
        raise Refused("pointer", f"{host.layout.current} points to {target}, which is not ours.")
    return int(name)


def point(host: Host, generation: int) -> None:
    from . import upgrades

    if generation:
        upgrades.follow(host, generation)
    """Nothing is written when it leads there: going back must not fail for want of an inode."""
    if current(host) != generation:
        durable.relink(host.layout.current, f"generations/{generation}")


def manifest(host: Host, generation: int) -> Optional[Manifest]:
    try:
        found = json.loads((host.layout.generation(generation) / paths.MANIFEST).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_manifest(host: Host, folder: Path, values: Manifest) -> None:
    content = json.dumps(values, sort_keys=True, indent=1).encode() + b"\n"
    durable.write(folder / paths.MANIFEST, content, 0o644, host.owner("root", "root"))


def stage(
    host: Host,
    *,
    generation: int,
    base: int,
    key: str,
    digest: str,
    files: Mapping[str, bytes],
    dovecot_version: str,
) -> Manifest:
    """Writes `generations/<generation>`; the live one is not touched.

    Staging the same bundle again is no error (the answer to the first may have been lost).
    """
    if (current(host) or 0) != base:
        raise Refused(
            "base_moved",
            f"This host is on generation {current(host) or 0}, not {base}.",
            generation=current(host),
        )
    actual = digest_of(files)
    if digest != actual:
        raise Refused("digest", "The bundle is not the one that was announced.", digest=actual)
    there = manifest(host, generation)
    if there is not None and there.get("digest") == digest and there.get("key") == key:
        return there
    if generation == current(host) or not _may_replace(host, generation):
        raise Refused("exists", f"Generation {generation} is already on this host.")
    _refuse_other_mta(host, files)
    if not KEY_ID.fullmatch(key):
        raise Refused("bad_request", "The key's id is not 32 hexadecimal digits.")
    key_path = host.layout.keys / f"{key}.key"
    if key_path.is_symlink() or not key_path.is_file():
        raise Refused("no_key", f"This host has no key {key}: ask it for a new one.", key=key)

    target = host.layout.generation(generation)
    building = target.with_name(f".{generation}.new")
    if target.is_symlink():
        raise Refused("path", f"{target} is a link, which is not followed: remove it.")
    shutil.rmtree(building, ignore_errors=True)
    root = host.owner("root", "root")
    durable.folder(building, 0o755, root)
    installed: Dict[str, str] = {}
    for name in sorted(files):
        written = files[name].replace(paths.GENERATION_TOKEN.encode(), str(target).encode())
        durable.folder((building / name).parent, 0o755, root)
        durable.create(building / name, written, paths.BUNDLE_FILES[name].mode, root)
        if name.startswith("postfix/"):
            _look_settled(building / name)
        installed[name] = hashlib.sha256(written).hexdigest()
    durable.folder(building / "tls", 0o755, root)
    os.link(key_path, building / paths.KEY_FILE)
    installed[paths.KEY_FILE] = hashlib.sha256(key_path.read_bytes()).hexdigest()
    rendering = rendering_for(dovecot_version)
    if f"dovecot/{rendering}" in files:
        durable.relink(building / paths.DOVECOT_LINK, rendering)
    values: Manifest = {
        "generation": generation,
        "base": base,
        "digest": digest,
        "key": key,
        "validated": False,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "installed": installed,
    }
    write_manifest(host, building, values)
    for inner in {building / name for name in ("sendmail", "postfix", "dovecot", "tls")}:
        if inner.is_dir():
            durable.fsync_folder(inner)
    if target.exists():
        shutil.rmtree(target)
    os.rename(building, target)
    durable.fsync_folder(host.layout.generations)
    return values


def _look_settled(path: Path) -> None:
    """Postfix waits with a file of its own that changed in the last two seconds, lest it is still
    being written: every check of a new generation would begin with that."""
    then = time.time() - 5
    os.utime(path, (then, then))


def rendering_for(dovecot_version: str) -> str:
    return "dovecot24.conf" if _version(dovecot_version) >= (2, 4) else "dovecot23.conf"


def _refuse_other_mta(host: Host, files: Mapping[str, bytes]) -> None:
    for mta, file in (("sendmail", "sendmail/sendmail.mc"), ("postfix", "postfix/main.cf")):
        if (file in files) != (mta == host.layout.mta):
            name = host.layout.mta.capitalize()
            raise Refused("wrong_mta", f"This host has {name}; the bundle is for another server.")


def _version(words: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", words)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _may_replace(host: Host, generation: int) -> bool:
    """A staged generation that was never live may be staged anew."""
    from .journal import Journal

    return Journal(host.layout.journal).last_to(generation) is None


def affected(
    host: Host, before: int, after: int, drifted: FrozenSet[str] = frozenset()
) -> Dict[str, str]:
    """What each service needs when the pointer moves: `reload` or `restart`, nothing when the
    files it reads are the same.  To or from what was there before us: `restart`.

    `drifted` files of the live one may have been read as they are now, so they count as changed.
    """
    old, new = manifest(host, before), manifest(host, after)
    if before == 0 or after == 0 or old is None or new is None:
        return {name: "restart" for name in host.services if name != "bridge"}
    changed: Set[str] = {
        name for name in paths.BUNDLE_FILES if old["files"].get(name) != new["files"].get(name)
    }
    needs: Dict[str, str] = {}
    others = _of_other_branches(host, after)
    for name in (drifted & paths.READ_BY.keys()) - others:
        for service in paths.READ_BY[name]:
            needs.setdefault(service, "reload")
    for name in changed - others:
        for service in paths.BUNDLE_FILES[name].services:
            needs.setdefault(service, "reload")
    if old.get("key") != new.get("key"):
        for service in paths.READ_BY[paths.KEY_FILE]:
            needs.setdefault(service, "reload")
    for name in (changed | drifted) & paths.READ_AT_START:
        for service in paths.READ_BY[name]:
            needs[service] = "restart"
    return {name: act for name, act in needs.items() if name in host.services}


def _of_other_branches(host: Host, generation: int) -> FrozenSet[str]:
    """The files that only another version of Dovecot than this host's would read."""
    with contextlib.suppress(OSError):
        live = os.readlink(host.layout.generation(generation) / paths.DOVECOT_LINK)
        other = "23" if live == "dovecot24.conf" else "24"
        return frozenset(
            name for name in paths.BUNDLE_FILES if name.startswith("dovecot/") and other in name
        )
    return frozenset()


def prune(host: Host, keep: FrozenSet[int]) -> None:
    """Removes the oldest beyond `KEPT`; never 0, the live one, or one named in `keep`."""
    numbers = sorted(
        int(path.name) for path in host.layout.generations.iterdir() if path.name.isdigit()
    )
    for left in host.layout.generations.glob(".*"):  # of a prune or a staging that was cut off
        shutil.rmtree(left, ignore_errors=True)
    spared = keep | {0, current(host) or 0} | set(numbers[-KEPT:])
    for number in numbers:
        if number not in spared:
            # Renamed first: a half-removed generation must not look like a whole one.
            gone = host.layout.generations / f".{number}.gone"
            os.rename(host.layout.generation(number), gone)
            shutil.rmtree(gone, ignore_errors=True)
