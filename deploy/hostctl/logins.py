"""Who could log in again once generation 0 is back: logins that the console does not know of.

Asked of generation 0's own configuration: the passdbs of its Dovecot (PAM and the system's users,
passwd-files), and SASL through saslauthd for its Sendmail.  Only names are told, never a hash.
The famous one is `test`, suspended in the console and with a password in /etc/shadow still.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

from . import before
from .host import Host

DOVECONF = "/usr/bin/doveconf"
_MOST = 500
_FILE_CAP = 64 * 1024 * 1024
SYSTEM = frozenset({"pam", "passwd", "shadow", "bsdauth"})
_SASL = (
    "/etc/sasl2/Sendmail.conf",
    "/usr/lib/sasl2/Sendmail.conf",
    "/etc/mail/sasl/Sendmail.conf.2",
)


class Passdb(NamedTuple):
    """`file`: the path of a passwd-file, with its variables."""

    driver: str
    file: str


def collect(host: Host) -> Dict[str, Any]:
    """`logins`: name, what lets it in, and its shell; `more` than are told; `unlisted`: where else
    logins may be, which cannot be listed (`sql`)."""
    found: Dict[str, Set[str]] = {}
    unlisted: Set[str] = set()
    settings, passdbs = _dovecot(host)
    if any(each.driver in SYSTEM for each in passdbs):
        for name in system_users(host, *_numbers(settings)):
            found.setdefault(name, set()).add("dovecot")
    for each in passdbs:
        if each.driver == "passwd-file":
            for name in _in_files(host, each.file):
                found.setdefault(name, set()).add("passwd-file")
        elif each.driver not in SYSTEM:
            unlisted.add(each.driver)
    if _saslauthd(host):
        for name in system_users(host, 0, 0):
            found.setdefault(name, set()).add("saslauthd")
    shells = {name: shell for name, _uid, shell in _passwd(host)}
    rows = [
        {"name": name, "by": sorted(by), "shell": shells.get(name, "")}
        for name, by in sorted(found.items())
    ]
    return {
        "logins": rows[:_MOST],
        "more": max(0, len(rows) - _MOST),
        "unlisted": sorted(unlisted),
    }


# --- Dovecot's own words ---------------------------------------------------------------------


def _dovecot(host: Host) -> Tuple[Dict[str, str], List[Passdb]]:
    with before.staged(host, before.DOVECOT_CONF) as conf:
        if conf is None:
            return {}, []
        told = host.run([DOVECONF, "-c", str(conf), "-n"], timeout=30)
    return parse_doveconf(told.out.decode("utf-8", "replace"))


def parse_doveconf(said: str) -> Tuple[Dict[str, str], List[Passdb]]:
    """The settings outside of blocks, and the passdbs that let people in (not `deny = yes`).

    2.3: `passdb {` with `driver` and `args`; 2.4: `passdb NAME {` with `passwd_file_path`, the
    driver named by NAME where nothing else is said.
    """
    settings: Dict[str, str] = {}
    passdbs: List[Passdb] = []
    blocks: List[Tuple[str, Dict[str, str]]] = []
    for line in map(str.strip, said.splitlines()):
        if line.startswith("#"):
            continue
        if line.endswith("{"):
            blocks.append((line[:-1].strip(), {}))
        elif line == "}" and blocks:
            title, inner = blocks.pop()
            if title.split()[:1] == ["passdb"] and inner.get("deny", "no") != "yes":
                passdbs.append(_passdb(title, inner))
        elif "=" in line:
            name, _, value = line.partition("=")
            (blocks[-1][1] if blocks else settings)[name.strip()] = value.strip().strip('"')
    return settings, passdbs


def _passdb(title: str, inner: Dict[str, str]) -> Passdb:
    named = title.split()[1:2]
    driver = inner.get("driver") or inner.get("passdb_driver") or (named[0] if named else "")
    words = inner.get("args", "").split()
    return Passdb(driver, inner.get("passwd_file_path") or (words[-1] if words else ""))


def _numbers(settings: Dict[str, str]) -> Tuple[int, int]:
    def number(name: str, default: int) -> int:
        text = settings.get(name, "")
        return int(text) if text.isdigit() else default

    return number("first_valid_uid", 500), number("last_valid_uid", 0)


# --- users -----------------------------------------------------------------------------------


def system_users(host: Host, first: int, last: int) -> List[str]:
    """Those with a password that opens, and a number that Dovecot lets in (0: no limit above)."""
    hashes = {}
    for line in _read(host, "/etc/shadow"):
        fields = line.split(":")
        if len(fields) > 1:
            hashes[fields[0]] = fields[1]
    return [
        name
        for name, uid, _shell in _passwd(host)
        if uid >= first and (not last or uid <= last) and opens(hashes.get(name, ""))
    ]


def opens(hashed: str) -> bool:
    """Whether a field of /etc/shadow is a password: locked ones begin with `!` or `*`."""
    return bool(hashed) and hashed[0] not in "!*" and hashed not in ("x", "NP")


def _passwd(host: Host) -> Iterator[Tuple[str, int, str]]:
    for line in _read(host, "/etc/passwd"):
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit():
            yield fields[0], int(fields[2]), fields[6]


def _in_files(host: Host, path: str) -> Iterator[str]:
    """`user:{SCHEME}hash:…` of each file; `%d` or `%{user | domain}` in its path is any domain."""
    pattern = re.sub(r"%(\{[^}]*\}|[A-Za-z])", "*", path)
    if not pattern.startswith("/"):
        return
    for each in sorted(glob.glob(str(host.layout.at(pattern)))):
        for line in _read(host, os.path.relpath(each, host.layout.root)):
            fields = line.split(":")
            name = fields[0].strip()
            if name.startswith("#") or len(fields) < 2:
                continue
            hashed = re.sub(r"^\{[^}]*\}", "", fields[1])
            if name and opens(hashed) and "nologin" not in ":".join(fields[7:]).split():
                yield name


def _saslauthd(host: Host) -> bool:
    """Whether SASL, as it was, checks passwords of system users for Sendmail."""
    for name in _SASL:
        path = before.text_of(host, name) if name == _SASL[0] else host.layout.at(name)
        if path is not None and path.is_file():
            said = path.read_text("utf-8", "replace")
            return bool(re.search(r"^\s*pwcheck_method\s*:.*\bsaslauthd\b", said, re.M))
    return False


def _read(host: Host, name: str) -> List[str]:
    try:
        with host.layout.at(name).open("rb") as file:
            return file.read(_FILE_CAP).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
