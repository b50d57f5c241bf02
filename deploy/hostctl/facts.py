"""What the host says about itself.  Reads only; works on a host that is not managed yet."""

from __future__ import annotations

import re
import sys
from typing import Any, Dict, Tuple

from . import VERSION, accounts, drifted, generations, names, paths, queue, services, switch
from .host import Host

ASK: Dict[str, Tuple[str, ...]] = {
    "debian": ("/usr/bin/dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}"),
    "fedora": ("/usr/bin/rpm", "-q", "--qf", "ii %{VERSION}"),
}


def collect(host: Host) -> Dict[str, Any]:
    known = names.of_system(host)
    live = generations.current(host)
    values = generations.manifest(host, live) if live else None
    drift = drifted.found(host)
    sendmail, postfix = sendmail_version(host), postfix_version(host)
    return {
        "helper": VERSION,
        "hostname": known[0],
        "fqdn_ok": "." in known[0],
        "os": _system(host),
        "python": sys.version.split()[0],
        "family": host.layout.family,
        "mta": "postfix" if postfix else "sendmail" if sendmail else "",
        "sendmail": sendmail,
        "postfix": postfix,
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
    """`debian 12`: ID and VERSION_ID."""
    found = host.layout.os_release()
    return f"{found.get('ID', '')} {found.get('VERSION_ID', '')}".strip()


def sendmail_version(host: Host) -> str:
    """From the package, in 10 ms; the program itself would first look up the host's name."""
    family = host.layout.family
    told = host.run([*ASK[family], paths.FAMILIES[family].packages["sendmail"][0]])
    words = told.out.decode("ascii", "replace")
    if told.status != 0 or not words.startswith("ii"):
        return ""
    found = re.search(r"(?:\d+:)?(\d+(?:\.\d+)+)", words[2:])
    return found.group(1) if found else ""


def postfix_version(host: Host) -> str:
    if host.layout.mta != "postfix":
        return ""
    told = host.run(["/usr/sbin/postconf", "-d", "-h", "mail_version"], timeout=10)
    found = re.match(r"\d+(?:\.\d+)+", told.out.decode("ascii", "replace"))
    return found.group() if told.status == 0 and found else ""


def dovecot_version(host: Host) -> str:
    told = host.run(["/usr/sbin/dovecot", "--version"], timeout=10)
    if told.status != 0:
        return ""
    found = re.match(r"\d+(?:\.\d+)+", told.out.decode("ascii", "replace"))
    return found.group() if found else ""
