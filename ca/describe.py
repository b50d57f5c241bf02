"""What a certificate says, field by field, for the page, the preview and the text download.

    for field in fields(of_certificate(certificate)):
        field.code, field.values          # "names", ("mail1.example.test", "192.0.2.1")

Codes are those of `ca.wording.LABELS`. The text download (`text`) is laid out like `openssl x509
-text`, in English, since it is read by tools and compared with other tools' output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca import keys
from ca.legacy import rawnames
from ca.names import Name
from ca.profiles import PURPOSES
from ca.template import ToBeSigned

_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_PURPOSES = {oid: name for name, oid in PURPOSES.items()}
_ACCESS = {
    "ocsp": AuthorityInformationAccessOID.OCSP,
    "issuer_address": AuthorityInformationAccessOID.CA_ISSUERS,
}
_SHORT = {NameOID.COMMON_NAME: "CN", NameOID.ORGANIZATION_NAME: "O", NameOID.COUNTRY_NAME: "C"}


@dataclass(frozen=True)
class Parts:
    """What a certificate and one to be signed have in common."""

    subject: x509.Name
    issuer: x509.Name
    serial: int
    not_before: datetime
    not_after: datetime
    public_key: PublicKeyTypes
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]


@dataclass(frozen=True)
class Field:
    """One field. `mono`: for machines (hex, addresses); `critical`: marked so in the extension."""

    code: str
    values: tuple[str, ...]
    mono: bool = False
    critical: bool = False


def of_certificate(certificate: x509.Certificate) -> Parts:
    return Parts(
        rawnames.readable(certificate),
        rawnames.readable_issuer(certificate),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.public_key(),
        _extensions(certificate),
    )


def _extensions(
    certificate: x509.Certificate,
) -> tuple[x509.Extension[x509.ExtensionType], ...]:
    """None of them where they are broken, as in what was imported."""
    try:
        return tuple(certificate.extensions)
    except ValueError:
        return ()


def of_prepared(tbs: ToBeSigned) -> Parts:
    return Parts(
        tbs.subject,
        tbs.issuer,
        tbs.serial,
        tbs.not_before,
        tbs.not_after,
        tbs.public_key,
        tbs.extensions,
    )


def hexed(raw: bytes | str) -> str:
    """`AB:CD:…`, as people compare it."""
    text = raw if isinstance(raw, str) else raw.hex()
    text = text.zfill(len(text) + len(text) % 2).upper()
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))


def name(of: x509.Name) -> str:
    """`CN=mail1.example.test, O=Example, C=TW`"""
    return ", ".join(
        f"{_SHORT.get(attribute.oid, attribute.rfc4514_attribute_name)}={attribute.value!s}"
        for attribute in reversed(list(of))
    )


def fields(parts: Parts) -> list[Field]:
    """Every field in the order of the page; names and key first, then the extensions."""
    found = [
        Field("subject", (name(parts.subject) or "-",)),
        Field("issuer", (name(parts.issuer),)),
        Field("serial", (hexed(f"{parts.serial:x}"),), mono=True),
        Field("not_before", (_moment(parts.not_before),)),
        Field("not_after", (_moment(parts.not_after),)),
        Field("key", (keys.label(parts.public_key),)),
        Field("key_id", (keys.key_id(parts.public_key),), mono=True),
    ]
    for extension in parts.extensions:
        known = list(_extension(extension.value))
        found += [replace(field, critical=extension.critical) for field in known]
        if not known:
            oid = extension.oid.dotted_string
            found.append(Field("other", (oid,), mono=True, critical=extension.critical))
    return found


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _general(value: x509.GeneralName) -> str:
    if isinstance(value, x509.DNSName | x509.RFC822Name):
        shown = Name("dns", value.value).shown()
        return value.value if shown == value.value else f"{value.value} ({shown})"
    return str(value.value)


def _extension(value: x509.ExtensionType) -> Iterator[Field]:
    if isinstance(value, x509.SubjectAlternativeName):
        yield Field("names", tuple(_general(each) for each in value))
    elif isinstance(value, x509.KeyUsage):
        used = [label for attribute, label in _USAGES.items() if getattr(value, attribute)]
        yield Field("key_usage", (", ".join(used),))
    elif isinstance(value, x509.ExtendedKeyUsage):
        purposes = [_PURPOSES.get(each, each.dotted_string) for each in value]
        yield Field("extended_key_usage", (", ".join(purposes),))
    elif isinstance(value, x509.BasicConstraints):
        length = f", pathlen:{value.path_length}" if value.path_length is not None else ""
        yield Field("basic_constraints", (f"CA:{str(value.ca).upper()}{length}",))
    elif isinstance(value, x509.NameConstraints):
        yield Field("name_constraints", tuple(_constraints(value)))
    elif isinstance(value, x509.SubjectKeyIdentifier):
        yield Field("subject_key_identifier", (hexed(value.digest),), mono=True)
    elif isinstance(value, x509.AuthorityKeyIdentifier):
        identifier = hexed(value.key_identifier or b"")
        yield Field("authority_key_identifier", (identifier,), mono=True)
    elif isinstance(value, x509.CRLDistributionPoints):
        places = [str(each.value) for point in value for each in point.full_name or ()]
        yield Field("crl", tuple(places), mono=True)
    elif isinstance(value, x509.AuthorityInformationAccess):
        for code, method in _ACCESS.items():
            places = [
                str(each.access_location.value) for each in value if each.access_method == method
            ]
            if places:
                yield Field(code, tuple(places), mono=True)
    elif isinstance(value, x509.OCSPNoCheck):
        yield Field("ocsp_no_check", ("id-pkix-ocsp-nocheck",))


def _constraints(value: x509.NameConstraints) -> Iterator[str]:
    for sign, subtrees in (("+", value.permitted_subtrees), ("-", value.excluded_subtrees)):
        for each in subtrees or ():
            kind = {"DNSName": "DNS", "RFC822Name": "email", "IPAddress": "IP"}.get(
                type(each).__name__, type(each).__name__
            )
            yield f"{sign} {kind} {each.value}"


def fingerprints(certificate: x509.Certificate) -> list[Field]:
    return [
        Field("fingerprint_sha256", (hexed(certificate.fingerprint(hashes.SHA256())),), mono=True),
        Field("fingerprint_sha1", (hexed(certificate.fingerprint(hashes.SHA1())),), mono=True),  # noqa: S303
    ]


_TITLES = {
    "subject": "Subject",
    "issuer": "Issuer",
    "serial": "Serial Number",
    "not_before": "Not Before",
    "not_after": "Not After",
    "key": "Public Key",
    "key_id": "SHA-256 of the Public Key (SPKI)",
    "names": "X509v3 Subject Alternative Name",
    "key_usage": "X509v3 Key Usage",
    "extended_key_usage": "X509v3 Extended Key Usage",
    "basic_constraints": "X509v3 Basic Constraints",
    "name_constraints": "X509v3 Name Constraints",
    "subject_key_identifier": "X509v3 Subject Key Identifier",
    "authority_key_identifier": "X509v3 Authority Key Identifier",
    "crl": "X509v3 CRL Distribution Points",
    "ocsp": "Authority Information Access, OCSP",
    "issuer_address": "Authority Information Access, CA Issuers",
    "ocsp_no_check": "OCSP No Check",
    "fingerprint_sha256": "SHA-256 Fingerprint",
    "fingerprint_sha1": "SHA-1 Fingerprint",
    "other": "Extension",
}


def text(certificate: x509.Certificate) -> str:
    """The certificate as plain text, its PEM at the end."""
    lines = ["Certificate:"]
    for field in [*fields(of_certificate(certificate)), *fingerprints(certificate)]:
        critical = " critical" if field.critical else ""
        lines.append(f"    {_TITLES[field.code]}:{critical}")
        lines += [f"        {value}" for value in field.values]
    return "\n".join(lines) + "\n" + certificate.public_bytes(Encoding.PEM).decode()
