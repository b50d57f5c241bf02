"""Mail addresses of our own domains, and where aliases may point: parse, refuse, show.

    parse("Anna@Exämple.test")  →  Address(local="anna", domain="xn--exmple-cua.test")

What is accepted is narrower than RFC 5321/5322 on purpose. The address becomes a folder name on the
host, a key of Sendmail's maps (RFC 5321 quoting, `+`, `%`, `!`, `|`, `/` and `:` mean something
there) and a column that Dovecot queries, so a local part of ours is lower-case ASCII letters,
digits, `.`, `-` and `_`. `+` is left to the owner: mail to anna+lists@ arrives at anna@. Upper case
is folded: Anna@ and anna@ are one mailbox. Domains are IDNA 2008 (RFC 5891) with the mapping of
UTS 46, stored as A-labels. Every reason that applies is given, as a code; `accounts.sentences`
holds the words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

import idna

MAX_LOCAL: Final = 64  # RFC 5321 4.5.3.1.1, octets
MAX_DOMAIN: Final = 253  # RFC 1035 2.3.4 without the root's dot
MAX_ADDRESS: Final = 254  # RFC 5321 4.5.3.1.3: a path has 256 octets, < and > included
MAX_LABEL: Final = 63

# Local part of the alias for everything that a domain has no other recipient for.
CATCH_ALL: Final = "*"
# Every domain takes mail for these (RFC 2142, RFC 5321 4.5.1); they cannot be deleted.
ROLE_LOCAL_PARTS: Final = ("postmaster", "abuse")

_LOCAL = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?", re.ASCII)
# Elsewhere's mailboxes may hold a little more; nothing that a map, a shell or a pipe could read.
_TARGET_LOCAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._+=-]*[A-Za-z0-9_+=-])?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)

# Whole tokens (Testa, Prova and Bar are surnames).
_TEST_WORDS: Final = """
    testing tester demo temp tmp dummy sample example trial foo bar asdf qwerty guest scan scanner
    copier fax backup support sales noreply probe muster gast essai invité invite prueba invitado
    prova ospite teste convidado proef próba proba gość gosc тест гость deneme misafir ceshi
    测试 測試 テスト 테스트
"""
_TEST_TOKENS: Final = frozenset(_TEST_WORDS.split())
_TEST_PATTERN = re.compile(r"te?st\d*", re.ASCII)


@dataclass(frozen=True)
class Reason:
    """Why something is refused: a code of `accounts.sentences`, and what its sentence names."""

    code: str
    values: dict[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.code)


class NotAnAddress(ValueError):
    """`reasons` holds every reason, in the order of the parts."""

    def __init__(self, reasons: list[Reason]) -> None:
        super().__init__(", ".join(reason.code for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True, order=True)
class Address:
    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def domain_name(text: str) -> str:
    """The A-label form of a domain as somebody typed it, or NotAnAddress."""
    name = text.strip()
    if not name:
        raise NotAnAddress([Reason("domain_missing")])
    if not name.isprintable() or " " in name:
        raise NotAnAddress([Reason("domain_characters")])
    if name.endswith("."):
        raise NotAnAddress([Reason("domain_trailing_dot")])
    if "@" in name:
        raise NotAnAddress([Reason("domain_has_at")])
    if len(name) > 4 * MAX_DOMAIN:
        raise NotAnAddress([Reason("domain_long", {"most": MAX_DOMAIN})])
    if name.startswith("[") or re.fullmatch(r"[0-9.]+", name, re.ASCII):
        raise NotAnAddress([Reason("domain_is_ip")])
    try:
        name = idna.encode(name, uts46=True, std3_rules=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        if "too long" in str(error):
            raise NotAnAddress([Reason("domain_long", {"most": MAX_DOMAIN})]) from None
        raise NotAnAddress([Reason("domain_characters")]) from None
    name = name.lower()
    labels = name.split(".")
    if len(name) > MAX_DOMAIN or any(len(label) > MAX_LABEL for label in labels):
        raise NotAnAddress([Reason("domain_long", {"most": MAX_DOMAIN})])
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise NotAnAddress([Reason("domain_characters")])
    if len(labels) < 2:
        raise NotAnAddress([Reason("domain_one_label")])
    if labels[-1].isdigit():
        raise NotAnAddress([Reason("domain_is_ip")])
    return name


def local_part(text: str) -> str:
    """The part before the @, folded to lower case, or NotAnAddress with every reason."""
    local = text.strip()
    reasons = []
    if not local:
        raise NotAnAddress([Reason("local_missing")])
    if len(local.encode("utf-8", "surrogatepass")) > MAX_LOCAL:
        reasons.append(Reason("local_long", {"most": MAX_LOCAL}))
    if "@" in local:
        reasons.append(Reason("local_has_at"))
    elif "+" in local:
        reasons.append(Reason("local_plus"))
    folded = local.lower() if local.isascii() else local
    # Signs that have a reason of their own are not told twice.
    rest = folded.replace("@", "a").replace("+", "a")
    if not re.fullmatch(r"[a-z0-9._-]+", rest, re.ASCII):
        reasons.append(Reason("local_characters"))
    elif ".." in rest or not _LOCAL.fullmatch(rest):
        reasons.append(Reason("local_dots"))
    if reasons:
        raise NotAnAddress(reasons)
    return folded


def parse(text: str) -> Address:
    """An address of ours."""
    local, at, domain = text.strip().rpartition("@")
    if not at:
        raise NotAnAddress([Reason("address_without_at")])
    reasons: list[Reason] = []
    try:
        local = local_part(local)
    except NotAnAddress as refused:
        reasons += refused.reasons
    try:
        domain = domain_name(domain)
    except NotAnAddress as refused:
        reasons += refused.reasons
    if not reasons:
        reasons = _too_long(local, domain)
    if reasons:
        raise NotAnAddress(reasons)
    return Address(local, domain)


def alias_address(text: str) -> str:
    """An alias of ours as it is stored: `parse`, or a catch-all, `*@example.test`."""
    local, _at, domain = text.strip().rpartition("@")
    if local == CATCH_ALL:
        return f"{CATCH_ALL}@{domain_name(domain)}"
    return str(parse(text))


def without_detail(address: str) -> str:
    """Where mail to a stored address is delivered: `anna+lists@…` → `anna@…`."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}{at}{domain}"


def within(local: str, domain: str) -> Address:
    """A name as somebody typed it, in a domain of ours (an A-label that was accepted before)."""
    address = Address(local_part(local), domain)
    if too_long := _too_long(address.local, domain):
        raise NotAnAddress(too_long)
    return address


def _too_long(local: str, domain: str) -> list[Reason]:
    fits = len(local) + 1 + len(domain) <= MAX_ADDRESS
    return [] if fits else [Reason("address_long", {"most": MAX_ADDRESS})]


def target(text: str) -> str:
    """Where an alias points: any address with a plain local part, whose case is kept."""
    text = text.strip()
    local, at, domain = text.rpartition("@")
    if not at:
        raise NotAnAddress([Reason("address_without_at")])
    reasons: list[Reason] = []
    if len(local) > MAX_LOCAL:
        reasons.append(Reason("local_long", {"most": MAX_LOCAL}))
    elif ".." in local or not _TARGET_LOCAL.fullmatch(local):
        reasons.append(Reason("target_characters"))
    try:
        domain = domain_name(domain)
    except NotAnAddress as refused:
        reasons += refused.reasons
    if not reasons:
        reasons = _too_long(local, domain)
    if reasons:
        raise NotAnAddress(reasons)
    return f"{local}@{domain}"


def unicode_domain(name: str) -> str:
    """What people read: `xn--exmple-cua.test` → `exämple.test`; the A-label when it is not one."""
    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name


def unicode_address(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{unicode_domain(domain)}"


def search_form(word: str) -> str:
    """A word of a search as it would stand in a stored address: lower case, A-labels if it can.
    Without null characters, which PostgreSQL does not even look for."""
    word = word.replace("\0", " ").strip().lower()
    if word.isascii():
        return word
    local, at, domain = word.rpartition("@")
    try:
        return f"{local}{at}{domain_name(domain)}"
    except NotAnAddress:
        pass
    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode('ascii')}"
    except (idna.IDNAError, UnicodeError):
        return word


def test_token(local: str) -> str | None:
    """The token that makes a name look like an account for a test, or None.

    Tokens are whole: `scan-2` and `test7` are, `testa` and `barbara` are not.
    """
    for token in re.split(r"[._+\- ]+", unicodedata.normalize("NFC", local).lower()):
        if _TEST_PATTERN.fullmatch(token) or token.rstrip("0123456789") in _TEST_TOKENS:
            return token
    return None
