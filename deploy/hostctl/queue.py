"""The mail server's queue: read from its own files, never changed here.

Sendmail keeps one `qf` file a message (`hf` when it is quarantined), lines of one letter:

    V8                          version; 8 since 8.12, the same in 8.17 and 8.18
    T1795565720                 when it came, seconds since 1970
    N1                          tries so far
    qmailadmin: ...             why it is quarantined
    MDeferred: ...              what the last try said: of the message, then of each recipient
    ${auth_authen}anna@example.test     the login that sent it (ours stores it, others' do not)
    S<s@elsewhere.example>      the sender
    RPFD:<bob@example.test>     a recipient, flags before the colon
    H?F?From: ...               headers: what is asked here ends before them

(sendmail/queue.c, readqf; sendmail/README "Queue files".)  Postfix has `postqueue -j`, one line
of JSON a message (postqueue(1)); it does not tell the login.

What is asked of a queue is answered from `Message`s, whichever server keeps it.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from .host import Host

SENDMAIL_QUEUE = "/var/spool/mqueue"
POSTQUEUE = "/usr/sbin/postqueue"
POSTFIX_QUEUE = "/var/spool/postfix"
_POSTFIX_QUEUES = ("incoming", "active", "deferred", "hold")
_FILE_CAP = 4 * 1024 * 1024
_POSTQUEUE_CAP = 256 * 1024 * 1024
_DOMAINS_TOLD = 100
_LOGIN = "${auth_authen}"


@dataclass(frozen=True)
class Message:
    """One message that waits.  `held` is why it is quarantined, None when it is not; `tried`
    what the last try said; `login` who signed in to send it, empty where that is not kept."""

    id: str
    arrived: int
    sender: str
    recipients: Tuple[str, ...]
    login: str = ""
    held: Optional[str] = None
    tries: int = 0
    tried: str = ""

    @property
    def domains(self) -> Tuple[str, ...]:
        """Of its recipients, each once, in order."""
        return tuple(sorted({domain_of(each) for each in self.recipients}))


def domain_of(address: str) -> str:
    """Lower case, without the dot at its end; empty for a local name."""
    return address.rpartition("@")[2].lower().rstrip(".") if "@" in address else ""


# --- Sendmail --------------------------------------------------------------------------------


def parse_qf(name: str, data: bytes) -> Optional[Message]:
    """The message of a `qf` or `hf` file; None for what is none (empty, or being written)."""
    arrived, tries, sender, login, tried = 0, 0, "", "", ""
    held: Optional[str] = None
    recipients: List[str] = []
    for line in _lines(data):
        code, rest = line[:1], line[1:]
        if code in ("H", "."):
            break
        if code == "T":
            arrived = int(rest) if rest.isdigit() else 0
        elif code == "N":
            tries = int(rest) if rest.isdigit() else 0
        elif code == "q":
            held = rest
        elif code == "M" and not tried:
            tried = rest
        elif code == "S":
            sender = _bare(rest)
        elif code == "R":
            recipients.append(_bare(rest.partition(":")[2] or rest))
        elif line.startswith(_LOGIN):
            login = line[len(_LOGIN) :]
    if not recipients:
        return None
    if held is None and name.startswith("hf"):
        held = ""
    return Message(name[2:], arrived, sender, tuple(recipients), login, held, tries, tried)


def _lines(data: bytes) -> Iterator[str]:
    """Lines, those that begin with white space joined to the one before."""
    whole = ""
    for line in data.decode("utf-8", "replace").split("\n"):
        if line[:1] in ("\t", " "):
            whole += line
            continue
        if whole:
            yield whole
        whole = line
    if whole:
        yield whole


def _bare(address: str) -> str:
    """`<a@b>` without its brackets; the envelope's route, long dead, goes with them."""
    found = address.strip()
    if found.startswith("<") and found.endswith(">"):
        found = found[1:-1]
    return found.rpartition(":")[2] if found.startswith("@") else found


def folders_of(cf: str) -> List[str]:
    """The queue folders that a cf names, groups' included, as it writes them (`/q/mail*`)."""
    found = [SENDMAIL_QUEUE]
    for line in cf.splitlines():
        if line.startswith("O QueueDirectory="):
            found[0] = line.partition("=")[2].strip()
        elif line.startswith("Q"):
            path = re.search(r"(?:^|,)\s*P(?:ath)?=([^,\s]+)", line.partition(",")[2])
            if path and path.group(1) not in found:
                found.append(path.group(1))
    return found


def sendmail_folders(host: Host) -> List[Path]:
    """Where `qf` files are: each folder, or its `qf` where control files have one of their own."""
    try:
        cf = host.layout.at("/etc/mail/sendmail.cf").read_text("utf-8", "replace")
    except OSError:
        cf = ""
    found: List[Path] = []
    for pattern in folders_of(cf):
        for name in sorted(glob.glob(str(host.layout.at(pattern)))):
            folder = Path(name)
            inner = folder / "qf"
            if folder.is_dir() and folder not in found:
                found.append(inner if inner.is_dir() else folder)
    return found


def _of_sendmail(host: Host) -> Iterator[Message]:
    for folder in sendmail_folders(host):
        for entry in os.scandir(folder):
            if entry.name[:2] not in ("qf", "hf"):
                continue
            try:
                handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                with open(handle, "rb") as file:
                    message = parse_qf(entry.name, file.read(_FILE_CAP))
            except OSError:
                continue  # delivered in the meantime
            if message is not None:
                yield message


# --- Postfix ---------------------------------------------------------------------------------


def parse_postqueue(line: bytes) -> Optional[Message]:
    """One line of `postqueue -j`."""
    try:
        row = json.loads(line)
        rows = row["recipients"]
        return Message(
            id=str(row["queue_id"]),
            arrived=int(row["arrival_time"]),
            sender=str(row.get("sender", "")).replace("MAILER-DAEMON", ""),
            recipients=tuple(str(each["address"]) for each in rows),
            held="" if row.get("queue_name") == "hold" else None,
            tried=next((str(e["delay_reason"]) for e in rows if "delay_reason" in e), ""),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _of_postfix(host: Host) -> Iterator[Message]:
    told = host.run([POSTQUEUE, "-j"], timeout=60, most=_POSTQUEUE_CAP)
    for line in told.out.splitlines():
        message = parse_postqueue(line)
        if message is not None:
            yield message


# --- what is asked ---------------------------------------------------------------------------


def messages(host: Host) -> Iterator[Message]:
    """All that waits in the queues of this host's mail server, its client queue left out."""
    return _of_postfix(host) if "postfix" in host.services else _of_sendmail(host)


def summary(waiting: Iterable[Message]) -> Dict[str, Any]:
    """`by_domain`: the domains with the most messages; one with recipients in several counts in
    each."""
    count = held = 0
    oldest: Optional[int] = None
    by_domain: Dict[str, int] = {}
    for message in waiting:
        count += 1
        held += message.held is not None
        oldest = message.arrived if oldest is None else min(oldest, message.arrived)
        for domain in message.domains:
            by_domain[domain] = by_domain.get(domain, 0) + 1
    most = sorted(by_domain.items(), key=lambda each: (-each[1], each[0]))
    return {
        "count": count,
        "held": held,
        "oldest": oldest,
        "domains": len(by_domain),
        "by_domain": most[:_DOMAINS_TOLD],
    }


def counted(host: Host) -> Dict[str, int]:
    """`count` and `held` by the names of files alone: fast with any number."""
    names = _postfix_names(host) if "postfix" in host.services else _sendmail_names(host)
    count = held = 0
    for is_held in names:
        count += 1
        held += is_held
    return {"count": count, "held": held}


def _sendmail_names(host: Host) -> Iterator[bool]:
    for folder in sendmail_folders(host):
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name[:2] in ("qf", "hf"):
                    yield entry.name[:1] == "h"


def _postfix_names(host: Host) -> Iterator[bool]:
    for name in _POSTFIX_QUEUES:
        for _folder, _folders, files in os.walk(host.layout.at(f"{POSTFIX_QUEUE}/{name}")):
            for _file in files:
                yield name == "hold"


def collect(host: Host) -> Dict[str, Any]:
    return summary(messages(host))
