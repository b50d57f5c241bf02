"""Validation of Postfix's part of a staged generation.

    postmap           bad numbers and other garbage in main.cf
    postfix check     a bad master.cf, folders that are not as they should be
    postconf -n, -M   an unknown parameter is a warning with status 0: any warning refuses
    the gate          which tables decide about recipients and senders, after own lines
    the tables        the account database gives the answers that Postfix will ask for

A missing table or certificate passes `postfix check`; certificates have a check of their own, and
what the tables say is asked here of the code that will answer, because before the first switch
nothing is there yet that Postfix could ask.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict

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
        if told.status != 0 or told.err.strip():
            raise Refused("refused", f"Postfix refuses the configuration: {_words(told.err)}")
    _gate(host, where)
    return _tables(host, name)


def _words(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").splitlines()
    words = [_NOISE.sub("", line.strip()) for line in lines if line.strip()]
    return " / ".join(dict.fromkeys(words))[:800] or "it does not say why."


def _gate(host: Host, where: Path) -> None:
    told = host.run([POSTCONF, "-c", str(where), "-x", *_HOLDS], timeout=30)
    lines = told.out.decode("utf-8", "replace").splitlines()
    values = {line.partition(" = ")[0]: line.partition(" = ")[2] for line in lines}
    for setting, needed in _HOLDS.items():
        if needed not in values.get(setting, ""):
            raise Refused("refused", f"With this configuration {setting} lacks {needed}.")
    told = host.run([POSTCONF, "-c", str(where), "-P"], timeout=30)
    for line in told.out.decode("utf-8", "replace").splitlines():
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
