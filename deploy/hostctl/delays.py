"""Whose next password is checked when: guessing is slow for the guessed account alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Callable, Optional, Tuple


class Delays:
    """Per account, the time of the next check.  Checks line up: each takes a place in time."""

    FREE = 3
    LONGEST = 4.0
    PATIENCE = 20.0
    FORGET = 600.0
    MOST = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # account -> (failures in a row, when the next check may be, when it last failed)
        self._known: "OrderedDict[str, Tuple[int, float, float]]" = OrderedDict()

    def _between(self, failures: int) -> float:
        if failures < self.FREE:
            return 0.0
        return min(self.LONGEST, 2.0 ** (failures - self.FREE))

    def turn(self, account: str, patience: float = PATIENCE) -> Optional[float]:
        """Seconds to wait before this check; None: the line is too long, nobody is asked."""
        with self._lock:
            now = self._clock()
            failures, free_at, failed_at = self._known.get(account, (0, 0.0, 0.0))
            if not failures or now - failed_at > self.FORGET:
                return 0.0
            start = max(now, free_at)
            if start - now > patience:
                return None
            self._known[account] = (failures, start + self._between(failures), failed_at)
            return start - now

    def failed(self, account: str) -> None:
        with self._lock:
            now = self._clock()
            failures, free_at, _ = self._known.pop(account, (0, 0.0, 0.0))
            failures += 1
            self._known[account] = (failures, max(free_at, now + self._between(failures)), now)
            while len(self._known) > self.MOST:
                self._known.popitem(last=False)

    def succeeded(self, account: str) -> None:
        with self._lock:
            self._known.pop(account, None)
