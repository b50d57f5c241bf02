"""The rules a certificate must meet before it is signed, one function a rule.

    findings = run(tbs, issuer=issuer_certificate)     # [] when every rule is met
    linted = require(tbs, issuer=issuer_certificate)   # or raises LintFailed with the findings
    signing_key.issue(linted)                          # good once

A rule looks at a `template.ToBeSigned` and its issuer (None for a root), and yields a detail for
each thing that breaks it. `section` is where the rule stands. Nothing is signed to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from ca import keys
from ca.names import BadName, parse, within
from ca.profiles import AuthorityProfile, Profile
from ca.template import LONGEST_COMMON_NAME, ToBeSigned

Issuer = x509.Certificate | None
Rule = Callable[[ToBeSigned, Issuer], Iterator[str]]

# ub-organization-name and ub-common-name, RFC 5280 appendix A.1
LONGEST_ORGANIZATION = 64


@dataclass(frozen=True)
class Lint:
    id: str
    section: str
    rule: Rule


@dataclass(frozen=True)
class Finding:
    """A broken rule: `lint` is its id, `detail` the value that breaks it."""

    lint: str
    section: str
    detail: str


class LintFailed(Exception):
    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{each.lint}: {each.detail}" for each in findings))
        self.findings = tuple(findings)


@dataclass
class Linted:
    """A certificate that met every rule. `take` hands it out once, for one signature."""

    _tbs: ToBeSigned
    _taken: bool = field(default=False, init=False)

    def take(self) -> ToBeSigned:
        if self._taken:
            raise RuntimeError("a linted certificate is signed once")
        self._taken = True
        return self._tbs

    @property
    def public_key_id(self) -> str:
        return keys.key_id(self._tbs.public_key)


ALL: list[Lint] = []


def lint(section: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        ALL.append(Lint(rule.__name__, section, rule))
        return rule

    return register


def run(tbs: ToBeSigned, *, issuer: Issuer) -> list[Finding]:
    """Every finding of every rule."""
    return [
        Finding(each.id, each.section, detail) for each in ALL for detail in each.rule(tbs, issuer)
    ]


def require(tbs: ToBeSigned, *, issuer: Issuer) -> Linted:
    findings = run(tbs, issuer=issuer)
    if findings:
        raise LintFailed(findings)
    return Linted(tbs)


def _text(name: x509.GeneralName) -> str:
    return str(name.value)


def _is_authority(tbs: ToBeSigned) -> bool:
    return isinstance(tbs.profile, AuthorityProfile)


@lint("RFC 5280 4.1.2.2")
def serial_is_positive_and_short(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.serial <= 0 or tbs.serial.bit_length() > 159:
        yield f"{tbs.serial:x}"


@lint("CA/B BR 7.1")
def serial_is_random(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    # 64 random bits are below 2^32 once in 4 thousand million: such a serial was counted, not drawn
    if 0 < tbs.serial < 1 << 32:
        yield f"{tbs.serial:x}"


@lint("RFC 5280 4.1.2.5")
def validity_has_a_length(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.not_after <= tbs.not_before:
        yield f"{tbs.not_before:%Y-%m-%d} - {tbs.not_after:%Y-%m-%d}"
    if tbs.not_before.microsecond or tbs.not_after.microsecond:
        yield tbs.not_before.isoformat()


@lint("RFC 5280 6.1.3")
def validity_is_within_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    if tbs.not_after > issuer.not_valid_after_utc or tbs.not_before < issuer.not_valid_before_utc:
        yield f"{issuer.not_valid_after_utc:%Y-%m-%d}"


@lint("CA/B BR 6.3.2, Apple HT210176")
def validity_is_within_the_profiles(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.not_after - tbs.not_before >= timedelta(days=tbs.profile.most_days):
        yield str(tbs.profile.most_days)


@lint("RFC 5280 4.1.2.4")
def issuer_name_is_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    expected = issuer.subject if issuer is not None else tbs.subject
    if tbs.issuer.public_bytes() != expected.public_bytes() or not list(tbs.issuer):
        yield tbs.issuer.rfc4514_string()


@lint("RFC 5280 A.1")
def subject_fields_are_short(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for attribute in tbs.subject:
        value = str(attribute.value)
        longest = {
            NameOID.COMMON_NAME: LONGEST_COMMON_NAME,
            NameOID.ORGANIZATION_NAME: LONGEST_ORGANIZATION,
        }.get(attribute.oid)
        if longest is not None and len(value) > longest:
            yield value


@lint("RFC 5280 4.1.2.4")
def subject_is_printable(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for attribute in tbs.subject:
        value = str(attribute.value)
        if not value.isprintable() or value != value.strip():
            yield repr(value)


@lint("RFC 5280 A.1, ISO 3166-1")
def country_is_two_letters(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for attribute in tbs.subject.get_attributes_for_oid(NameOID.COUNTRY_NAME):
        value = str(attribute.value)
        if not (len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()):
            yield value


@lint("RFC 5280 4.1.2.6")
def authority_has_a_subject(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if _is_authority(tbs) and not tbs.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        yield tbs.subject.rfc4514_string()


@lint("CA/B BR 6.1.5")
def key_is_strong(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    try:
        keys.check(tbs.public_key)
    except keys.BadKey as error:
        yield error.found


@lint("RFC 5280 4.2.1.2")
def key_is_not_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is not None and keys.key_id(tbs.public_key) == keys.key_id(issuer.public_key()):
        yield keys.key_id(tbs.public_key)[:16]


@lint("RFC 5280 4.2")
def extensions_appear_once(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    seen: set[x509.ObjectIdentifier] = set()
    for extension in tbs.extensions:
        if extension.oid in seen:
            yield extension.oid.dotted_string
        seen.add(extension.oid)


@lint("RFC 5280 4.2.1.9")
def basic_constraints_fit(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.BasicConstraints)
    if found is None or not isinstance(found.value, x509.BasicConstraints):
        yield "missing"
    elif not found.critical:
        yield "not critical"
    elif found.value.ca is not _is_authority(tbs):
        yield f"CA:{found.value.ca}"


@lint("RFC 5280 4.2.1.9")
def path_length_is_within_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None or not _is_authority(tbs):
        return
    above = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    own = tbs.find(x509.BasicConstraints)
    length = own.value.path_length if own and isinstance(own.value, x509.BasicConstraints) else None
    if above.path_length is not None and (length is None or length >= above.path_length):
        yield str(above.path_length)


@lint("RFC 5280 4.2.1.3")
def key_usage_fits(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.KeyUsage)
    if found is None or not isinstance(found.value, x509.KeyUsage):
        yield "missing"
        return
    usage = found.value
    if not found.critical:
        yield "not critical"
    if usage.key_cert_sign is not _is_authority(tbs) or (usage.crl_sign and not _is_authority(tbs)):
        yield "keyCertSign"
    if usage.key_encipherment and not isinstance(tbs.public_key, rsa.RSAPublicKey):
        yield "keyEncipherment"
    if not _is_authority(tbs) and not usage.digital_signature:
        yield "digitalSignature"


@lint("RFC 5280 4.2.1.12")
def extended_key_usage_is_the_profiles(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.ExtendedKeyUsage)
    if not isinstance(tbs.profile, Profile):
        return
    if found is None or not isinstance(found.value, x509.ExtendedKeyUsage):
        yield "missing"
        return
    for usage in found.value:
        if usage == ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE:
            yield "anyExtendedKeyUsage"
        elif usage not in tbs.profile.extended_key_usage:
            yield usage.dotted_string


def _alternative_names(tbs: ToBeSigned) -> list[x509.GeneralName]:
    found = tbs.find(x509.SubjectAlternativeName)
    if found is None or not isinstance(found.value, x509.SubjectAlternativeName):
        return []
    return list(found.value)


@lint("RFC 6125 6.4.4, CA/B BR 7.1.2.7.12")
def alternative_name_is_present(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if isinstance(tbs.profile, Profile) and not _alternative_names(tbs):
        yield "subjectAltName"


@lint("RFC 5280 4.2.1.6")
def alternative_name_is_critical_without_subject(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.SubjectAlternativeName)
    if found is not None and found.critical is not (not list(tbs.subject)):
        yield "critical" if found.critical else "not critical"


@lint("RFC 5280 4.2.1.6, RFC 5890 2.3.2.1")
def names_are_well_formed(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for general in _alternative_names(tbs):
        try:
            name = parse(_text(general))
        except BadName:
            yield _text(general)
            continue
        if name.value != _text(general):
            yield _text(general)


@lint("CA/B BR 7.1.2.7.12")
def names_appear_once(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    texts = [_text(general) for general in _alternative_names(tbs)]
    yield from sorted({text for text in texts if texts.count(text) > 1})


@lint("CA/B BR 7.1.2.7")
def names_are_of_the_profiles_kinds(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if not isinstance(tbs.profile, Profile):
        return
    kinds = {x509.DNSName: "dns", x509.IPAddress: "ip", x509.RFC822Name: "email"}
    for general in _alternative_names(tbs):
        wild = isinstance(general, x509.DNSName) and general.value.startswith("*.")
        if kinds.get(type(general)) not in tbs.profile.name_kinds or (
            wild and not tbs.profile.wildcards
        ):
            yield _text(general)


@lint("CA/B BR 7.1.4.3")
def common_name_is_among_the_names(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if not isinstance(tbs.profile, Profile):
        return
    texts = {_text(general) for general in _alternative_names(tbs)}
    for attribute in tbs.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if str(attribute.value) not in texts:
            yield str(attribute.value)


@lint("RFC 5280 4.2.1.10")
def names_are_within_the_constraints(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    try:
        extension = issuer.extensions.get_extension_for_oid(ExtensionOID.NAME_CONSTRAINTS)
    except x509.ExtensionNotFound:
        return
    if not isinstance(extension.value, x509.NameConstraints):
        return
    for general in _alternative_names(tbs):
        try:
            name = parse(_text(general))
        except BadName:
            continue
        if not within(extension.value, name):
            yield name.value


@lint("RFC 5280 4.2.1.10")
def constraints_stand_only_in_authorities(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.NameConstraints)
    if found is not None and (not _is_authority(tbs) or not found.critical):
        yield "nameConstraints"


@lint("RFC 5280 4.2.1.2")
def subject_key_identifier_is_present(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.find(x509.SubjectKeyIdentifier) is None:
        yield "subjectKeyIdentifier"


@lint("RFC 5280 4.2.1.1")
def authority_key_identifier_is_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    found = tbs.find(x509.AuthorityKeyIdentifier)
    if found is None or not isinstance(found.value, x509.AuthorityKeyIdentifier):
        yield "missing"
        return
    try:
        ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return
    if found.value.key_identifier != ski.digest:
        yield (found.value.key_identifier or b"").hex()


@lint("RFC 5280 4.2.1.13, 4.2.2.1")
def addresses_are_plain_http(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    # https would need a certificate to check a certificate
    access = tbs.find(x509.AuthorityInformationAccess)
    if access is not None and isinstance(access.value, x509.AuthorityInformationAccess):
        for description in access.value:
            if not _text(description.access_location).startswith("http://"):
                yield _text(description.access_location)
    points = tbs.find(x509.CRLDistributionPoints)
    if points is not None and isinstance(points.value, x509.CRLDistributionPoints):
        for point in points.value:
            for general in point.full_name or ():
                if not _text(general).startswith("http://"):
                    yield _text(general)
