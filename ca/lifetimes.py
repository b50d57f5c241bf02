"""When something that ends should be seen to, and why.

    renew_from(not_before, not_after)          # a third of the life before the end, 30 days at most
    why(Leaf(…), at=now)                       # ("ends", "issuer_retired"): the first weighs most
    threshold(not_after, at=now)               # 30, 14, 7 or 1: the days of a notice; None before

A certificate of 90 days is renewed when 30 are left, as ACME clients do (certbot's
`renew_before_expiry`); longer ones no earlier. An authority must be replaced before what it signs
has to be shortened (a certificate never outlives its issuer), a root a year before its end: every
device needs the next one by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ca import profiles

PARTS = 3
MOST = timedelta(days=30)
# What an issuing authority signs lives this long, and people need a while to make a successor.
AUTHORITY = timedelta(days=profiles.HOST.days) + MOST
ROOT = timedelta(days=365)
# The days before the end at which people are told.
NOTICES = (30, 14, 7, 1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Leaf:
    """A valid certificate. `renewed`: one that takes its place is valid too. `issuer_end` None: the
    issuer has no certificate here."""

    not_before: datetime
    not_after: datetime
    issuer_end: datetime | None
    issuer_is_revoked: bool = False
    issuer_is_retired: bool = False
    has_successor: bool = False
    renewed: bool = False


@dataclass(frozen=True)
class Authority:
    """An issuer. `list_from`: from when its list wants its owner, None where the signer sees to it
    or there is none; `list_is_behind`: it does not say the last revocation yet."""

    not_before: datetime
    not_after: datetime
    is_root: bool
    is_retired: bool = False
    list_from: datetime | None = None
    list_is_behind: bool = False


def renew_from(not_before: datetime, not_after: datetime, most: timedelta = MOST) -> datetime:
    """The moment from which it is due."""
    return not_after - min((not_after - not_before) / PARTS, most)


def why(leaf: Leaf, *, at: datetime) -> tuple[str, ...]:
    """Codes of `ca.wording.renewal.DUE`, the one that decides what to do first; () is not due."""
    if not leaf.not_before <= at < leaf.not_after:
        return ()
    if leaf.issuer_is_revoked:
        return ("issuer_revoked",)
    if at < renew_from(leaf.not_before, leaf.not_after):
        return ()
    if leaf.renewed:
        return ("renewed",)
    found = ["ends"]
    if leaf.issuer_is_retired:
        found.append("issuer_retired" if leaf.has_successor else "no_successor")
    elif leaf.issuer_end is not None and leaf.issuer_end - leaf.not_after < DAY:
        # Under this issuer the next one would end on the same day.
        found.append("issuer_ends")
    return tuple(found)


def why_authority(authority: Authority, *, at: datetime) -> tuple[str, ...]:
    """The same for an issuer: its end, and its list's."""
    found = []
    if at >= authority.not_after:
        forgotten = authority.is_retired or at - authority.not_after > AUTHORITY
        return () if forgotten else ("authority_ended",)
    most = ROOT if authority.is_root else AUTHORITY
    from_when = renew_from(authority.not_before, authority.not_after, most)
    if at >= from_when and not authority.is_retired:
        found.append("root_ends" if authority.is_root else "authority_ends")
    if authority.list_is_behind:
        found.append("list_behind")
    elif authority.list_from is not None and at >= authority.list_from:
        found.append("list_ends")
    return tuple(found)


def threshold(not_after: datetime, *, at: datetime) -> int | None:
    """The notice that is due: the smallest number of `NOTICES` whose days have begun."""
    left = not_after - at
    return min((days for days in NOTICES if left <= days * DAY), default=None)
