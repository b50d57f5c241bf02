"""Rules for a root's passphrase: it is the only thing between a stolen database and the root.

One small class a rule would be too much for three; `problems` names all that are broken at once.
NIST SP 800-63B section 5.1.1 (length before composition; no known or derived secrets).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

SHORTEST = 12
LONGEST = 1024
FEWEST_DIFFERENT = 6


def normal(passphrase: str) -> str:
    """NFKC: the same phrase typed on another keyboard or system opens the same root."""
    return unicodedata.normalize("NFKC", passphrase)


def problems(passphrase: str, *, known: Iterable[str] = ()) -> list[str]:
    """Codes of the broken rules: too short, too monotonous, made of what anybody knows."""
    phrase = normal(passphrase)
    found = []
    if len(phrase) < SHORTEST:
        found.append("passphrase_short")
    if len(phrase) > LONGEST:
        found.append("passphrase_long")
    if len(set(phrase)) < FEWEST_DIFFERENT:
        found.append("passphrase_monotonous")
    folded = phrase.casefold().strip()
    for text in known:
        word = normal(text).casefold().strip()
        if len(word) >= 4 and word in folded and len(folded.replace(word, "")) < 8:
            found.append("passphrase_derived")
            break
    return found
