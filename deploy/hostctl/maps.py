"""Sendmail's maps, built from the accounts' database, so that the two cannot disagree.

    access       To:root@mail.example.test      RELAY     the server's own name comes first: an
                 To:mail.example.test           OK        entry of a domain matches what is below it
                 To:alice@example.test          RELAY
                 To:closed@example.test         ERROR:5.2.1:550 Mailbox does not accept mail
                 To:example.test                ERROR:5.1.1:550 No such user here
                 Catchall:example.test          RELAY     it has one: whom `To:` does not name
    aliases      sales@example.test             alice@example.test, bob@example.test
                 postmaster@example.test        root      when nobody else takes it
                 *@example.test                 carol@example.test          a catch-all
    mailertable  example.test                   dovecot:localhost
    sendas       alice@example.test:sales@example.test    OK
    cansend      alice@example.test             OK

Only what a change touches is rebuilt, beside the live file, then renamed, so that nobody ever
reads half a map.  A few entries of a large one are changed where they are, under the lock that
each of Sendmail's lookups takes.  Columns are separated by one TAB.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, Optional, Tuple, Union

from . import durable, paths
from .host import Host
from .wire import Refused

MAKEMAP = "/usr/sbin/makemap"
EDITMAP = "/usr/sbin/editmap"
CLOSED = "ERROR:5.2.1:550 Mailbox does not accept mail"
ROLES = ("postmaster", "abuse")
OWN_ROLES = ("root", "postmaster", "abuse", "mailer-daemon")
_ROOM = 16 * 1024 * 1024
"""Bytes that must be free for a map to be edited in place, where it grows by a page or two."""
CATCH_ALL = "*"
"""Local part of the alias for everything that a domain has no other recipient for."""

Row = Tuple[str, str]


def access(database: sqlite3.Connection, fqdn: str) -> Iterator[Row]:
    domains = {name for (name,) in database.execute("SELECT name FROM domain")}
    if fqdn and fqdn not in domains:
        for role in OWN_ROLES:
            yield f"To:{role}@{fqdn}", "RELAY"
        # Its own users are judged by the password file, not by the domain above it.
        yield f"To:{fqdn}", "OK"
    for address, receives in database.execute("SELECT address, receives FROM account"):
        yield f"To:{address}", "RELAY" if receives else CLOSED
    for (address,) in database.execute(
        "SELECT address FROM alias WHERE address NOT IN (SELECT address FROM account)"
    ):
        yield access_key(address), "RELAY"
    for domain in sorted(domains):
        for role in ROLES:
            if not _taken(database, f"{role}@{domain}"):
                yield f"To:{role}@{domain}", "RELAY"
        yield f"To:{domain}", "ERROR:5.1.1:550 No such user here"


def _taken(database: sqlite3.Connection, address: str) -> bool:
    """By a mailbox or an alias."""
    for table in ("account", "alias"):
        known = database.execute(f"SELECT 1 FROM {table} WHERE address = ?", (address,))
        if known.fetchone() is not None:
            return True
    return False


def access_key(address: str) -> str:
    """Nobody may be sent to as `*`: the catch-all is what stands for other names."""
    local, _, domain = address.rpartition("@")
    return f"Catchall:{domain}" if local == CATCH_ALL else f"To:{address}"


def aliases(database: sqlite3.Connection, fqdn: str) -> Iterator[Row]:
    taken = set()
    for address, targets in database.execute("SELECT address, targets FROM alias"):
        taken.add(address)
        yield address, ", ".join(json.loads(targets))
    for (domain,) in database.execute("SELECT name FROM domain"):
        for role in ROLES:
            address = f"{role}@{domain}"
            known = database.execute("SELECT 1 FROM account WHERE address = ?", (address,))
            if address not in taken and known.fetchone() is None:
                yield address, "root"
    # RFC 5321, 4.5.1: the server's own postmaster, where the system's aliases name nobody.
    for role in ROLES:
        yield role, "root"
    # Sendmail takes an alias database without this for one still being written, and waits.
    yield "@", "@"


def mailertable(database: sqlite3.Connection, fqdn: str) -> Iterator[Row]:
    for (domain,) in database.execute("SELECT name FROM domain"):
        yield domain, f"{paths.DELIVERY_MAILER}:localhost"


def sendas(database: sqlite3.Connection, fqdn: str) -> Iterator[Row]:
    known = database.cursor()
    for address, targets in database.execute("SELECT address, targets FROM alias"):
        if address.startswith(CATCH_ALL):
            continue  # nobody may send as everybody
        for target in dict.fromkeys(each.lower() for each in json.loads(targets)):
            known.execute("SELECT 1 FROM account WHERE address = ?", (target,))
            if known.fetchone() is not None:
                yield f"{target}:{address}", "OK"


def cansend(database: sqlite3.Connection, fqdn: str) -> Iterator[Row]:
    for (address,) in database.execute(
        "SELECT address FROM account WHERE can_login = 1 AND can_send = 1"
    ):
        yield address, "OK"


MAKERS: Dict[str, Callable[[sqlite3.Connection, str], Iterable[Row]]] = {
    # In the order in which they are rebuilt: who may send first.
    "cansend": cansend,
    "access": access,
    "mailertable": mailertable,
    "aliases": aliases,
    "sendas": sendas,
}


ONE: Dict[str, Callable[[sqlite3.Connection, str], Tuple[str, Optional[str]]]] = {}
"""The large maps: the key of one address and its value, None when it must not be there."""


def one(maker: Callable[[sqlite3.Connection, str], Tuple[str, Optional[str]]]) -> None:
    ONE[maker.__name__.removeprefix("one_")] = maker


@one
def one_cansend(database: sqlite3.Connection, address: str) -> Tuple[str, Optional[str]]:
    row = database.execute(
        "SELECT can_login AND can_send FROM account WHERE address = ?", (address,)
    ).fetchone()
    return address, "OK" if row is not None and row[0] else None


@one
def one_access(database: sqlite3.Connection, address: str) -> Tuple[str, Optional[str]]:
    key = access_key(address)
    row = database.execute("SELECT receives FROM account WHERE address = ?", (address,)).fetchone()
    if row is not None:
        return key, "RELAY" if row[0] else CLOSED
    local, _, domain = address.partition("@")
    if database.execute("SELECT 1 FROM alias WHERE address = ?", (address,)).fetchone():
        return key, "RELAY"
    hosted = database.execute("SELECT 1 FROM domain WHERE name = ?", (domain,)).fetchone()
    return key, "RELAY" if hosted and local in ROLES else None


def build(host: Host, database: sqlite3.Connection, name: str, fqdn: str) -> str:
    """Makes one map anew and puts it in place; says what it did."""
    text, count = bytearray(), 0  # a million rows as text: a list of them is four times as large
    for key, value in MAKERS[name](database, fqdn):
        text += f"{key}\t{value}\n".encode("ascii")
        count += 1
    beside, built = _beside(host, name)
    told = host.run([MAKEMAP, "hash", str(beside)], stdin=bytes(text), timeout=120)
    if told.status != 0:
        raise Refused("makemap", f"makemap refused the map {name}: {told.words}")
    _put_in_place(host, built, name)
    return f"{count} entries"


def edit(
    host: Host, database: sqlite3.Connection, name: str, addresses: Iterable[str], fqdn: str
) -> str:
    """The same by changing single entries in place: 10 ms, however many there are.

    editmap holds the file's lock (flock(2)) while it writes, and Sendmail takes it for each
    lookup, so nobody reads half a change.  What a power cut leaves may be in pieces: the database
    calls the map dirty until this has ended, and `recover` makes it anew before the daemons
    start.  Makes the map anew, too, when editing does not work, or might not end for want of room.
    """
    live = host.layout.maps / f"{name}.db"
    if shutil.disk_usage(live).free < _ROOM:
        return build(host, database, name, fqdn)
    before = live.stat().st_mtime
    changed = 0
    for address in addresses:
        key, value = ONE[name](database, address)
        argv = [EDITMAP, "-x" if value is None else "-u", "hash", str(live.with_suffix("")), key]
        if host.run([*argv, *([] if value is None else [value])], timeout=20).status != 0:
            return build(host, database, name, fqdn)
        changed += 1
    _keep(host, live)  # editmap gives it to Sendmail's trusted user
    _age(live, before)
    return f"{changed} entries changed"


def _beside(host: Host, name: str) -> Tuple[Path, Path]:
    """A map's name without and with its suffix, beside the live one; nothing is there."""
    beside = host.layout.maps / f".{name}.new"
    built = host.layout.maps / f".{name}.new.db"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(built)
    return beside, built


def _keep(host: Host, map_file: Path) -> None:
    """Root's alone to write, and on the disk."""
    handle = os.open(map_file, os.O_RDONLY)
    try:
        owner = host.owner("root", "root")
        if owner is not None:
            os.fchown(handle, *owner)
        os.fchmod(handle, 0o640)
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(host: Host, built: Path, name: str) -> None:
    _keep(host, built)
    live = host.layout.maps / f"{name}.db"
    old = os.open(live, os.O_RDONLY) if live.exists() else None
    os.replace(built, live)
    durable.fsync_folder(host.layout.maps)
    if old is not None:
        try:
            _age(old, os.fstat(old).st_mtime)
        finally:
            os.close(old)


def _age(file: Union[int, Path], was: float) -> None:
    """Makes sessions that hold the map open, as it `was`, open it again.

    Sendmail does so, by the map's name, when the file it holds is newer in whole seconds than
    when it was opened (db_map_lookup).  A rename alone leaves an authenticated session with the
    map from before its account was suspended, and so does an edit within the same second.
    """
    os.utime(file, (was, max(was + 2, time.time() + 1)))


def missing(host: Host) -> Tuple[str, ...]:
    return tuple(name for name in MAKERS if not (host.layout.maps / f"{name}.db").is_file())
