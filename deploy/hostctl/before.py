"""What was there before the console, asked without putting it back: which addresses it takes.

Sendmail is asked by its own address test, `sendmail -C <generation 0's cf> -bt`: a domain that is
routed exactly as one that cannot exist is unknown to it.  Mail queued for such a domain would come
back to its sender ("MX list for example.test. points back"), or go in circles through a smarthost.
Where the domain is known, `-bv` says of each recipient whether somebody takes it.

Postfix is asked by `postconf` and `postmap`: which of its address classes a domain is in, and
whether the tables of that class have the recipient (ADDRESS_CLASS_README).

What cannot be asked counts as unknown: held mail can be let go, bounced mail cannot be called back.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

from . import accounts, generations
from .host import Host
from .queue import domain_of
from .services import Sendmail

SENDMAIL_CF = "/etc/mail/sendmail.cf"
DOVECOT_CONF = "/etc/dovecot/dovecot.conf"
MAIN_CF = "/etc/postfix/main.cf"
POSTCONF, POSTMAP = "/usr/sbin/postconf", "/usr/sbin/postmap"
PROBE = "mailadmin-probe"
NOWHERE = "mailadmin-no-such-domain.invalid"
_PATIENCE = 20.0
_MOST_RECIPIENTS, _MOST_SECONDS = 300, 60.0
"""Asked one by one while mail is down; where no DNS answers, each takes seconds."""
_EX_NOUSER, _EX_TEMPFAIL = 67, 75
# Names are looked up in DNS by a cf that canonifies; where none answers, not for minutes.
_IMPATIENT = ["-O", "Timeout.resolver.retry=1", "-O", "Timeout.resolver.retrans=2s"]
_ROUTE = re.compile(r"^mailer ([^,\n]+)(?:, host ([^,\n]*))?, user (.*)$", re.M)
_CLASSES = {
    "mydestination": "local_recipient_maps",
    "virtual_mailbox_domains": "virtual_mailbox_maps",
    "virtual_alias_domains": "virtual_alias_maps",
    "relay_domains": "relay_recipient_maps",
}
"""Where a domain is named -> where its recipients are; those of the first and the last may be
nowhere, which means that all are taken."""
_ALL_WHERE_EMPTY = ("mydestination", "relay_domains")

Route = Tuple[str, str]


def text_of(host: Host, name: str) -> Optional[Path]:
    """Where the file is read that stood at this well-known path; None when there was none."""
    values = generations.manifest(host, 0)
    was = (values or {"paths": {}})["paths"].get(name, {"kind": "absent"})
    if was["kind"] == "file":
        return host.layout.generation(0) / str(was["copy"])
    if was["kind"] == "link":
        target = Path(os.path.join(os.path.dirname(name), str(was["target"])))
        found = host.layout.at(os.path.normpath(target))
        return found if found.is_file() else None
    return None


@contextlib.contextmanager
def staged(host: Host, name: str) -> Iterator[Optional[Path]]:
    """The file as it would be at its place, in a folder beside whose other files it reads the same
    (`!include conf.d/*.conf`): links to them, gone afterwards."""
    text = text_of(host, name)
    if text is None:
        yield None
        return
    place = host.layout.at(name)
    folder = Path(tempfile.mkdtemp(prefix="mailadmin-"))
    try:
        for each in place.parent.iterdir() if place.parent.is_dir() else ():
            if each.name != place.name:
                (folder / each.name).symlink_to(each)
        shutil.copyfile(text, folder / place.name)
        yield folder / place.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Before:
    """`unknown`: the domains of ours that generation 0 does not know; `takes(address)`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._asked: Dict[str, bool] = {}
        self._spent = 0.0
        self.domains = _domains(host)
        self.is_postfix = "postfix" in host.services
        self._classes: Dict[str, str] = {}
        known: FrozenSet[str] = frozenset()
        if self.domains and self.is_postfix:
            self._classes = _classes_of_postfix(host, self.domains)
            known = frozenset(self._classes)
        elif self.domains:
            known = _known_to_sendmail(host, self.domains)
        self.unknown: FrozenSet[str] = frozenset(self.domains) - known

    def takes(self, recipient: str) -> bool:
        """Whether it would not send this recipient's mail back because it does not know it.
        Somebody else's domain is no business of the console's."""
        domain = domain_of(recipient)
        if domain not in self.domains:
            return True
        if domain in self.unknown:
            return False
        if recipient not in self._asked:
            few = len(self._asked) < _MOST_RECIPIENTS and self._spent < _MOST_SECONDS
            began = time.monotonic()
            self._asked[recipient] = few and self._delivers_to(recipient)
            self._spent += time.monotonic() - began
        return self._asked[recipient]

    def _delivers_to(self, recipient: str) -> bool:
        if recipient.startswith("-") or not recipient.isprintable():
            return False
        if self.is_postfix:
            return _postfix_takes(self._host, self._classes[domain_of(recipient)], recipient)
        cf = text_of(self._host, SENDMAIL_CF)
        argv = [Sendmail.binary, *_IMPATIENT, "-C", str(cf), "-bv", recipient]
        told = self._host.run(argv, timeout=_PATIENCE)
        return told.status in (0, _EX_TEMPFAIL)


def _domains(host: Host) -> List[str]:
    if not host.layout.accounts_db.exists():
        return []
    with accounts.opened(host) as database:
        return [str(row[0]) for row in database.execute("SELECT name FROM domain ORDER BY name")]


def _known_to_sendmail(host: Host, domains: Sequence[str]) -> FrozenSet[str]:
    cf = text_of(host, SENDMAIL_CF)
    if cf is None:
        return frozenset()
    asked = [NOWHERE, *domains]
    given = "".join(f"/parse {PROBE}@{domain}\n" for domain in asked)
    argv = [Sendmail.binary, *_IMPATIENT, "-C", str(cf), "-bt"]
    told = host.run(argv, stdin=given.encode(), timeout=_PATIENCE)
    routes = routes_of(told.out.decode("utf-8", "replace"))
    if len(routes) != len(asked) or routes[0] is None:
        return frozenset()
    nowhere = routes[0]
    return frozenset(
        domain
        for number, domain in enumerate(asked)
        if routes[number] not in (None, _moved(nowhere, domain))
    )


def routes_of(said: str) -> List[Optional[Route]]:
    """Mailer and host of each `/parse` in the output of `-bt`; None where it is an error."""
    found: List[Optional[Route]] = []
    for part in said.split("Cracked address")[1:]:
        line = _ROUTE.search(part)
        if line is None or line.group(1) in ("error", "*error*"):
            found.append(None)
        else:
            found.append((line.group(1), (line.group(2) or "").lower().rstrip(".")))
    return found


def _moved(nowhere: Route, domain: str) -> Route:
    """How a domain would be routed that is treated as the one that cannot exist."""
    mailer, host = nowhere
    return mailer, domain if host == NOWHERE else host


# --- Postfix ---------------------------------------------------------------------------------


def _classes_of_postfix(host: Host, domains: Sequence[str]) -> Dict[str, str]:
    """Domain -> the setting that names it; without those that none names."""
    found: Dict[str, str] = {}
    with staged(host, MAIN_CF) as main:
        if main is None:
            return found
        for name in _CLASSES:
            for word in _words(host, main, name):
                left = [domain for domain in domains if domain not in found]
                found.update(dict.fromkeys(_named_by(host, main, word, left), name))
    return found


def _postfix_takes(host: Host, setting: str, recipient: str) -> bool:
    local, _, domain = recipient.lower().rpartition("@")
    plain = local.partition("+")[0] or local
    keys = [f"{local}@{domain}", f"{plain}@{domain}", f"@{domain}"]
    if setting == "mydestination":
        keys += [local, plain]
    with staged(host, MAIN_CF) as main:
        if main is None:
            return False
        tables = _words(host, main, _CLASSES[setting])
        if not tables and setting in _ALL_WHERE_EMPTY:
            return True
        tables += _words(host, main, "virtual_alias_maps")
        return any(_looked_up(host, main, table, keys) for table in tables)


def _words(host: Host, main: Path, name: str) -> List[str]:
    argv = [POSTCONF, "-c", str(main.parent), "-x", "-h", name]
    told = host.run(argv, timeout=_PATIENCE)
    return told.out.decode("utf-8", "replace").replace(",", " ").split()


def _named_by(host: Host, main: Path, word: str, domains: Sequence[str]) -> FrozenSet[str]:
    """Which of the domains one word of a list names: a domain, a file of them, a table."""
    if word.startswith("/"):
        with contextlib.suppress(OSError):
            words = host.layout.at(word).read_text("utf-8", "replace").lower().split()
            return frozenset(words) & frozenset(domains)
        return frozenset()
    if ":" not in word:
        return frozenset(domains) & {word.lower()}
    return _looked_up(host, main, word, domains) & frozenset(domains)


def _looked_up(host: Host, main: Path, table: str, keys: Sequence[str]) -> FrozenSet[str]:
    """Which keys the table has.  Postfix's own proxy would answer for it only while that runs."""
    if table.startswith("proxy:"):
        table = table[len("proxy:") :]
    asked = "".join(f"{key}\n" for key in keys).encode()
    argv = [POSTMAP, "-c", str(main.parent), "-q", "-", table]
    told = host.run(argv, stdin=asked, timeout=_PATIENCE)
    answers = told.out.decode("utf-8", "replace").splitlines()
    return frozenset(line.partition("\t")[0] for line in answers)


def ports(host: Host) -> FrozenSet[int]:
    """The mail ports that were listened on before the first switch."""
    values: Dict[str, Any] = generations.manifest(host, 0) or {}
    return frozenset(int(each) for each in values.get("ports", ()))


def running(host: Host) -> Dict[str, bool]:
    """Which of the services ran before the first switch; the bridge, which is ours, did not."""
    values: Dict[str, Any] = generations.manifest(host, 0) or {}
    ran = values.get("running", {})
    return {name: bool(ran.get(name, name != "bridge")) for name in host.services}
