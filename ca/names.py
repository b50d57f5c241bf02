"""Names that a certificate speaks for, and the subtrees an issuer may speak for.

A name is written as people write it and kept in one normal form:

    parse("Mail1.Example.TEST")   → Name("dns", "mail1.example.test")
    parse("郵件.example.test")     → Name("dns", "xn--5nqv22n.example.test")     IDNA 2008, A-label
    parse("*.example.test")       → Name("dns", "*.example.test")
    parse("192.0.2.1")            → Name("ip", "192.0.2.1")
    parse("2001:db8::1")          → Name("ip", "2001:db8::1")
    parse("Wang@Example.TEST")    → Name("email", "Wang@example.test")           case of "Wang" kept

Sources: RFC 1034 section 3.5 and RFC 5890 (labels), RFC 6125 section 6.4.3 (wildcards), RFC 5321
section 4.5.3.1 and RFC 5322 section 3.4.1 (mail addresses), RFC 5280 section 4.2.1.6 (subject
alternative names), 4.2.1.10 (name constraints) and 7.5 (comparing mail addresses), CA/B BR 3.2.2.6
(wildcards over public suffixes), https://publicsuffix.org/list/.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import idna
from cryptography import x509
from publicsuffixlist import PublicSuffixList

MOST_NAMES = 100
# Top-level names that no registry sells: RFC 6761, RFC 6762 appendix G, ICANN's ".internal".
PRIVATE_TOPS = frozenset(
    {"internal", "private", "corp", "home", "lan", "intranet", "local", "localdomain", "test"}
)
LONGEST_DNS = 253
LONGEST_LOCAL_PART = 64
LONGEST_EMAIL = 254
MOST_SHOWN = 300
KINDS = frozenset({"dns", "ip", "email"})

# A dot-atom without "*": in a name it would look like a wildcard, which no mail address has.
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+)*\Z")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_LIKE_A_NAME = re.compile(
    r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\Z|\S*@\S*\Z|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\Z"
)
# An address without a colon has no other characters than these.
_OF_ADDRESSES = "0123456789.[]"
_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
EVERY_ADDRESS: tuple[Network, ...] = (
    ipaddress.ip_network("0.0.0.0/0"),
    ipaddress.ip_network("::/0"),
)


def visible(text: str) -> str:
    """For people, and for rows: what cannot be printed or stored (NUL, half a character) is
    escaped, and what is very long is cut."""
    if len(text) > MOST_SHOWN:
        text = text[:MOST_SHOWN] + "…"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class BadName(ValueError):
    """`code` says what is wrong with `value` (made `visible`); `ca.wording` has the sentences."""

    def __init__(self, code: str, value: str) -> None:
        super().__init__(f"{code}: {value!r}")
        self.code = code
        self.value = visible(value)


@dataclass(frozen=True)
class Name:
    """One subject alternative name: `kind` is one of `KINDS`, `value` its normal form."""

    kind: str
    value: str

    def general_name(self) -> x509.GeneralName:
        if self.kind == "ip":
            return x509.IPAddress(ipaddress.ip_address(self.value))
        if self.kind == "email":
            return x509.RFC822Name(self.value)
        return x509.DNSName(self.value)

    def shown(self) -> str:
        """For people: A-labels are turned back where that is possible."""
        local, at, domain = self.value.rpartition("@")
        if "xn--" not in domain:
            return self.value
        wildcard, host = ("*.", domain[2:]) if domain.startswith("*.") else ("", domain)
        try:
            return f"{local}{at}{wildcard}{idna.decode(host)}"
        except (idna.IDNAError, UnicodeError):
            return self.value

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Subtrees:
    """What an issuer is limited to: these domains with all below them, and these networks.

    A domain permits its hosts and the mail addresses in it.

    Without any domain and network the issuer is not limited (`limited` is False). With one of the
    two, the other kind is not permitted at all.
    """

    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def limited(self) -> bool:
        return bool(self.domains or self.networks)

    def permit(self, name: Name) -> bool:
        if not self.limited:
            return True
        if name.kind == "ip":
            address = ipaddress.ip_address(name.value)
            return any(address in network for network in self.networks)
        host = name.value.rpartition("@")[2].removeprefix("*.")
        return any(host == domain or host.endswith("." + domain) for domain in self.domains)

    def texts(self) -> list[str]:
        return [*self.domains, *(str(network) for network in self.networks)]


@cache
def _public_suffixes() -> PublicSuffixList:
    """Both sections: registries' suffixes, and the private ones such as github.io, whose names
    belong to people who do not trust each other. The list comes with the package."""
    return PublicSuffixList(accept_unknown=False)


def is_public_suffix(domain: str) -> bool:
    """Whether strangers hold the names right under `domain` (lower-case A-labels): "com.tw"."""
    return bool(_public_suffixes().publicsuffix(domain) == domain)


def looks_like_a_name(text: str) -> bool:
    """Whether software that looks for a host or a mail address would take `text` for one.

    OpenSSL holds a common name like this against the issuer's name constraints, also one with an
    underscore; no person is called so.
    """
    return bool(_LIKE_A_NAME.match(text))


def _ascii_domain(text: str, original: str) -> str:
    """Lower-case A-labels of a host name without wildcard."""
    if text.isascii():
        ascii_text = text.lower()
    else:
        try:
            ascii_text = idna.encode(text, uts46=True, std3_rules=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise BadName("name_idn", original) from error
    if len(ascii_text) > LONGEST_DNS:
        raise BadName("name_too_long", original)
    labels = ascii_text.split(".")
    if not all(_LABEL.match(label) for label in labels):
        raise BadName("name_label", original)
    for label in labels:
        if label.startswith("xn--"):
            try:
                idna.decode(label)
            except (idna.IDNAError, UnicodeError) as error:
                raise BadName("name_idn", original) from error
        elif label[2:4] == "--":
            raise BadName("name_label", original)
    if labels[-1].isdigit():
        raise BadName("name_label", original)
    return ascii_text


def _parse_email(text: str) -> Name:
    local, _at, host = text.rpartition("@")
    if not _DOT_ATOM.match(local):
        raise BadName("email_local", text)
    if len(local) > LONGEST_LOCAL_PART:
        raise BadName("email_long", text)
    if host.endswith("."):
        raise BadName("name_trailing_dot", text)
    if "*" in host:
        raise BadName("name_wildcard_place", text)
    domain = _ascii_domain(host, text)
    if "." not in domain:
        raise BadName("email_domain", text)
    if len(local) + 1 + len(domain) > LONGEST_EMAIL:
        raise BadName("email_long", text)
    return Name("email", f"{local}@{domain}")


@lru_cache(maxsize=1024)  # from a request to its last rule each name is read several times
def parse(text: str) -> Name:
    """The normal form of one name, or `BadName`."""
    text = text.strip(" \t\r\n")
    if not text:
        raise BadName("name_empty", text)
    if _CONTROL.search(text):
        raise BadName("name_control", text)
    if ":" in text or not text.strip(_OF_ADDRESSES):
        try:
            return Name("ip", str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))))
        except ValueError:
            pass
    if "@" in text:
        return _parse_email(text)
    wildcard = text.startswith("*.")
    host = text[2:] if wildcard else text
    if "*" in host:
        raise BadName("name_wildcard_place", text)
    if host.endswith("."):
        raise BadName("name_trailing_dot", text)
    domain = _ascii_domain(host, text)
    # A wildcard right under a registry's suffix would speak for everybody who has a name there.
    if wildcard and ("." not in domain or is_public_suffix(domain)):
        raise BadName("name_wildcard_wide", text)
    if not wildcard and "." not in domain:
        raise BadName("name_single_label", text)
    return Name("dns", ("*." if wildcard else "") + domain)


def parse_all(texts: Iterable[str]) -> tuple[Name, ...]:
    """Normal forms in order, each once. Refuses an empty list and more than `MOST_NAMES`."""
    found = tuple(dict.fromkeys(parse(text) for text in texts))
    if not found:
        raise BadName("names_missing", "")
    if len(found) > MOST_NAMES:
        raise BadName("names_too_many", str(len(found)))
    return found


def split(text: str) -> list[str]:
    """The entries of a text area: separated by white space, commas or semicolons."""
    return [part for part in re.split(r"[\s,;、，；]+", text) if part]


def parse_subtrees(texts: Iterable[str]) -> Subtrees:
    """`["example.test", "192.0.2.0/24"]` → `Subtrees`; a leading dot or "*." is taken off."""
    return _subtrees(tuple(texts))


@lru_cache(maxsize=64)
def _subtrees(texts: tuple[str, ...]) -> Subtrees:
    domains: dict[str, None] = {}
    networks: dict[Network, None] = {}
    for text in texts:
        if _CONTROL.search(text.strip()):
            raise BadName("name_control", text)
        plain = text.strip().removeprefix("*.").removeprefix(".").removesuffix(".")
        if not plain:
            raise BadName("name_empty", text)
        try:
            networks[ipaddress.ip_network(plain, strict=True)] = None
            continue
        except ValueError:
            if "/" in plain:
                raise BadName("network_bad", text) from None
        domain = _ascii_domain(plain, text)
        if ("." not in domain and domain not in PRIVATE_TOPS) or is_public_suffix(domain):
            raise BadName("domain_wide", text)
        domains[domain] = None
    return Subtrees(tuple(domains), tuple(networks))


def constraints(subtrees: Subtrees) -> x509.NameConstraints | None:
    """The extension that writes `subtrees` into an issuer's certificate.

    A kind that is not named in a name constraint is not constrained at all, so where no network
    is permitted every address is excluded, and where no domain is permitted a domain that nobody
    can own (`invalid`, RFC 6761) is the only one permitted. Mail addresses follow the domains.
    """
    if not subtrees.limited:
        return None
    permitted: list[x509.GeneralName] = []
    for domain in subtrees.domains or ("invalid",):
        permitted.append(x509.DNSName(domain))
        permitted.append(x509.RFC822Name(domain))
        permitted.append(x509.RFC822Name("." + domain))
    permitted += [x509.IPAddress(network) for network in subtrees.networks]
    versions = {network.version for network in subtrees.networks}
    excluded = [x509.IPAddress(every) for every in EVERY_ADDRESS if every.version not in versions]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded or None)


def outside(subtrees: Subtrees, names: Sequence[Name]) -> list[Name]:
    """The names that `subtrees` do not permit."""
    return [name for name in names if not subtrees.permit(name)]


def within(extension: x509.NameConstraints, name: Name) -> bool:
    """Whether a certificate with this extension may have issued a certificate for `name`.

    As a client decides it: permitted subtrees count for the name's own kind only, an excluded one
    always.
    """
    permitted = [_covers(each, name) for each in extension.permitted_subtrees or ()]
    excluded = [_covers(each, name) for each in extension.excluded_subtrees or ()]
    of_this_kind = [covers for covers in permitted if covers is not None]
    return (any(of_this_kind) or not of_this_kind) and not any(excluded)


def _covers(subtree: x509.GeneralName, name: Name) -> bool | None:
    """None when the subtree speaks of another kind of name."""
    if isinstance(subtree, x509.DNSName) and name.kind == "dns":
        host = name.value.removeprefix("*.")
        domain = subtree.value.lower()
        if domain.startswith("."):
            return host.endswith(domain)
        return not domain or host == domain or host.endswith("." + domain)
    if isinstance(subtree, x509.RFC822Name) and name.kind == "email":
        local, _at, host = name.value.rpartition("@")
        wanted_local, at, domain = subtree.value.rpartition("@")
        domain = domain.lower()
        if at:
            return local == wanted_local and host == domain
        return host.endswith(domain) if domain.startswith(".") else host == domain
    if isinstance(subtree, x509.IPAddress) and name.kind == "ip":
        value = subtree.value
        if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
            return ipaddress.ip_address(name.value) in value
    return None


@dataclass(frozen=True)
class Limits:
    """What an issuer may sign for: its own subtrees, and the constraints of the authorities above
    it (RFC 5280 section 6.1.4 (g))."""

    subtrees: Subtrees
    above: tuple[x509.NameConstraints, ...] = ()

    def outside(self, wanted: Sequence[Name]) -> list[Name]:
        """The names that it may not sign for."""
        found = outside(self.subtrees, wanted)
        for extension in self.above:
            found += [name for name in wanted if not within(extension, name)]
        return list(dict.fromkeys(found))
