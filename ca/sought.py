"""What people type into the search box of certificates: words, or the beginning of a number.

    read("mail1 example")        words, each anywhere in a name or the subject
    read("4F:0A:12"), read("0x4f0a12"), read("4f0a12")
                                 a serial number or fingerprint that begins so; the last may also be
                                 part of a name, the first too (an IPv6 address has colons)
    spread("郵件")                "郵郵郵件件件"

The index knows parts of three letters and more. Chinese words have two, so their letters are kept
three times over as well, and a word of two Latin letters is the beginning of a label. A single
Latin letter is too little to look for.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

SHORTEST = 3
# A shorter number is one that was counted by hand (01, 1f): it is meant as a whole.
SHORTEST_BEGINNING = 4
_BEFORE_LABELS = (" ", ".", "@", "-", "_")

_HEX = re.compile(r"[0-9a-f]+\Z")
# As openssl (4f:0a:12), Windows (4f 0a 12) and certutil show numbers.
_PAIRS = re.compile(r"[0-9a-f]{2}([: ][0-9a-f]{2})*[: ]?[0-9a-f]?\Z")


@dataclass(frozen=True)
class Sought:
    """`number`: hexadecimal, the beginning of a serial number or fingerprint, or all of it when
    `whole`. `groups`: words that must all be there; of a group one is enough. Either will do."""

    number: str = ""
    whole: bool = False
    groups: tuple[tuple[str, ...], ...] = ()

    @property
    def is_nothing(self) -> bool:
        return not self.number and not self.groups


def read(text: str) -> Sought:
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = "".join(letter if letter.isprintable() else " " for letter in plain).strip()[:200]
    if plain.startswith("0x") and _HEX.match(plain[2:].replace(" ", "").replace(":", "") or "-"):
        return Sought(number=plain[2:].replace(" ", "").replace(":", ""))
    words = list(dict.fromkeys(plain.split()))[:8]
    groups = tuple(group for group in map(_group, words) if group)
    if _PAIRS.match(plain) and len(plain) > 2:
        number = plain.replace(":", "").replace(" ", "")
        return Sought(number=number, groups=groups if len(words) == 1 else ())
    if len(words) == 1 and _HEX.match(plain):
        return Sought(number=plain, whole=len(plain) < SHORTEST_BEGINNING, groups=groups)
    return Sought(groups=groups)


def _group(word: str) -> tuple[str, ...]:
    if len(word) >= SHORTEST:
        return (word,)
    wide = "".join(letter for letter in word if not letter.isascii())
    if wide:
        return (spread(wide),)
    return tuple(before + word for before in _BEFORE_LABELS) if len(word) == 2 else ()


def spread(text: str) -> str:
    """Each letter three times, so that one letter is a part the index knows."""
    return "".join(letter * SHORTEST for letter in text)


def spread_parts(text: str) -> list[str]:
    """The letters of `text` beyond ASCII, run by run, spread: what short words are found by."""
    return [spread(run) for run in re.findall(r"[^\x00-\x7f]+", text)]
