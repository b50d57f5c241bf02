"""Files that the person at the terminal named: read and written as that person.

    read("/root/pass", most=4096)                  bytes, or `FileRefused`
    passphrase("/root/pass")                       (text, [codes of warnings])
    with Writing(folder, {"cert.pem": 0o644}) …    see `Writing`

A command that root started has become the console's user (`mailadmin.privileges`), who can read
neither root's passphrase file nor write into root's folders; `as_caller` is root again for the
moment a file is opened. Files are written whole or not at all: beside their place first, then
moved there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

MOST_PASSPHRASE_BYTES = 4096
READABLE, PRIVATE = 0o644, 0o600


class FileRefused(Exception):
    """`code` says what is wrong with the file or folder at `path`; `why` is the system's word."""

    def __init__(self, code: str, path: Path | str, why: str = "") -> None:
        super().__init__(f"{code}: {path} {why}".strip())
        self.code = code
        self.path = str(path)
        self.why = why


@contextlib.contextmanager
def as_caller() -> Iterator[None]:
    """Root again, where root started this process and lent it to the console's user."""
    uid, gid = os.geteuid(), os.getegid()
    if os.getresuid()[2] == uid:
        yield
        return
    os.seteuid(os.getresuid()[2])
    try:
        os.setegid(os.getresgid()[2])
        yield
    finally:
        os.setegid(gid)
        os.seteuid(uid)


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def read(path: str, *, most: int) -> bytes:
    """What is in the file (or pipe) `path`, at most `most` bytes."""
    try:
        with as_caller(), open(path, "rb") as file:  # noqa: PTH123 - /dev/fd/63 as well
            content = file.read(most + 1)
    except FileNotFoundError:
        raise FileRefused("file_missing", path) from None
    except (OSError, ValueError) as error:
        why = _why(error) if isinstance(error, OSError) else str(error)
        raise FileRefused("file_unreadable", path, why) from None
    if len(content) > most:
        raise FileRefused("file_big", path, f"{most // 1024} KiB")
    return content


def passphrase(path: str) -> tuple[str, list[str]]:
    """The passphrase in the file, without the end of its line; and codes of what is unwise."""
    content = read(path, most=MOST_PASSPHRASE_BYTES)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise FileRefused("passphrase_not_text", path) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise FileRefused("passphrase_empty", path)
    if "\n" in text or "\0" in text:
        raise FileRefused("passphrase_lines", path)
    with as_caller():
        found = Path(path).stat()
    is_open = stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IRGRP | stat.S_IROTH)
    return text, ["passphrase_file_open"] if is_open else []


def files_below(path: str, *, most_files: int, most_bytes: int) -> list[tuple[str, bytes]]:
    """Every plain file below the folder, by its name from there, in order; or the file `path`."""
    found: list[tuple[str, bytes]] = []
    room = most_bytes
    try:
        with as_caller():
            top = Path(path)
            if not top.exists():
                raise FileRefused("file_missing", path)
            places = [top] if top.is_file() else sorted(top.rglob("*"))
            for place in places:
                if place.is_symlink() or not place.is_file():
                    continue
                content = place.read_bytes() if place.stat().st_size <= room else b""
                room -= place.stat().st_size
                if room < 0 or len(found) >= most_files:
                    raise FileRefused("folder_big", path)
                found.append((place.name if place == top else str(place.relative_to(top)), content))
    except OSError as error:
        raise FileRefused("file_unreadable", error.filename or path, _why(error)) from None
    return found


class Writing:
    """Files that are to appear in a folder together.

        with Writing(folder, {"key.pem": PRIVATE, "cert.pem": READABLE}, force=False) as writing:
            writing.keep("key.pem", key)      # beside its place already: it outlives a crash
            …                                 # an exception leaves nothing behind
            writing.finish({"cert.pem": cert})

    It begins with what can be known before: that the folder can be written, and that none of the
    files is there already (unless `force`).
    """

    def __init__(
        self, folder: Path, modes: Mapping[str, int], *, force: bool, make: bool = False
    ) -> None:
        self.folder, self.modes, self.force, self.make = folder, modes, force, make
        self._kept: dict[str, Path] = {}

    def __enter__(self) -> Writing:
        with as_caller():
            try:
                if self.make and not self.folder.exists():
                    self.folder.mkdir()
                    self.folder.chmod(0o755)  # whatever the console's own umask
                probe = self._beside("probe")
                probe.touch(mode=0o600)
                probe.unlink()
            except FileNotFoundError:
                missing = self.folder.parent if self.make else self.folder
                raise FileRefused("folder_missing", missing) from None
            except OSError as error:
                raise FileRefused("folder_unwritable", self.folder, _why(error)) from None
            for name in self.modes:
                place = self.folder / name
                if place.is_dir():
                    raise FileRefused("file_is_folder", place)
                if not self.force and os.path.lexists(place):
                    raise FileRefused("file_exists", place)
        return self

    def __exit__(self, *_error: object) -> None:
        with as_caller():
            for path in self._kept.values():
                path.unlink(missing_ok=True)

    def keep(self, name: str, content: bytes) -> None:
        """Write it beside its place, so that `finish` only has to move it."""
        path = self._beside(name)
        with as_caller():
            try:
                opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
                self._kept[name] = path
                with os.fdopen(opened, "wb") as file:
                    file.write(content)
                    os.fchmod(file.fileno(), self.modes[name])
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise FileRefused("file_unwritable", self.folder / name, _why(error)) from None

    def finish(self, contents: Mapping[str, bytes]) -> list[str]:
        """Write the others too and move all to their places. Returns their paths."""
        for name, content in contents.items():
            self.keep(name, content)
        finished = list(self._kept)
        with as_caller():
            for name, path in list(self._kept.items()):
                place = self.folder / name
                try:
                    if self.force:
                        path.replace(place)
                    else:
                        os.link(path, place)
                        path.unlink()
                except FileExistsError:
                    raise FileRefused("file_exists", place) from None
                except OSError as error:
                    raise FileRefused("file_unwritable", place, _why(error)) from None
                del self._kept[name]
        return [str(self.folder / name) for name in self.modes if name in finished]

    def _beside(self, name: str) -> Path:
        return self.folder / f".{name}.{secrets.token_hex(4)}"
