"""How long a root's passphrase may not be tried again after wrong ones. Pure.

    blocked_until([12:00, 12:01, 12:02])           # 12:03: the third within ten minutes
    blocked_until([12:00, 12:01, 12:02, 12:04])    # 12:06: each further one doubles the wait

The third wrong one within `WINDOW` begins it, each one after that doubles the wait up to `LONGEST`;
after `QUIET` without a wrong one it begins anew (NIST SP 800-63B section 5.2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

FREE = 3
WINDOW = timedelta(minutes=10)
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(hours=1)
QUIET = timedelta(hours=24)


def blocked_until(wrong: Sequence[datetime]) -> datetime | None:
    """The time before which no further one is tried; None when nothing holds it back.

    `wrong` are the times of the wrong ones since the last right one, in any order.
    """
    recent: list[datetime] = []
    doublings: int | None = None
    last: datetime | None = None
    for each in sorted(wrong):
        if last is not None and each - last > QUIET:
            recent, doublings = [], None
        recent = [*recent, each][-FREE:]
        if doublings is not None:
            doublings += 1
        elif len(recent) == FREE and each - recent[0] <= WINDOW:
            doublings = 0
        last = each
    if doublings is None or last is None:
        return None
    longest_doublings = (LONGEST // SHORTEST).bit_length()
    return last + min(LONGEST, SHORTEST * 2 ** min(doublings, longest_doublings))
