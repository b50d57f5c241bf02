"""Password rules after NIST SP 800-63B-4: is this password good enough, and if not, why.

    judge("test", Context("test", "example.test"), STRONG, common=…).reasons
    → too_short, equals_name, common, guessable

There are no rules about mixing kinds of characters and no expiry. There are: a minimum length in
code points; a blocklist of whole passwords (the caller brings it: this module reads no file); words
of the context (name, domain, organisation) and what people derive from them; and zxcvbn's estimate
with those words as inputs. All reasons are collected, so that nobody meets them one after another.

What is hashed is the NFC form, the form that clients send. A password whose NFKC form differs
(full-width digits, ligatures) is refused: another keyboard would send the other form.

Nothing here logs, and no reason holds a piece of the password.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Final

from zxcvbn_rs_py import zxcvbn

from accounts.addresses import Reason

MAX_LENGTH: Final = 128  # code points; as UTF-8 in base64 it fits one line of Sendmail's AUTH
ZXCVBN_LENGTH: Final = 72  # the estimator's cost grows faster than the length; a prefix is enough
MAX_WORDS: Final = 24
MAX_WORD: Final = 64
LEFT_OVER: Final = 4  # letters a derived password still has of its own, at most


@dataclass(frozen=True)
class Policy:
    """`minimum_score` is zxcvbn's, 0 to 4; 0 switches the estimate off."""

    minimum_length: int
    minimum_score: int


STRONG: Final = Policy(minimum_length=12, minimum_score=3)
LONG: Final = Policy(minimum_length=15, minimum_score=0)
PRESETS: Final = {"strong": STRONG, "long": LONG}


@dataclass(frozen=True)
class Context:
    """Whose password it is. `words` may add the organisation's name and the like."""

    local: str
    domain: str
    display_name: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`score` is zxcvbn's 0 to 4. The password is accepted when there are no reasons."""

    reasons: tuple[Reason, ...] = ()
    score: int = 0
    codes: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", frozenset(reason.code for reason in self.reasons))

    @property
    def accepted(self) -> bool:
        return not self.reasons


def normalized(password: str) -> str:
    """The form that is hashed and that clients send: NFC."""
    return unicodedata.normalize("NFC", password)


def judge(
    password: str,
    context: Context,
    policy: Policy,
    *,
    common: Container[str],
    breached: bool = False,
) -> Verdict:
    """Every reason against this password. `common` holds lower-case passwords; `breached` is what
    a list of breaches says of it."""
    if not password:
        return Verdict((Reason("password_missing"),))
    nfc = normalized(password[: 4 * MAX_LENGTH])
    reasons: list[Reason] = []
    if any(_unprintable(character) for character in nfc):
        reasons.append(Reason("unprintable"))
    elif unicodedata.normalize("NFKC", nfc) != nfc:
        reasons.append(Reason("compatibility"))
    if len(nfc) < policy.minimum_length:
        values = {"least": policy.minimum_length, "length": len(nfc)}
        reasons.append(Reason("too_short", values))
    if len(nfc) > MAX_LENGTH:
        reasons.append(Reason("too_long", {"most": MAX_LENGTH}))
    names, places = _name_words(context), _place_words(context)
    related = _relation(nfc, context, names, places)
    if related:
        reasons.append(Reason(related))
    if nfc.lower() in common:
        reasons.append(Reason("common"))
    if breached:
        reasons.append(Reason("breached"))
    inputs = list(dict.fromkeys([*names, *places]))
    score = _score(nfc, inputs)
    if score < policy.minimum_score:
        reasons.append(Reason("guessable", {"score": score, "least": policy.minimum_score}))
    return Verdict(tuple(reasons), score)


def _unprintable(character: str) -> bool:
    """Control, format, surrogate, private, unassigned; line and paragraph separators."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")


def _score(password: str, inputs: list[str]) -> int:
    try:
        return int(zxcvbn(password[:ZXCVBN_LENGTH], inputs).score)
    except ValueError:  # what it cannot estimate is not vouched for
        return 0


def _name_words(context: Context) -> list[str]:
    """The account's name, its parts, and the person's."""
    local = context.local.lower()
    parts = [local, *re.split(r"[._-]+", local), *context.display_name.lower().split()]
    joined = [re.sub(r"[^\w]", "", text.lower()) for text in (local, context.display_name)]
    return _words([f"{local}@{context.domain}", *joined, *parts])


def _place_words(context: Context) -> list[str]:
    """The domain, its labels, and what else the caller names."""
    labels = context.domain.lower().split(".")
    named = [*labels, *(word.lower() for word in context.words)]
    joined = ["".join(labels), *(name.replace("-", "") for name in named)]
    parts = [part for name in named for part in name.split("-")]
    return _words([context.domain.lower(), *named, *joined, *parts])


def _words(texts: Iterable[str]) -> list[str]:
    found = dict.fromkeys(text[:MAX_WORD] for text in texts if text)
    return list(found)[:MAX_WORDS]


# Both readings of 1 are tried; the rest has one.
_LEET = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "!": "i"}
_READINGS: Final[tuple[dict[int, str], ...]] = (
    {},
    str.maketrans({**_LEET, "1": "i"}),
    str.maketrans({**_LEET, "1": "l", "!": "l"}),
)


def _folded(text: str) -> str:
    """Case and accents away: Ä, ä and a are one letter."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _relation(password: str, context: Context, names: list[str], places: list[str]) -> str | None:
    """`equals_name`, `derived_from_name`, `derived_from_domain`, or None.

    Derived: take the words out, forwards and backwards, plain and read as leet, and hardly any
    letters are left. So name + year, name twice, name reversed, domain + year and name + domain
    are all found, and a long passphrase that has the name in it is not.
    """
    plain = _folded(password)
    exact = {_folded(context.local), _folded(f"{context.local}@{context.domain}")}
    if plain in exact:
        return "equals_name"
    if _is_made_of(plain, [_folded(word) for word in names]):
        return "derived_from_name"
    if _is_made_of(plain, [_folded(word) for word in [*names, *places]]):
        return "derived_from_domain"
    return None


def _is_made_of(password: str, words: list[str]) -> bool:
    for reading in _READINGS:
        rest, taken = password.translate(reading), False
        # Longest first, so that a part does not break the whole apart.
        variants = {form for w in words for form in (w.translate(reading), w) if len(form) >= 3}
        for word in sorted(variants, key=len, reverse=True):
            for form in (word, word[::-1]):
                if form in rest:
                    rest, taken = rest.replace(form, " "), True
        letters = sum(character.isalpha() for character in rest)
        # Read as leet, digits look like letters: what is left is counted in the plain reading too.
        if taken and letters <= LEFT_OVER and len(rest.replace(" ", "")) <= LEFT_OVER + 4:
            return True
    # A name of one or two letters: itself, again and again, or with digits.
    core = re.sub(r"[\W\d_]+", "", password)
    return any(0 < len(word) < 3 and core and core.replace(word, "") == "" for word in words)
