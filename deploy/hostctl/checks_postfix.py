"""Validation of Postfix's part of a staged generation.

    postmap           bad numbers and other garbage in main.cf
    postfix check     a bad master.cf, folders that are not as they should be
    postconf -n, -M   an unknown parameter is a warning with status 0: any warning refuses
    master.cf         its programs are there
    the log           nothing writes passwords there: -v, debug_peer_list, TLS in full
    the gate          which tables decide about recipients and senders, after own lines
    the tables        the account database gives the answers that Postfix will ask for

A missing table or certificate passes `postfix check`; certificates have a check of their own, and
what the tables say is asked here of the code that will answer, because before the first switch
nothing is there yet that Postfix could ask.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List

from . import accounts, paths
from .host import Host
from .lookups import Lookups
from .wire import Refused

POSTCONF, POSTMAP = "/usr/sbin/postconf", "/usr/sbin/postmap"
_TABLES = f"socketmap:unix:{paths.LOOKUP_SOCKET}:"
_HOLDS: Dict[str, str] = {
    "virtual_mailbox_domains": _TABLES + "domain",
    "virtual_mailbox_maps": _TABLES + "mailbox",
    "virtual_alias_maps": _TABLES + "alias",
    "smtpd_sender_login_maps": _TABLES + "owner",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_recipient_restrictions": f"check_policy_service unix:{paths.POLICY_SOCKET}",
}
"""Settings -> what must be among their values: without it the gate stands open."""
_SUBMISSION = (
    f"check_policy_service unix:{paths.POLICY_SOCKET}",
    "reject_authenticated_sender_login_mismatch",
)
_OF_THE_LINKS = re.compile(
    rb": (?:symlink leaves directory|group or other writable): /etc/postfix/\./(?:main|master)\.cf$"
)
"""What `postfix check` says of our links into the live generation, whichever one it checks."""
_VERBOSE = re.compile(r"-[vD]+")
_TLS_LOG = ("", "0", "1", "2")
"""Above that, Postfix writes what is said inside TLS to the log."""
_UNKNOWN = "no-such-user-here"
_NOISE = re.compile(r"^(?:/usr/sbin/)?(?:postconf|postmap|postfix(?:/[a-z-]+)?): (?:warning: )?")


def postfix(host: Host, folder: Path, name: str) -> str:
    """Refused with one sentence, or what was asked of the tables."""
    where = folder / "postfix"
    for argv in (
        # Reads all of main.cf and says what is wrong; `postfix check` tells that to syslog alone.
        [POSTMAP, "-c", str(where), "-q", "any", "static:found"],
        [paths.POSTFIX, "-c", str(where), "check"],
        [POSTCONF, "-c", str(where), "-n"],
        [POSTCONF, "-c", str(where), "-M"],
    ):
        told = host.run(argv, timeout=30)
        said = [line for line in told.err.splitlines() if not _OF_THE_LINKS.search(line)]
        if told.status != 0 or any(map(bytes.strip, said)):
            words = _words(b"\n".join(said))
            raise Refused("refused", f"Postfix refuses the configuration: {words}")
    _services(host, where)
    _logs(host, where)
    _gate(host, where)
    return _tables(host, name)


def _words(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").splitlines()
    words = [_NOISE.sub("", line.strip()) for line in lines if line.strip()]
    return " / ".join(dict.fromkeys(words))[:800] or "it does not say why."


def _postconf(host: Host, where: Path, *asked: str) -> List[str]:
    told = host.run([POSTCONF, "-c", str(where), *asked], timeout=30)
    return told.out.decode("utf-8", "replace").splitlines()


def _services(host: Host, where: Path) -> None:
    """A program that is not there is found by the master, mail by mail; `-v` writes all that
    clients say to the log."""
    folder = host.layout.at("".join(_postconf(host, where, "-x", "-h", "daemon_directory")))
    for line in _postconf(host, where, "-M"):
        program, *options = line.split()[7:]
        if not (folder / program).is_file():
            raise Refused("refused", f"master.cf names {program}, which Postfix does not have.")
        if any(_VERBOSE.fullmatch(option) for option in options):
            raise Refused("refused", f"With -v {program} writes passwords to the log.")


def _logs(host: Host, where: Path) -> None:
    settings = _postconf(host, where, "-x", "debug_peer_list", "smtpd_tls_loglevel")
    for line in [*settings, *_postconf(host, where, "-P")]:
        name, _, value = line.partition("=")
        name, value = name.strip().rpartition("/")[2], value.strip()
        if (name == "debug_peer_list" and value) or (
            name == "smtpd_tls_loglevel" and value not in _TLS_LOG
        ):
            raise Refused("refused", f"With {name} = {value} passwords are written to the log.")


def _gate(host: Host, where: Path) -> None:
    lines = _postconf(host, where, "-x", *_HOLDS)
    values = {line.partition(" = ")[0]: line.partition(" = ")[2] for line in lines}
    for setting, needed in _HOLDS.items():
        if needed not in values.get(setting, ""):
            raise Refused("refused", f"With this configuration {setting} lacks {needed}.")
    for line in _postconf(host, where, "-P"):
        service, _, value = line.partition(" = ")
        if service.endswith("/smtpd_sender_restrictions") and not all(
            each in value for each in _SUBMISSION
        ):
            raise Refused("refused", f"Who signs in could send as anybody: {service} is {value}.")


def _tables(host: Host, name: str) -> str:
    with accounts.opened(host) as database:
        if database.execute("SELECT 1 FROM domain WHERE name = ?", (name,)).fetchone():
            # Postfix takes a domain either for its system's users or for mailboxes.
            raise Refused(
                "refused",
                f"{name} is this server's own name and a domain with mailboxes as well, "
                "which Postfix cannot keep apart: give the server another name.",
            )
        row = database.execute("SELECT address FROM account LIMIT 1").fetchone()
        if row is None:
            return "no mailboxes on this host yet"
        known = row[0]
        unknown = f"{_UNKNOWN}@{known.rpartition('@')[2]}"
        tables = Lookups(host.layout.accounts_db)
        told = [tables.found(database, "mailbox", each) for each in (known, unknown)]
    if told != [f"OK {known}".encode(), b"NOTFOUND "]:
        raise Refused("refused", f"The accounts on this host do not tell who there is: {told}.")
    return f"{known} known, {unknown} not"
