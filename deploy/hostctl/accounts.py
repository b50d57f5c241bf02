"""The accounts on the host: deltas in one transaction, maps, ended sessions.

The payload is JSON lines:

    {"domain": {"name": "example.test"}}
    {"mailbox": {"address": "anna@example.test", "password": "{ARGON2ID}$argon2id$...",
                 "can_login": true, "can_send": true, "receives": true, "quota_bytes": 0,
                 "app_passwords": [{"selector": "abcd2345", "password": "{ARGON2ID}$argon2id$...",
                                    "imap": true, "pop3": false, "sending": true,
                                    "expires_at": 0}]}}     all that it has; absent: none
    {"alias": {"address": "info@example.test", "targets": ["anna@example.test"]}}
    {"alias": {"address": "*@example.test", "targets": [...]}}      a catch-all
    {"remove": "old@example.test"}          a mailbox or an alias
    {"remove_domain": "gone.test"}          with everything in it

A delta says which change it starts from and which it ends at; every line states a whole row,
so sending one twice ends in the same place.  The host refuses one that leaves a gap
(`behind`), one older than what it has (`ahead`: the console was restored from a backup), one
of another console's history (`lineage`), and one that removes more than a twentieth of a
domain's mailboxes (`too_many_removed`) unless it is forced.

The database is updated in place, never renamed: Dovecot would not notice a new file.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import IO, AbstractSet, Any, Dict, Iterator, List, Optional, Set

from . import durable, maps, names, paths, schema, sessions
from .deltas import Change
from .host import Host
from .wire import Refused, step

_PATIENCE = 30.0
_NOTHING: Dict[str, Any] = {"lineage": None, "through_change": 0, "mailboxes": 0}
_EDITED_MOST = 20
_SHARE = 20
"""One in so many of a domain's mailboxes may be removed without being asked for again."""


def connect(host: Host) -> sqlite3.Connection:
    """The database, made or brought up to date first; WAL and durable at every commit."""
    owner = host.owner("root", paths.DATA_GROUP)
    durable.folder(host.layout.accounts_db.parent, 0o770, owner)
    for path, steps in (
        (host.layout.last_login_db, schema.LAST_LOGIN_STEPS),
        (host.layout.accounts_db, schema.STEPS),
    ):
        if path.is_symlink():
            raise Refused("path", f"{path} is a link, which is not followed: remove it.")
        if not path.exists():
            durable.create(path, b"", 0o660, owner)
        database = sqlite3.connect(path, timeout=20, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            at = int(database.execute("PRAGMA user_version").fetchone()[0])
            for number, script in enumerate(steps[at:], start=at + 1):
                database.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )
        except BaseException:
            database.close()
            raise
        if path == host.layout.accounts_db:
            return database
        database.close()
    raise AssertionError("unreachable")


@contextmanager
def opened(host: Host) -> Iterator[sqlite3.Connection]:
    database = connect(host)
    try:
        yield database
    finally:
        database.close()


def position(host: Host) -> Dict[str, Any]:
    """What is in the database, without making one: for `facts`."""
    if not host.layout.accounts_db.is_file():
        return dict(_NOTHING)
    try:
        with opened(host) as database:
            return _position(database)
    except sqlite3.OperationalError:
        return _position_unwritable(host)


def _position_unwritable(host: Host) -> Dict[str, Any]:
    """On a disk on which SQLite cannot work: what the file itself says, perhaps not the newest."""
    database = sqlite3.connect(f"file:{host.layout.accounts_db}?immutable=1", uri=True)
    try:
        return _position(database)
    except sqlite3.OperationalError:
        return dict(_NOTHING)
    finally:
        database.close()


def _position(database: sqlite3.Connection) -> Dict[str, Any]:
    lineage, through = database.execute("SELECT lineage, through_change FROM meta").fetchone()
    (mailboxes,) = database.execute("SELECT coalesce(sum(mailboxes), 0) FROM domain").fetchone()
    return {"lineage": lineage, "through_change": through, "mailboxes": mailboxes}


def apply(
    host: Host,
    *,
    lineage: str,
    from_change: int,
    through_change: int,
    whole: bool,
    force: bool,
    end_sessions: List[str],
    lines: IO[bytes],
) -> Dict[str, Any]:
    # Imported where it is needed: every request starts Python anew.
    from concurrent.futures import ThreadPoolExecutor

    ended = sessions.addresses(end_sessions)
    with opened(host) as database:
        _may_follow(database, lineage, from_change, through_change, whole, force)
        with step(host.emit, "accounts.store") as said:
            database.execute("BEGIN IMMEDIATE")
            try:
                change = Change(database)
                change.read(lines, whole)
                if not force:
                    _few_enough(change)
                database.execute(
                    "UPDATE meta SET lineage = ?, through_change = max(through_change, ?)"
                    if not (whole and force)
                    else "UPDATE meta SET lineage = ?, through_change = ?",
                    (lineage, through_change),
                )
                unfinished = _dirty(database) | set(maps.missing(host))
                dirty = unfinished | change.touched
                database.execute("UPDATE meta SET dirty = ?", (",".join(sorted(dirty)),))
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a full disk has rolled it back already
                    database.execute("ROLLBACK")
                raise
            said.detail = f"{change.lines} lines, {len(change.removed)} mailboxes removed"
        leaving = sorted(set(ended) | change.removed)
        with ThreadPoolExecutor(1) as aside:
            # At once, and again after the maps: a login that was under way at the first
            # time is in the list of sessions by the second.
            kicked = aside.submit(sessions.end, host, leaving)
            rebuilt = rebuild(host, database, change=change, anew=unfinished)
            out = kicked.result() | sessions.end(host, leaving)
        return {
            **_position(database),
            "removed": len(change.removed),
            "kicked": len(out),
            "maps": rebuilt,
        }


def _may_follow(
    database: sqlite3.Connection,
    lineage: str,
    from_change: int,
    through_change: int,
    whole: bool,
    force: bool,
) -> None:
    stored, through = database.execute("SELECT lineage, through_change FROM meta").fetchone()
    if stored is None and not whole:
        raise Refused("behind", "This host has no accounts yet: send all.", through_change=0)
    if stored is not None and stored != lineage and not (whole and force):
        raise Refused(
            "lineage",
            "The accounts on this host come from another console, or from before a restore.",
            lineage=stored,
            through_change=through,
        )
    if stored == lineage and through > through_change and not (whole and force):
        raise Refused(
            "ahead",
            f"This host already has change {through}, the console only {through_change}: "
            "it may have been restored from an old backup.",
            through_change=through,
        )
    if not whole and through < from_change:
        raise Refused(
            "behind",
            f"This host has the changes up to {through} only: send what is missing.",
            through_change=through,
        )


def _few_enough(change: Change) -> None:
    for domain, had in sorted(change.had.items()):
        lost = sum(1 for address in change.removed if address.endswith("@" + domain))
        if lost > max(1, had // _SHARE):
            raise Refused(
                "too_many_removed",
                f"{lost} of the {had} mailboxes of {domain} would be removed.",
                domain=domain,
                removed=lost,
                mailboxes=had,
            )


def _dirty(database: sqlite3.Connection) -> Set[str]:
    (names,) = database.execute("SELECT dirty FROM meta").fetchone()
    return {name for name in names.split(",") if name in maps.MAKERS}


def rebuild(
    host: Host,
    database: sqlite3.Connection,
    name: Optional[str] = None,
    change: Optional[Change] = None,
    anew: AbstractSet[str] = frozenset(),
) -> List[str]:
    """Rebuilds the maps that are marked, missing, or made for another name of the server.

    After a small `change` the large ones are edited, except those in `anew`.
    """
    name = name if name is not None else names.own(host)
    if "sendmail" not in host.services:
        # Postfix asks the bridge, which reads the database: there are no maps.
        database.execute("UPDATE meta SET dirty = '', own_name = ?", (name,))
        return []
    (built_for,) = database.execute("SELECT own_name FROM meta").fetchone()
    todo = _dirty(database) | set(maps.missing(host))
    anew = set(anew)
    if name != built_for:
        todo.add("access")
        anew.add("access")
    if change is not None and change.domains:
        anew.add("access")
    small = change is not None and len(change.addresses) <= _EDITED_MOST
    done = []
    for each in maps.MAKERS:
        if each not in todo:
            continue
        with step(host.emit, f"accounts.map.{each}") as said:
            if change is not None and small and each in maps.ONE and each not in anew:
                said.detail = maps.edit(host, database, each, sorted(change.addresses), name)
            else:
                said.detail = maps.build(host, database, each, name)
        done.append(each)
    if done or name != built_for:
        database.execute("UPDATE meta SET dirty = '', own_name = ?", (name,))
    return done


def refresh(host: Host, name: Optional[str] = None) -> List[str]:
    """Brings the maps in line with the database; nothing to do is the usual case."""
    with host.locked(_PATIENCE, "accounts.lock"), opened(host) as database:
        return rebuild(host, database, name)


def repair(host: Host) -> None:
    """After a power cut: `refresh`, where there is a database."""
    if host.layout.accounts_db.is_file():
        refresh(host)
