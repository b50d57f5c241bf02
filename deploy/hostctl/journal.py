"""Switches, written down before anything is touched.

One file a switch, `journal/00000012.jsonl`, records appended and fsync'd:

    {"kind": "begun", "generation": 7, "previous": 6, "deadline": 120, "boot": "8a...",
     "services": {"sendmail": "reload"}, "running": {"sendmail": true}, "ports": {...}}
    {"kind": "switched", "boot": "8a...", "due": 5231.25}
    {"kind": "confirmed"}

`begun` names the exact previous generation, never "the one before".  After it comes
`switched`, then `confirmed`; or `rolling_back` and `rolled_back` or `rollback_failed`.
`due` counts on the clock that stands still only while the machine is off (CLOCK_BOOTTIME)
and means something only within the boot it was written in.  A torn last line (power cut
while appending) counts as not written.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from . import durable

FINAL = frozenset({"confirmed", "rolled_back"})
_KEEP = 200


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def uptime() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass
class Entry:
    """One switch with its records; `state` is the kind of the last one."""

    number: int
    path: Path
    records: List[Dict[str, Any]] = field(default_factory=list)

    @property
    def begun(self) -> Dict[str, Any]:
        return self.records[0]

    @property
    def generation(self) -> int:
        return int(self.begun["generation"])

    @property
    def previous(self) -> int:
        return int(self.begun["previous"])

    @property
    def state(self) -> str:
        return str(self.records[-1]["kind"])

    @property
    def is_open(self) -> bool:
        return self.state not in FINAL

    @property
    def due(self) -> Optional[float]:
        """Seconds until the dead-man acts, negative when he should have; None while the
        switch itself is going on or after its end.  Another boot: he should have."""
        if self.state != "switched":
            return None
        if self.records[-1].get("boot") != boot_id():
            return -1.0
        return float(self.records[-1]["due"]) - uptime()

    def append(self, kind: str, **values: Any) -> None:
        record = {"kind": kind, "at": round(time.time(), 3), **values}
        line = (json.dumps(record, ensure_ascii=True) + "\n").encode()
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            if self.records and not _ends_with_newline(self.path):
                line = b"\n" + line
            durable.write_all(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
        self.records.append(record)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class Journal:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def numbers(self) -> List[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.stem) for path in self.folder.glob("*.jsonl") if path.stem.isdigit())

    def load(self, number: int) -> Optional[Entry]:
        """None for a switch whose first record never reached the disk: nothing was touched."""
        path = self.folder / f"{number:08d}.jsonl"
        records = []
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        for line in content.split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "kind" in record:
                records.append(record)
        if not records or records[0]["kind"] != "begun":
            return None
        return Entry(number, path, records)

    def last(self) -> Optional[Entry]:
        for number in reversed(self.numbers()):
            entry = self.load(number)
            if entry is not None:
                return entry
        return None

    def last_to(self, generation: int) -> Optional[Entry]:
        """The last switch that went to this generation."""
        for number in reversed(self.numbers()):
            entry = self.load(number)
            if entry is not None and entry.generation == generation:
                return entry
        return None

    def begin(self, **values: Any) -> Entry:
        numbers = self.numbers()
        number = (numbers[-1] if numbers else 0) + 1
        entry = Entry(number, self.folder / f"{number:08d}.jsonl")
        entry.append("begun", boot=boot_id(), **values)
        durable.fsync_folder(self.folder)
        for old in numbers[:-_KEEP]:
            durable.remove(self.folder / f"{old:08d}.jsonl")
        return entry
