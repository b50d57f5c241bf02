"""hostctl: without arguments one request on standard input; see docs/hostctl.md.

hostctl                     a request (the only form that sudo allows)
hostctl recover             at boot, before the daemons: finish what was cut off
hostctl follow              before Dovecot starts: its configuration is the one for its version
hostctl leave               give back what was there before the console
hostctl bridge              the auth bridge, detached;  `bridge --foreground` for systemd
hostctl deadman NUMBER      internal: watches one switch
"""

from __future__ import annotations

import os
import signal
import sys
from typing import List

from . import (
    accounts,
    before,
    bridge,
    deadman,
    generations,
    paths,
    services,
    switch,
    upgrades,
    verbs,
)
from .host import Host
from .wire import Output, Refused, code_of, sentence


def main(argv: List[str]) -> int:
    os.umask(0o022)
    emit = Output()
    # The client may go away; what was begun is finished all the same.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    layout = paths.Layout()
    host = Host(layout, services.all_of(layout), emit=emit)
    if os.geteuid() != 0:
        emit({"event": "error", "code": "not_root", "message": "hostctl must run as root."})
        return 1
    try:
        if not argv:
            result = verbs.serve(host, sys.stdin.buffer)
        elif argv == ["recover"]:
            result = {"outcome": boot(host)}
        elif argv == ["follow"]:
            # Without the lock: a switch that restarts Dovecot holds it.
            result = {"changed": upgrades.follow_live(host)}
        elif argv == ["leave"]:
            host.prepare()
            with host.locked(30):
                switch.recover(host, retry=True)
                result = switch.leave(host)
        elif argv[0] == "bridge" and argv[1:] in ([], ["--foreground"]):
            bridge.main(layout, detach=not argv[1:])
            return 0
        elif argv[0] == "deadman" and len(argv) == 2 and argv[1].isdigit():
            deadman.watch(host, int(argv[1]))
            return 0
        else:
            raise Refused("usage", "hostctl takes one request on its standard input.")
    except Refused as refused:
        emit({"event": "error", "code": refused.code, "message": refused.message, **refused.extra})
        return 1
    except Exception as failure:  # noqa: BLE001 - the last line is always a result or an error
        emit({"event": "error", "code": code_of(failure), "message": sentence(failure)})
        return 1
    emit({"event": "result", **result})
    return 0


def boot(host: Host) -> str:
    """Brings the host to one side.  Under systemd the daemons start after this; elsewhere
    they are started here."""
    host.prepare()
    with host.locked(30):
        direct = not services.under_systemd()
        done = switch.recover(host, daemons=direct, retry=True)
        upgrades.follow_live(host)
        accounts.repair(host)
        live = generations.current(host)
        if direct and live is not None:
            ran = before.running(host)
            for name, service in host.services.items():
                if live or ran[name]:  # on 0, what was there before the console alone
                    service.start()
    return done or "nothing to do"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
