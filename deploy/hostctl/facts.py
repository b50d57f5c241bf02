"""What the host says about itself.  Reads only; works on a host that is not managed yet."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any, Dict

from . import VERSION, accounts, drifted, generations, names, queue, services, switch
from .host import Host


def collect(host: Host) -> Dict[str, Any]:
    known = names.of_system(host)
    live = generations.current(host)
    values = generations.manifest(host, live) if live else None
    drift = drifted.found(host)
    return {
        "helper": VERSION,
        "hostname": known[0],
        "fqdn_ok": "." in known[0],
        "os": _system(host),
        "python": platform.python_version(),
        "sendmail": sendmail_version(host),
        "dovecot": dovecot_version(host),
        "generation": live,
        "digest": values.get("digest") if values else None,
        "key": values.get("key") if values else None,
        "drift": [each.path for each in drift],
        "drift_marks": {each.path: each.mark for each in drift},
        "accounts": accounts.position(host),
        "services": {
            name: {"running": pid is not None, "pid": pid}
            for name, pid in ((name, each.pid()) for name, each in host.services.items())
        },
        "listening": sorted(services.listening()),
        "queue": queue.counted(host),
        "pending": switch.pending(host),
        "last": switch.last(host),
    }


def _system(host: Host) -> str:
    """`debian 12`: ID and VERSION_ID of os-release."""
    found = {}
    try:
        lines = Path(host.layout.at("/etc/os-release")).read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition("=")
        found[name] = value.strip('"')
    return f"{found.get('ID', '')} {found.get('VERSION_ID', '')}".strip()


def sendmail_version(host: Host) -> str:
    """From the package, in 10 ms; the program itself would first look up the host's name."""
    shown = "${db:Status-Abbrev}${Version}"
    told = host.run(["/usr/bin/dpkg-query", "-W", "-f", shown, "sendmail-bin"])
    words = told.out.decode("ascii", "replace")
    if told.status != 0 or not words.startswith("ii"):
        return ""
    found = re.search(r"(?:\d+:)?(\d+(?:\.\d+)+)", words[2:])
    return found.group(1) if found else ""


def dovecot_version(host: Host) -> str:
    told = host.run(["/usr/sbin/dovecot", "--version"], timeout=10)
    if told.status != 0:
        return ""
    found = re.match(r"\d+(?:\.\d+)+", told.out.decode("ascii", "replace"))
    return found.group() if found else ""
