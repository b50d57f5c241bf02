"""Addresses for practice hosts, all from 192.0.2.0/24 (TEST-NET-1, RFC 5737), which nobody routes.

Index 1 has

    192.0.2.5/30     the console's end of the cable
    192.0.2.6/30     the host's end
    192.0.2.129/32   a second address at the console's end, one the host has no reason to trust:
                     where a probe for an open relay comes from

An index belongs to whoever holds its lock file; a running host's first process holds it, so that it
is free again however the host ends. Several consoles and test runs share one machine this way.
"""

import fcntl
import ipaddress
import itertools
import os
import random
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from deploy.practice.errors import PracticeError

INDEXES = range(32)
LOCKS = Path("/run/lock")


@dataclass(frozen=True)
class Cable:
    index: int

    @property
    def interface(self) -> str:
        return f"practice{self.index}"

    @property
    def is_laid(self) -> bool:
        return self.interface in {name for _, name in socket.if_nameindex()}

    @property
    def console(self) -> str:
        return f"192.0.2.{4 * self.index + 1}"

    @property
    def host(self) -> str:
        return f"192.0.2.{4 * self.index + 2}"

    @property
    def foreign(self) -> str:
        return f"192.0.2.{128 + self.index}"


def claim(preferred: int | None = None) -> tuple[Cable, int]:
    """A free index and its lock's file descriptor, to be handed on or closed."""
    taken = machine_addresses()
    # Not in order: two who start at once should not queue up for the same files.
    others = random.sample(INDEXES, len(INDEXES))
    for index in others if preferred is None else [preferred, *others]:
        cable = Cable(index)
        mine = {ipaddress.ip_address(a) for a in (cable.console, cable.host, cable.foreign)}
        network = ipaddress.ip_network(f"192.0.2.{4 * index}/30")
        if any(address in network or address in mine for address in taken):
            continue
        if (lock := _lock(index)) is not None:
            return cable, lock
    raise PracticeError("addresses", "All addresses for practice hosts on this machine are in use.")


def _lock(index: int) -> int | None:
    LOCKS.mkdir(parents=True, exist_ok=True)
    path = LOCKS / f"mailadmin-practice-{index}"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def machine_addresses() -> set[ipaddress.IPv4Address]:
    """The machine's own addresses and gateways inside 192.0.2.0/24, practice cables left out.

    Read from /proc: a minimal Debian has no iproute2.
    """
    found = set()
    trie = Path("/proc/net/fib_trie").read_text().splitlines()
    for line, following in itertools.pairwise(trie):
        if line.strip().startswith("|--") and "host LOCAL" in following:
            found.add(ipaddress.IPv4Address(line.split()[-1]))
    for route in Path("/proc/net/route").read_text().splitlines()[1:]:
        gateway = struct.pack("<I", int(route.split()[2], 16))
        found.add(ipaddress.IPv4Address(gateway))
    testnet = ipaddress.ip_network("192.0.2.0/24")
    return {a for a in found if a in testnet and a not in _practice_addresses()}


def _practice_addresses() -> set[ipaddress.IPv4Address]:
    """What cables that are up hold: their locks speak for them, or they are stale."""
    cables = [Cable(index) for index in INDEXES if Cable(index).is_laid]
    return {ipaddress.IPv4Address(a) for c in cables for a in (c.console, c.foreign)}
