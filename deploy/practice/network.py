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
import time
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
    # Not in order: two who start at once should not queue up for the same files.
    others = random.sample(INDEXES, len(INDEXES))
    for index in others if preferred is None else [preferred, *others]:
        cable = Cable(index)
        if (lock := _lock(index)) is None:
            continue
        if index == preferred:
            _wait_until_gone(cable)
        if not _in_use(cable):
            return cable, lock
        os.close(lock)
    raise PracticeError("addresses", "All addresses for practice hosts on this machine are in use.")


def _wait_until_gone(cable: Cable, seconds: float = 2.0) -> None:
    """The kernel takes a moment to remove the cable of a host that just ended."""
    end = time.monotonic() + seconds
    while cable.is_laid and time.monotonic() < end:
        time.sleep(0.02)


def _in_use(cable: Cable) -> bool:
    """Something has the addresses whatever the lock says: the machine itself, or a host of another
    file system that shares this network.
    """
    network = ipaddress.ip_network(f"192.0.2.{4 * cable.index}/30")
    foreign = ipaddress.IPv4Address(cable.foreign)
    taken = machine_addresses()
    return cable.is_laid or foreign in taken or any(address in network for address in taken)


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
    """The machine's own addresses and gateways inside 192.0.2.0/24.

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
    return {address for address in found if address in ipaddress.ip_network("192.0.2.0/24")}
