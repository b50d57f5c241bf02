"""A conversation with `sendmail -C staged.cf -bs` on its standard input and output.

No port and no daemon, about 130 ms, and the one check that notices an unusable key (no
STARTTLS), a missing map (451) and a gate that lets strangers through.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path
from typing import List, Optional, Tuple

from .host import ENVIRONMENT
from .wire import Refused

Reply = Tuple[int, List[str]]


class Dialogue:
    """`with Dialogue(argv) as smtp: code, lines = smtp.say("EHLO mail.example.test")`"""

    def __init__(self, argv: List[str], patience: float = 75) -> None:
        self._argv = argv
        self._until = time.monotonic() + patience
        self._buffer = b""
        self._process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> "Dialogue":
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.close()
            process.wait(3)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        process.stdout.close()

    def greeting(self) -> Reply:
        return self._reply()

    def say(self, line: str) -> Reply:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(line.encode("ascii") + b"\r\n")
            process.stdin.flush()
        except OSError:
            raise Refused("refused", f"Sendmail ended before {line!r}.") from None
        return self._reply()

    def _reply(self) -> Reply:
        """Lines up to one that is not continued; whatever else it prints is kept for the words."""
        lines: List[str] = []
        while True:
            line = self._line()
            if line is None:
                said = " / ".join(lines)[:800] or "nothing"
                raise Refused("refused", f"Sendmail ended instead of answering; it said: {said}")
            lines.append(line)
            if line[:3].isdigit() and line[3:4] in (" ", ""):
                return int(line[:3]), lines

    def _line(self) -> Optional[str]:
        process = self._process
        assert process is not None and process.stdout is not None
        handle = process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = self._until - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                raise Refused("refused", "Sendmail did not answer in time.")
            read = os.read(handle, 65536)
            if not read:
                rest, self._buffer = self._buffer, b""
                return rest.decode("utf-8", "replace").rstrip() or None
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip()


def open_with(binary: str, cf: Path) -> Dialogue:
    return Dialogue([binary, "-C", str(cf), "-bs"])
