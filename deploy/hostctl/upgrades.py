"""Packages upgraded under a live generation.

Every generation holds a rendering for Dovecot 2.3 and one for 2.4, and `dovecot.conf` in it is a
link to the one for what is installed.  A package upgrade changes what that is: 2.4 does not
start with a configuration of 2.3.  So the link is looked at where a daemon is about to read it:

    hostctl follow      before each start of Dovecot (a drop-in of its unit), without the lock
    at boot             before the daemons; where there is no systemd it starts them
    facts, recover      and a Dovecot that was kept down by it is started
    a switch            whichever generation it goes to, or back to
"""

from __future__ import annotations

import contextlib
import os

from . import durable, generations, paths
from .host import Host
from .services import ServiceFailed
from .wire import Refused, step

RENDERINGS = ("dovecot23.conf", "dovecot24.conf")


def follow(host: Host, generation: int) -> bool:
    """Whether the link had to be changed.  One that leads anywhere else is somebody's doing, and
    drift; a Dovecot that cannot say its version is half-way through its upgrade."""
    from . import facts

    link = host.layout.generation(generation) / paths.DOVECOT_LINK
    with contextlib.suppress(OSError):
        target = os.readlink(link)
        if target not in RENDERINGS:
            return False
        version = facts.dovecot_version(host)
        wanted = generations.rendering_for(version)
        if not version or wanted == target or not (link.parent / wanted).is_file():
            return False
        durable.relink(link, wanted)
        return True
    return False


def follow_live(host: Host) -> bool:
    with contextlib.suppress(Refused):
        live = generations.current(host)
        return bool(live) and follow(host, int(live or 0))
    return False


def mend(host: Host) -> None:
    """After an upgrade that left Dovecot with a configuration for the other.  Needs the lock."""
    dovecot = host.services["dovecot"]
    if follow_live(host) and dovecot.pid() is None:
        with contextlib.suppress(ServiceFailed, OSError), step(host.emit, "follow.dovecot"):
            dovecot.start(dovecot.ports)
