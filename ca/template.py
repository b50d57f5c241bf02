"""The certificate to be signed: every field decided, nothing signed yet.

    tbs = prepare(profile=HOST, names=names, public_key=key, subject=subject, issuer=issuer_cert,
                  days=90, at=now, serial=random_serial(), addresses=Addresses(...))
    linted = lints.require(tbs, issuer=issuer_cert)     # the only thing a keystore signs
    certificate = signing_key.issue(linted)

Sources: RFC 5280 sections 4.1 and 4.2, CA/B BR 7.1.2; notAfter is inclusive, so N days end one
second before the same time of day.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from types import EllipsisType

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca.names import Name, Subtrees, constraints, visible
from ca.profiles import BACKDATE, AuthorityProfile, Profile

# ub-common-name and ub-organization-name, RFC 5280 appendix A.1. The bound is in characters; some
# software counts the bytes of their UTF-8, so these must fit.
LONGEST_FIELD = LONGEST_COMMON_NAME = 64
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_SECOND = timedelta(seconds=1)
_MOST_WRITTEN = 1000
_Extension = x509.Extension[x509.ExtensionType]

SUBJECT_FIELDS: Mapping[str, x509.ObjectIdentifier] = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "CN": NameOID.COMMON_NAME,
}


@dataclass(frozen=True)
class Addresses:
    """Where a certificate says its issuer's certificate and revocation list are. "" is nowhere."""

    issuer: str = ""
    crl: str = ""
    ocsp: str = ""


NOWHERE = Addresses()
UNLIMITED = Subtrees()


@dataclass(frozen=True)
class ToBeSigned:
    """Every field of a certificate apart from the signature."""

    profile: Profile | AuthorityProfile
    subject: x509.Name
    issuer: x509.Name
    public_key: CertificatePublicKeyTypes
    serial: int
    not_before: datetime
    not_after: datetime
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]

    def find(self, kind: type[x509.ExtensionType]) -> x509.Extension[x509.ExtensionType] | None:
        return self._by_kind.get(kind)

    @cached_property
    def _by_kind(self) -> dict[type, x509.Extension[x509.ExtensionType]]:
        return {type(extension.value): extension for extension in reversed(self.extensions)}

    @cached_property
    def alternative_names(self) -> tuple[x509.GeneralName, ...]:
        found = self.find(x509.SubjectAlternativeName)
        value = found.value if found is not None else ()
        return tuple(value) if isinstance(value, x509.SubjectAlternativeName) else ()

    def builder(self) -> x509.CertificateBuilder:
        # All at once: what the builder's methods look at one by one is looked at by the rules.
        return x509.CertificateBuilder(
            issuer_name=self.issuer,
            subject_name=self.subject,
            public_key=self.public_key,
            serial_number=self.serial,
            not_valid_before=self.not_before.astimezone(UTC).replace(tzinfo=None),
            not_valid_after=self.not_after.astimezone(UTC).replace(tzinfo=None),
            extensions=[_ready(extension) for extension in self.extensions],
        )


# The largest serial number of 20 octets whose first bit is not the sign (RFC 5280 4.1.2.2).
LARGEST_SERIAL = (1 << 159) - 1


def random_serial(*, above: int = 0) -> int:
    """Positive, at most 20 octets, random in all of the space above `above` (RFC 5280 4.1.2.2).

    Where fewer than 64 random bits are left above it, chance alone keeps serials apart.
    """
    room = LARGEST_SERIAL - above
    if above <= 0 or room.bit_length() <= 64:
        return x509.random_serial_number()
    return above + 1 + secrets.randbelow(room)


class BadSubject(ValueError):
    """A field that no certificate can hold: `code`, and its `value`."""

    def __init__(self, code: str, value: str) -> None:
        super().__init__(f"{code}: {value!r}")
        self.code = code
        self.value = visible(value)


def subject_name(fields: Mapping[str, str]) -> x509.Name:
    """`{"C": "TW", "O": "Example", "CN": "…"}` as a name, in the order of `SUBJECT_FIELDS`."""
    for field, value in fields.items():
        if len(value.encode("utf-8", "replace")) > LONGEST_FIELD:
            raise BadSubject("subject_long", value)
        if value != value.strip() or not value.isprintable():
            raise BadSubject("subject_control", value)
        if field == "C" and value and not _COUNTRY.match(value):
            raise BadSubject("subject_country", value)
    return x509.Name(
        [
            x509.NameAttribute(oid, fields[field])
            for field, oid in SUBJECT_FIELDS.items()
            if fields.get(field)
        ]
    )


def common_name_of(names: Sequence[Name]) -> str:
    """The first name that fits: clients ignore it, people and logs do not."""
    return next((name.value for name in names if len(name.value) <= LONGEST_COMMON_NAME), "")


def validity(
    *, at: datetime, days: int, not_earlier: datetime | None = None
) -> tuple[datetime, datetime]:
    """(notBefore, notAfter): backdated, but not before the issuer itself begins."""
    begin = at.astimezone(UTC).replace(microsecond=0) - BACKDATE
    if not_earlier is not None:
        begin = max(begin, not_earlier.astimezone(UTC))
    return begin, begin + timedelta(days=days) - _SECOND


def most_days_under(issuer: x509.Certificate, *, at: datetime) -> int:
    """The longest life, in whole days, of a certificate that ends before its issuer does."""
    begin, _end = validity(at=at, days=1, not_earlier=issuer.not_valid_before_utc)
    return max(0, (issuer.not_valid_after_utc + _SECOND - begin).days)


def _extension(
    value: x509.ExtensionType, *, critical: bool = False
) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


# Extensions that every certificate of an issuer has, with the bytes they are written as.
_written: dict[int, tuple[_Extension, _Extension]] = {}


def _write(extension: _Extension) -> None:
    if len(_written) >= _MOST_WRITTEN:
        _written.clear()
    raw = x509.UnrecognizedExtension(extension.oid, extension.value.public_bytes())
    _written[id(extension)] = extension, x509.Extension(extension.oid, extension.critical, raw)


def _ready(extension: _Extension) -> _Extension:
    known = _written.get(id(extension))
    return known[1] if known is not None else extension


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own SKI, byte for byte: an imported one may be made in another way."""
    try:
        ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)
    except x509.ExtensionNotFound:
        public_key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _same_for_all(
    profile: Profile, usage: x509.KeyUsage, issuer: x509.Certificate, addresses: Addresses
) -> tuple[list[x509.Extension[x509.ExtensionType]], list[x509.Extension[x509.ExtensionType]]]:
    """The extensions that do not depend on the one certificate: the first of them, and the last."""
    first = [
        _extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        _extension(usage, critical=True),
        _extension(x509.ExtendedKeyUsage(profile.extended_key_usage)),
        _extension(_authority_key_identifier(issuer)),
    ]
    last = [_extension(x509.OCSPNoCheck())] if profile.unchecked else _where_to_find(addresses)
    for extension in (*first, *last):
        _write(extension)
    return first, last


def _where_to_find(addresses: Addresses) -> list[x509.Extension[x509.ExtensionType]]:
    found: list[x509.Extension[x509.ExtensionType]] = []
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(address))
        for method, address in (
            (AuthorityInformationAccessOID.OCSP, addresses.ocsp),
            (AuthorityInformationAccessOID.CA_ISSUERS, addresses.issuer),
        )
        if address
    ]
    if access:
        found.append(_extension(x509.AuthorityInformationAccess(access)))
    if addresses.crl:
        point = x509.DistributionPoint(
            full_name=[x509.UniformResourceIdentifier(addresses.crl)],
            relative_name=None,
            reasons=None,
            crl_issuer=None,
        )
        found.append(_extension(x509.CRLDistributionPoints([point])))
    return found


def prepare(
    *,
    profile: Profile,
    names: Sequence[Name],
    public_key: CertificatePublicKeyTypes,
    issuer: x509.Certificate,
    days: int,
    at: datetime,
    serial: int,
    subject: Mapping[str, str] | None = None,
    addresses: Addresses = NOWHERE,
) -> ToBeSigned:
    """A leaf certificate under `issuer`. `subject` may add C and O; CN follows from the names, or
    is the subject's: one of the names, and any other where the profile leaves that open."""
    fields = dict(subject or {})
    common_name = fields.get("CN", "")
    if not profile.own_common_name and common_name not in {each.value for each in names}:
        common_name = ""
    fields["CN"] = common_name or common_name_of(names)
    name = subject_name(fields)
    begin, end = validity(at=at, days=days, not_earlier=issuer.not_valid_before_utc)
    first, last = _same_for_all(profile, profile.key_usage(public_key), issuer, addresses)
    extensions = [*first, _extension(x509.SubjectKeyIdentifier.from_public_key(public_key))]
    if names:
        # RFC 5280 4.2.1.6: with an empty subject the alternative name is the subject
        general = x509.SubjectAlternativeName([each.general_name() for each in names])
        extensions.append(_extension(general, critical=not list(name)))
    extensions += last
    return ToBeSigned(
        profile=profile,
        subject=name,
        issuer=issuer.subject,
        public_key=public_key,
        serial=serial,
        not_before=begin,
        not_after=end,
        extensions=tuple(extensions),
    )


def prepare_authority(
    *,
    profile: AuthorityProfile,
    subject: Mapping[str, str],
    public_key: CertificatePublicKeyTypes,
    issuer: x509.Certificate | None,
    days: int,
    at: datetime,
    serial: int,
    permitted: Subtrees = UNLIMITED,
    addresses: Addresses = NOWHERE,
    path_length: int | EllipsisType | None = ...,
) -> ToBeSigned:
    """An authority's certificate; `issuer` None makes a root, which signs itself.

    `path_length`: how many levels of authorities may stand below it, None for any number; left
    out, it is the profile's.
    """
    length = profile.path_length if isinstance(path_length, EllipsisType) else path_length
    name = subject_name(subject)
    begin, end = validity(
        at=at, days=days, not_earlier=issuer.not_valid_before_utc if issuer else None
    )
    extensions = [
        _extension(x509.BasicConstraints(ca=True, path_length=length), critical=True),
        _extension(profile.key_usage(), critical=True),
        _extension(x509.SubjectKeyIdentifier.from_public_key(public_key)),
    ]
    if issuer is not None:
        extensions.append(_extension(_authority_key_identifier(issuer)))
    else:
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)  # type: ignore[arg-type]
        extensions.append(_extension(own))
    limits = constraints(permitted)
    if limits is not None:
        extensions.append(_extension(limits, critical=True))
    extensions += _where_to_find(addresses)
    return ToBeSigned(
        profile=profile,
        subject=name,
        issuer=issuer.subject if issuer is not None else name,
        public_key=public_key,
        serial=serial,
        not_before=begin,
        not_after=end,
        extensions=tuple(extensions),
    )
