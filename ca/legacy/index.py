"""The `index.txt` of the openssl command: which certificates it signed, and which it revoked.

One line a certificate, six columns between tabs (openssl-ca(1)): state (V, R or E), end, moment
and reason of the revocation, serial number, file, subject.

    R\t141231235959Z\t120501093000Z,keyCompromise\t0A\tunknown\t/C=TW/CN=old.example.test
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

HOLD = "certificateHold"
# What openssl calls a reason, and RFC 5280 section 5.3.1 does.
_REASONS = {
    "unspecified": "",
    "keycompromise": "keyCompromise",
    "cakeycompromise": "cACompromise",
    "cacompromise": "cACompromise",
    "affiliationchanged": "affiliationChanged",
    "superseded": "superseded",
    "cessationofoperation": "cessationOfOperation",
    "certificatehold": HOLD,
    "holdinstruction": HOLD,
    "keytime": "keyCompromise",
    "cakeytime": "cACompromise",
}
_LINE = re.compile(r"([VRE])\t(\d{12,14}Z)\t([^\t]*)\t([0-9A-Fa-f]+)\t[^\t]*\t(.*)\Z")


@dataclass(frozen=True)
class Entry:
    """A line. `revoked_at` is None for what was not revoked; `reason` "" for none given."""

    serial: int
    subject: str
    revoked_at: datetime | None = None
    reason: str = ""

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None

    @property
    def held(self) -> bool:
        return self.reason == HOLD


def looks_like_index(content: bytes) -> bool:
    first = content[:1000].decode("latin-1").lstrip().splitlines()
    return bool(first) and _LINE.match(first[0]) is not None


def read_index(content: bytes) -> dict[int, Entry]:
    """Entries by serial number; a line that makes no sense is passed over."""
    found: dict[int, Entry] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        matched = _LINE.match(line.rstrip("\r\n"))
        if matched is None:
            continue
        state, _end, revocation, serial, subject = matched.groups()
        number = int(serial, 16)
        moment, _, reason = revocation.partition(",")
        at = _moment(moment) if state == "R" else None
        known = _REASONS.get(reason.split(",")[0].lower(), "")
        found[number] = Entry(number, subject, at, known if at else "")
    return found


def _moment(text: str) -> datetime | None:
    """UTCTime (before 1950 is after 2049) or GeneralizedTime, X.690 sections 11.7 and 11.8."""
    for length, form in ((13, "%y%m%d%H%M%SZ"), (15, "%Y%m%d%H%M%SZ")):
        if len(text) == length:
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError:
                return None
    return None
