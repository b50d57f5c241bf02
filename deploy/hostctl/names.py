"""What the server calls itself, and whether that name is fully qualified.

An unqualified name costs Sendmail a minute at every start, reload and `-bs`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Optional

from . import paths
from .host import Host

_MYHOSTNAME = re.compile(r"myhostname\s*=")


def of_cf(path: Path) -> Optional[str]:
    """`$j` of a Sendmail configuration, when it is a plain name (`Djmail.example.test`)."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("Dj"):
            name = line[2:].strip().lower()
            return name if name and "$" not in name else None
    return None


def of_main(path: Path) -> Optional[str]:
    """`myhostname` of Postfix's main.cf, when it is a plain name; the last one counts."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    found = [line.partition("=")[2].strip().lower() for line in lines if _MYHOSTNAME.match(line)]
    return found[-1] if found and found[-1] and "$" not in found[-1] else None


def of_generation(folder: Path) -> Optional[str]:
    """The name that a generation gives the host."""
    return of_cf(folder / paths.BUILT_CF) or of_main(folder / "postfix/main.cf")


def of_system(host: Host) -> List[str]:
    """The host's names as its resolver knows them: canonical first.  Ours first if unknown."""
    own = os.uname().nodename.lower()
    told = host.run(["/usr/bin/getent", "hosts", own], timeout=3)
    words = told.out.decode("ascii", "replace").lower().split()[1:] if told.status == 0 else []
    return words or [own]


def own(host: Host) -> str:
    """The fully qualified name; empty when there is none."""
    live = of_generation(host.layout.current)
    if live is not None:
        return live
    return next((name for name in of_system(host) if "." in name), "")
