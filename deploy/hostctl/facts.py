"""What the host says about itself.  Reads only; works on a host that is not managed yet."""

from __future__ import annotations

import platform
import re
from typing import Any, Dict

from . import VERSION, accounts, drifted, generations, names, queue, services, switch
from .host import Host


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
        "python": platform.python_version(),
        "family": family(host),
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


def _os_release(host: Host) -> Dict[str, str]:
    """os-release(5)."""
    try:
        lines = host.layout.at("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip('"') for name, _, value in pairs}


def _system(host: Host) -> str:
    """`debian 12`: ID and VERSION_ID."""
    found = _os_release(host)
    return f"{found.get('ID', '')} {found.get('VERSION_ID', '')}".strip()


def family(host: Host) -> str:
    """`fedora` for Fedora and what descends from it, else `debian`."""
    found = _os_release(host)
    known = {found.get("ID", ""), *found.get("ID_LIKE", "").split()}
    return "fedora" if known & {"fedora", "rhel", "centos"} else "debian"


def sendmail_version(host: Host) -> str:
    """From the package, in 10 ms; the program itself would first look up the host's name."""
    shown = "${db:Status-Abbrev}${Version}"
    told = host.run(["/usr/bin/dpkg-query", "-W", "-f", shown, "sendmail-bin"])
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
