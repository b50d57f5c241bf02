"""What speaks against an account, from plain values.

    findings(account, at=now)  →  [Finding(kind="never_used", since=…, sure="since", …)]

"Never used" can be said only of the time in which somebody looked: `watched` holds, for each
protocol, from when until when a host's logins are known. Where that begins after the account was
made, a finding is sure "since" and its evidence names the day; where nobody looked at all, nothing
is said of use. An account that may not log in anyway is left alone, but for a weak password, which
would come back with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from accounts.addresses import test_token

WEAK: Final = "weak"
TEST_NAMED: Final = "test_named"
NEVER_USED: Final = "never_used"
DORMANT: Final = "dormant"
SENDS_ONLY: Final = "sends_only"
EXPIRED: Final = "expired"
NO_OWNER: Final = "no_owner"

CERTAIN: Final = "certain"
SINCE: Final = "since"
LOW, MIDDLE, HIGH = 1, 2, 3

READING: Final = ("imap", "pop3")
SENDING: Final = "smtp"
PROTOCOLS: Final = (*READING, SENDING)


@dataclass(frozen=True)
class Thresholds:
    dormant: timedelta = timedelta(days=90)
    # An account that was made while somebody looked, and that nobody used.
    unused: timedelta = timedelta(days=14)


DEFAULT: Final = Thresholds()


@dataclass(frozen=True)
class Watched:
    """From when until when the logins of one protocol are known."""

    since: datetime
    through: datetime


@dataclass(frozen=True)
class Account:
    """`weak` is the reason code of the audit of passwords for the hash of now, or empty."""

    address: str
    created_at: datetime
    password_set_at: datetime
    active: bool
    owner_contact: str = ""
    expires_at: datetime | None = None
    uses: Mapping[str, datetime] = field(default_factory=dict)
    watched: Mapping[str, Watched] = field(default_factory=dict)
    weak: str = ""


@dataclass(frozen=True)
class Finding:
    """`evidence` holds codes, dates (ISO 8601) and numbers alone."""

    kind: str
    since: datetime
    evidence: dict[str, Any] = field(default_factory=dict)
    sure: str = CERTAIN
    risk: int = LOW


def findings(account: Account, *, at: datetime, thresholds: Thresholds = DEFAULT) -> list[Finding]:
    found = []
    if account.weak:
        risk = HIGH if account.active else LOW
        found.append(
            Finding(WEAK, account.password_set_at, {"reason": account.weak}, CERTAIN, risk)
        )
    if not account.active:
        return found
    token = test_token(account.address.rpartition("@")[0])
    if token:
        found.append(Finding(TEST_NAMED, account.created_at, {"token": token}))
    if account.expires_at is not None and account.expires_at <= at:
        found.append(Finding(EXPIRED, account.expires_at, risk=MIDDLE))
    if not account.owner_contact.strip():
        found.append(Finding(NO_OWNER, account.created_at))
    found += [
        each
        for each in (_unused(account, thresholds), _sends_only(account, thresholds))
        if each is not None
    ]
    kinds = {each.kind for each in found}
    if TEST_NAMED in kinds and kinds & {WEAK, DORMANT, NEVER_USED}:
        raised = (TEST_NAMED, DORMANT, NEVER_USED)
        found = [replace(each, risk=HIGH) if each.kind in raised else each for each in found]
    return found


def _window(watched: Mapping[str, Watched]) -> tuple[datetime, datetime] | None:
    """From when until when all the protocols that are looked at were looked at."""
    if not watched:
        return None
    begin = max(each.since for each in watched.values())
    end = min(each.through for each in watched.values())
    return (begin, end) if begin < end else None


def _unused(account: Account, thresholds: Thresholds) -> Finding | None:
    window = _window(account.watched)
    if window is None:
        return None
    begin, end = window
    last = max(account.uses.values(), default=None)
    known_from = account.created_at if last is None else last
    quiet_from = max(known_from, begin)
    whole = known_from >= begin
    least = thresholds.unused if last is None and whole else thresholds.dormant
    if end - quiet_from < least:
        return None
    evidence: dict[str, Any] = {
        "days": (end - quiet_from).days,
        "evidence_since": begin.isoformat(),
        "evidence_through": end.isoformat(),
    }
    unwatched = [each for each in PROTOCOLS if each not in account.watched]
    if unwatched:
        evidence["unwatched"] = unwatched
    sure = CERTAIN if whole and not unwatched else SINCE
    if last is None:
        return Finding(NEVER_USED, quiet_from, evidence, sure, MIDDLE)
    evidence["last_used"] = last.isoformat()
    evidence["protocol"] = max(account.uses, key=lambda name: account.uses[name])
    return Finding(DORMANT, last, evidence, sure, MIDDLE)


def _sends_only(account: Account, thresholds: Thresholds) -> Finding | None:
    """Sends, and was not seen to read for as long as an account may stay unused."""
    if SENDING not in account.uses or any(each in account.uses for each in READING):
        return None
    window = _window({name: account.watched[name] for name in READING if name in account.watched})
    if window is None:
        return None
    begin, end = window
    quiet_from = max(account.created_at, begin)
    if end - quiet_from < thresholds.unused:
        return None
    evidence: dict[str, Any] = {
        "days": (end - quiet_from).days,
        "last_sent": account.uses[SENDING].isoformat(),
        "evidence_since": begin.isoformat(),
    }
    unwatched = [each for each in READING if each not in account.watched]
    if unwatched:
        evidence["unwatched"] = unwatched
    whole = account.created_at >= begin and not unwatched
    return Finding(SENDS_ONLY, quiet_from, evidence, CERTAIN if whole else SINCE, MIDDLE)
