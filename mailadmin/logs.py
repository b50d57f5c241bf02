"""The processes' logs: one file each in `log/` of the data folder, cut when it grows too large."""

import os
from collections.abc import Sequence
from pathlib import Path

LARGEST = 10 * 1024 * 1024


def too_large(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.log") if path.lstat().st_size > LARGEST]


def trim(logs: Sequence[Path]) -> dict[str, str]:
    """Keep one older copy of each log that is too large. Processes append, so the file can be cut
    under them."""
    for path in logs:
        if path.lstat().st_size > LARGEST and os.access(path, os.W_OK):
            path.with_suffix(".log.1").write_bytes(path.read_bytes())
            os.truncate(path, 0)
    return {}


def last_lines(path: Path, count: int = 12) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "(no log)"
