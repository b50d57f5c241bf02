"""Whether a practice host can be made on this machine, and if not, why, in one sentence."""

import os
import platform
import shutil
from pathlib import Path

from deploy.practice.debian import DebianRoot, cache_directory
from deploy.practice.errors import PracticeError

# CAP_SYS_ADMIN for namespaces and mounts, CAP_NET_ADMIN for the cable, CAP_SYS_CHROOT.
NEEDED = {21: "CAP_SYS_ADMIN", 12: "CAP_NET_ADMIN", 18: "CAP_SYS_CHROOT"}
ROOM_FOR_IMAGE = 1_500_000_000
ROOM_FOR_INSTANCE = 300_000_000


def can_practise(release: str = "bookworm", *, cache: Path | None = None) -> tuple[bool, str]:
    try:
        check(release, cache=cache)
    except PracticeError as refusal:
        return False, refusal.message
    return True, ""


def check(release: str = "bookworm", *, cache: Path | None = None) -> None:
    """Raises PracticeError with the first reason why it cannot work."""
    if platform.system() != "Linux":
        raise PracticeError("not_linux", "A practice host needs Linux.")
    if os.geteuid() != 0:
        raise PracticeError(
            "not_root", "Making a practice host needs root: start the console as root to use it."
        )
    held = _capabilities()
    for number, name in NEEDED.items():
        if not held >> number & 1:
            raise PracticeError(
                "capabilities",
                f"This root may not make namespaces ({name} is missing), as in most containers: "
                "run the console on the machine itself or in a privileged container.",
            )
    for tool in ("nsenter", "unshare", "chroot", "cp"):
        if not shutil.which(tool):
            raise PracticeError("no_tool", f"The program {tool} is missing: install util-linux.")
    from deploy.practice.machine import launch

    try:
        launch({"probe": "namespaces"})
    except PracticeError as failure:
        raise PracticeError(
            "namespaces", f"This machine's kernel refuses namespaces: {failure.message}"
        ) from None
    root = DebianRoot(release, cache)
    if not root.exists and not any(
        shutil.which(tool) for tool in ("mmdebstrap", "debootstrap", "apt-get")
    ):
        raise PracticeError(
            "no_tool", "Neither mmdebstrap nor debootstrap is installed: install one of them."
        )
    room = ROOM_FOR_INSTANCE if root.exists else ROOM_FOR_IMAGE
    place = cache or cache_directory()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < room:
        raise PracticeError(
            "disk",
            f"{place} has {free // 10**6} MB free; a practice host needs {room // 10**6} MB.",
        )


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
