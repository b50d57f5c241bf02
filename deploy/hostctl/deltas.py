"""One delta read into the accounts' database, and what it touched.

`Change` keeps what the caller decides by: which mailboxes were removed (and how many their
domains had), and which maps no longer say what the database says.
"""

from __future__ import annotations

import json
import re
import sqlite3
from typing import IO, Any, Callable, Dict, List, Set, Tuple

from .wire import Refused

_LOCAL = r"[a-z0-9_](?:[a-z0-9._=+~&'-]{0,62}[a-z0-9_=+~&'-])?"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)+{_LABEL}"
# The address becomes a folder, a map's key and a pattern for `doveadm kick`: nothing that
# any of them would read as more than a name.
ADDRESS = re.compile(rf"(?!.*\.\.)(?!.{{255}}){_LOCAL}@{_DOMAIN}")
DOMAIN = re.compile(rf"(?!.{{254}}){_DOMAIN}")
# An alias may leave the house, and other houses keep the case of a local part.
TARGET = re.compile(rf"(?!.*\.\.)(?!.{{255}})[A-Za-z0-9_][A-Za-z0-9._=+~&'-]{{0,63}}@{_DOMAIN}")
CATCH_ALL = re.compile(rf"\*@(?!.{{253}}){_DOMAIN}")
"""The alias for everything that a domain has no other recipient for."""
HASH = re.compile(r"\{(?:ARGON2ID|BLF-CRYPT|SHA512-CRYPT|SHA256-CRYPT|CRYPT)\}[!-~]{1,512}")
SELECTOR = re.compile(r"[a-z0-9]{8}")
NO_PASSWORD = "{CRYPT}*"
"""A hash that nothing matches: a mailbox that has no password yet."""

_LINE_CAP = 64 * 1024
_TARGETS_MOST = 500
_APP_PASSWORDS_MOST = 100
_SCOPES = ("imap", "pop3", "sending")
_OF_DOMAIN = "substr(address, instr(address, '@') + 1) = ?"


def _is_ours(value: Any) -> bool:
    return isinstance(value, str) and bool(ADDRESS.fullmatch(value) or CATCH_ALL.fullmatch(value))


class Change:
    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.lines = 0
        self.touched: Set[str] = set()
        self.addresses: Set[str] = set()
        """Whose entries changed.  Other entries did only when `domains` says so."""
        self.domains = False
        self.removed: Set[str] = set()
        self.had: Dict[str, int] = {}
        """Mailboxes a domain had before, for every domain that lost one."""

    def read(self, lines: IO[bytes], whole: bool) -> None:
        """`whole`: what no line names is removed."""
        kinds: Dict[str, Callable[[Any], None]] = {
            "domain": self._domain,
            "mailbox": self._mailbox,
            "alias": self._alias,
            "remove": self._remove,
            "remove_domain": self._remove_domain,
        }
        self.database.execute(
            "CREATE TEMP TABLE seen (kind TEXT, name TEXT, PRIMARY KEY (kind, name))"
        )
        try:
            for raw in iter(lambda: lines.readline(_LINE_CAP + 1), b""):
                self.lines += 1
                if len(raw) > _LINE_CAP:
                    raise self._wrong("is too long")
                if not raw.strip():
                    continue
                try:
                    line = json.loads(raw)
                except ValueError:
                    raise self._wrong("is not JSON") from None
                if not isinstance(line, dict) or len(line) != 1:
                    raise self._wrong("is not one thing")
                ((kind, value),) = line.items()
                if kind not in kinds:
                    raise self._wrong(f"holds a {kind[:40]!r}, which this host does not know")
                kinds[kind](value)
            if whole:
                self._remove_unseen()
        finally:
            self.database.execute("DROP TABLE temp.seen")

    def _wrong(self, what: str) -> Refused:
        return Refused("bad_line", f"Line {self.lines} of the accounts {what}.", line=self.lines)

    def _saw(self, kind: str, name: str) -> None:
        self.database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (kind, name))

    def _address(self, value: Any, *, catch_all: bool = False) -> str:
        if not _is_ours(value) or (not catch_all and CATCH_ALL.fullmatch(value)):
            raise self._wrong(f"holds {str(value)[:80]!r}, which is not an address of ours")
        domain = value.rpartition("@")[2]
        if not self.database.execute("SELECT 1 FROM domain WHERE name = ?", (domain,)).fetchone():
            raise self._wrong(f"holds {value}, whose domain is not on this host")
        return str(value)

    def _domain(self, value: Any) -> None:
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not DOMAIN.fullmatch(name):
            raise self._wrong(f"holds {str(name)[:80]!r}, which is not a domain")
        self._saw("domain", name)
        made = self.database.execute("INSERT OR IGNORE INTO domain (name) VALUES (?)", (name,))
        if made.rowcount:
            self._touch_domain()

    def _mailbox(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise self._wrong("is not a mailbox")
        address = self._address(value.get("address"))
        flags = []
        for name in ("can_login", "can_send", "receives"):
            if not isinstance(value.get(name), bool):
                raise self._wrong(f"says neither true nor false for {name}")
            flags.append(int(value[name]))
        quota = value.get("quota_bytes", 0)
        if type(quota) is not int or not 0 <= quota < 2**63:
            raise self._wrong("has a quota that is not a number of bytes")
        password = value.get("password") or NO_PASSWORD
        if not isinstance(password, str) or not HASH.fullmatch(password):
            raise self._wrong("has a password that is not a hash with a known scheme")
        apps = self._app_passwords(value.get("app_passwords", []))
        self._saw("account", address)
        self._drop_alias(address)
        self.database.execute("DELETE FROM app_password WHERE address = ?", (address,))
        self.database.executemany(
            "INSERT INTO app_password VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(address, *app) for app in apps],
        )
        old = self.database.execute(
            "SELECT can_login, can_send, receives FROM account WHERE address = ?", (address,)
        ).fetchone()
        self.database.execute(
            "INSERT INTO account (address, password, can_login, can_send, receives, quota_bytes)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (address) DO UPDATE SET"
            " password = excluded.password, can_login = excluded.can_login,"
            " can_send = excluded.can_send, receives = excluded.receives,"
            " quota_bytes = excluded.quota_bytes",
            (address, password, *flags, quota),
        )
        if old == (*flags,):
            return
        self.addresses.add(address)
        if old is None:
            self.touched |= {"access", "cansend", *self._maps_of(address)}
            return
        if old[2] != flags[2]:
            self.touched.add("access")
        if (old[0] and old[1]) != (flags[0] and flags[1]):
            self.touched.add("cansend")

    def _app_passwords(self, value: Any) -> List[Tuple[Any, ...]]:
        """All that the mailbox has, as the columns after the address."""
        if not isinstance(value, list) or len(value) > _APP_PASSWORDS_MOST:
            raise self._wrong(f"does not name at most {_APP_PASSWORDS_MOST} app passwords")
        found: Dict[str, Tuple[Any, ...]] = {}
        for app in value:
            if not isinstance(app, dict):
                raise self._wrong("has an app password that is none")
            selector, password = app.get("selector"), app.get("password")
            if not isinstance(selector, str) or not SELECTOR.fullmatch(selector):
                raise self._wrong("has an app password without a selector")
            if selector in found:
                raise self._wrong("has two app passwords with one selector")
            if not isinstance(password, str) or not HASH.fullmatch(password):
                raise self._wrong("has an app password that is not a hash with a known scheme")
            if not all(isinstance(app.get(scope), bool) for scope in _SCOPES):
                raise self._wrong("has an app password that does not say what it is for")
            expires_at = app.get("expires_at", 0)
            if type(expires_at) is not int or not 0 <= expires_at < 2**63:
                raise self._wrong("has an app password that ends at no second")
            scopes = [int(app[scope]) for scope in _SCOPES]
            found[selector] = (selector, password, *scopes, expires_at)
        return list(found.values())

    def _alias(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise self._wrong("is not an alias")
        address = self._address(value.get("address"), catch_all=True)
        targets = value.get("targets")
        if not isinstance(targets, list) or not 0 < len(targets) <= _TARGETS_MOST:
            raise self._wrong(f"does not name 1 to {_TARGETS_MOST} targets")
        for target in targets:
            if not isinstance(target, str) or not TARGET.fullmatch(target):
                raise self._wrong(f"points to {str(target)[:80]!r}, which is not an address")
        self._saw("alias", address)
        self._drop_account(address)
        stored = json.dumps(targets)
        old = self.database.execute(
            "SELECT targets FROM alias WHERE address = ?", (address,)
        ).fetchone()
        if old is not None and old[0] == stored:
            return
        self.database.execute("INSERT OR REPLACE INTO alias VALUES (?, ?)", (address, stored))
        self.addresses.add(address)
        self.touched |= {"aliases", "sendas"} | (set() if old else {"access"})

    def _remove(self, value: Any) -> None:
        if not _is_ours(value):
            raise self._wrong(f"removes {str(value)[:80]!r}, which is not an address of ours")
        self._drop_account(value)
        self._drop_alias(value)

    def _remove_domain(self, value: Any) -> None:
        if not isinstance(value, str) or not DOMAIN.fullmatch(value):
            raise self._wrong(f"removes {str(value)[:80]!r}, which is not a domain")
        for table, drop in (("account", self._drop_account), ("alias", self._drop_alias)):
            rows = self.database.execute(
                f"SELECT address FROM {table} WHERE {_OF_DOMAIN}", (value,)
            ).fetchall()
            for (address,) in rows:
                drop(address)
        if self.database.execute("DELETE FROM domain WHERE name = ?", (value,)).rowcount:
            self._touch_domain()

    def _remove_unseen(self) -> None:
        for table, drop in (("account", self._drop_account), ("alias", self._drop_alias)):
            rows = self.database.execute(
                f"SELECT address FROM {table} WHERE address NOT IN"
                " (SELECT name FROM seen WHERE kind = ?)",
                (table,),
            ).fetchall()
            for (address,) in rows:
                drop(address)
        rows = self.database.execute(
            "SELECT name FROM domain WHERE name NOT IN"
            " (SELECT name FROM seen WHERE kind = 'domain')"
        ).fetchall()
        for (name,) in rows:
            self._remove_domain(name)

    def _drop_account(self, address: str) -> None:
        domain = address.rpartition("@")[2]
        if domain not in self.had:
            known = self.database.execute("SELECT 1 FROM account WHERE address = ?", (address,))
            if known.fetchone() is None:
                return
            (self.had[domain],) = self.database.execute(
                "SELECT mailboxes FROM domain WHERE name = ?", (domain,)
            ).fetchone()
        self.database.execute("DELETE FROM app_password WHERE address = ?", (address,))
        if self.database.execute("DELETE FROM account WHERE address = ?", (address,)).rowcount:
            self.removed.add(address)
            self.addresses.add(address)
            self.touched |= {"access", "cansend", *self._maps_of(address)}

    def _drop_alias(self, address: str) -> None:
        if self.database.execute("DELETE FROM alias WHERE address = ?", (address,)).rowcount:
            self.addresses.add(address)
            self.touched |= {"access", "aliases", "sendas"}

    def _touch_domain(self) -> None:
        self.domains = True
        self.touched |= {"access", "mailertable", "aliases"}

    def _maps_of(self, address: str) -> Set[str]:
        """Beside `access` and `cansend`, the maps in which a mailbox may be named."""
        found = set()
        if address.partition("@")[0] in ("postmaster", "abuse"):
            found.add("aliases")
        if self.database.execute("SELECT 1 FROM alias LIMIT 1").fetchone():
            found.add("sendas")
        return found
