"""Giving the host back: what was there before the console is live again, generation 0.

`look` says what that would do, and touches nothing.  The going itself is a switch like any other
(`switch.switch` to 0), with a dead-man, and confirmed or rolled back by the console.
"""

from __future__ import annotations

from typing import Any, Dict

from . import before, generations, holding, logins, queue
from .host import Host
from .wire import Refused

_DOMAINS_TOLD = 200


def look(host: Host) -> Dict[str, Any]:
    """What would be live again, which of our domains it does not know, what is queued for them, and
    who could log in again.  Raises `origin` where nothing was kept."""
    refuse_unknown(host)
    then = before.Before(host)
    waiting = list(queue.messages(host))
    unknown = sorted(then.unknown)
    running = before.running(host)
    return {
        "generation": generations.current(host) or 0,
        "mta": "postfix" if then.is_postfix else "sendmail",
        "files": _files(host),
        "services": {
            name: {"running": service.pid() is not None, "before": running.get(name)}
            for name, service in host.services.items()
        },
        "ports": sorted(before.ports(host)),
        "domains": len(then.domains),
        "unknown": unknown[:_DOMAINS_TOLD],
        "unknown_count": len(unknown),
        "queue": queue.summary(waiting),
        "to_hold": queue.summary(holding.would_bounce(waiting, then)),
        **logins.collect(host),
    }


def refuse_unknown(host: Host) -> None:
    if generations.manifest(host, 0) is None:
        raise Refused("origin", "What was here before the console is not on record.")


def _files(host: Host) -> Dict[str, str]:
    """Each well-known path -> what it would be: `file`, `absent`, or where its link leads."""
    kept = (generations.manifest(host, 0) or {"paths": {}})["paths"]
    return {
        name: str(was["target"]) if was["kind"] == "link" else str(was["kind"])
        for name, was in sorted(kept.items())
    }
