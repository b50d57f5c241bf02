"""Debian roots: one directory for each release, made by mmdebstrap or debootstrap and kept.

    /var/cache/mailadmin/roots/                       0700: there are setuid programs in it
        debian-bookworm-amd64-3f9c0a1b2c4d/           the root
        debian-bookworm-amd64-3f9c0a1b2c4d.users      the instances that stand on it

The last part of the name is a digest of everything that goes into it, so that a changed list of
packages makes a new root. A root is never changed once it has its name: instances use it as the
lower layer of an overlay. It is built under another name and renamed, under a lock.

Source: mmdebstrap(1), debootstrap(8), Debian Policy 9.3.3 (policy-rc.d).
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.practice import build
from deploy.practice.errors import PracticeError

RELEASES = ("bookworm", "trixie", "bookworm-postfix", "trixie-postfix")
"""Debian's name for the release; `-postfix` is the same with Postfix in Sendmail's place."""

# What a mail host has before the console meets it. saslauthd is left out: the host's helper brings
# its own bridge.
_BASE = (
    "ca-certificates",
    "dovecot-imapd",
    "dovecot-lmtpd",
    "dovecot-pop3d",
    "dovecot-sqlite",
    "iproute2",
    "openssh-server",
    "openssl",
    "procps",
    "python3",
    "rsyslog",
    "sudo",
)
PACKAGES = (
    *_BASE,
    "libsasl2-modules",
    "m4",
    "sendmail-base",
    "sendmail-bin",
    "sendmail-cf",
    "sensible-mda",
)
PACKAGES_POSTFIX = (*_BASE, "postfix")

Progress = Callable[[str, float], None]


def cache_directory() -> Path:
    return Path(os.environ.get("MAILADMIN_CACHE") or "/var/cache/mailadmin")


def silent(step: str, fraction: float) -> None:
    """The progress of someone who does not ask."""


class DebianRoot:
    """A release's root in the cache."""

    def __init__(self, release: str, cache: Path | None = None) -> None:
        if release not in RELEASES:
            known = ", ".join(RELEASES)
            raise PracticeError("release", f"Only {known} can be made, not {release}.")
        self.release = release
        self.cache = (cache or cache_directory()) / "roots"
        self.architecture = build.architecture()

    @classmethod
    def ensure(
        cls, release: str, progress: Progress = silent, *, cache: Path | None = None, tool: str = ""
    ) -> Path:
        """The root's path; made if it is not there, which takes a minute or two.

        `tool` ("mmdebstrap", "debootstrap") is for those who want one and no other.
        Raises PracticeError.
        """
        root = cls(release, cache)
        if not root.path.is_dir():
            root.make(progress, tool=tool)
        return root.path

    @property
    def path(self) -> Path:
        return self.cache / f"debian-{self.release}-{self.architecture}-{self.digest}"

    @property
    def packages(self) -> tuple[str, ...]:
        return PACKAGES_POSTFIX if self.release.endswith("-postfix") else PACKAGES

    @property
    def digest(self) -> str:
        recipe = "\n".join([build.RECIPE, *sorted(self.packages)])
        return hashlib.sha256(recipe.encode()).hexdigest()[:12]

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    def make(self, progress: Progress, *, tool: str = "") -> None:
        if os.geteuid() != 0:
            raise PracticeError("not_root", "Making a Debian root needs root.")
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock(progress):
            if self.path.is_dir():
                return
            building = self.cache / f".building-{self.path.name}"
            _remove(building)
            try:
                build.build(self.release, self.packages, building, progress, tool=tool)
                building.rename(self.path)
            except BaseException:
                _remove(building)
                raise
            self.prune()

    @contextmanager
    def _lock(self, progress: Progress) -> Iterator[None]:
        with (self.cache / f".{self.release}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("wait", 0.0)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def add_user(self, directory: Path) -> None:
        """Note that an instance in `directory` stands on this root, so that it is not pruned."""
        with self.path.with_name(self.path.name + ".users").open("a") as users:
            users.write(f"{directory}\n")

    def prune(self) -> None:
        """Remove this release's other roots that no instance stands on any more."""
        for old in self.cache.glob(f"debian-{self.release}-{self.architecture}-*"):
            if old == self.path or not old.is_dir():
                continue
            users = old.with_name(old.name + ".users")
            lines = users.read_text().splitlines() if users.exists() else []
            if not any(Path(line).is_dir() for line in lines if line):
                _remove(old)
                users.unlink(missing_ok=True)


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
