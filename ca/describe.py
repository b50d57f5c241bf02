"""What a certificate says, field by field, for the page, the preview and the text download.

    for field in fields(of_certificate(certificate)):
        field.code, field.values          # "names", ("mail1.example.test", "192.0.2.1")

Codes are those of `ca.wording.LABELS`. The text download (`text`) is laid out like `openssl x509
-text`, in English, since it is read by tools and compared with other tools' output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca import keys
from ca.names import Name
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
_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
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
        certificate.subject,
        certificate.issuer,
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.public_key(),
        tuple(certificate.extensions),
    )


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
        field = _extension(extension.value)
        if field is not None:
            found.append(Field(field.code, field.values, field.mono, extension.critical))
        else:
            oid = extension.oid.dotted_string
            found.append(Field("other", (oid,), mono=True, critical=extension.critical))
    return found


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _general(value: x509.GeneralName) -> str:
    if isinstance(value, x509.DNSName):
        shown = Name("dns", value.value).shown()
        return value.value if shown == value.value else f"{value.value} ({shown})"
    return str(value.value)


def _extension(value: x509.ExtensionType) -> Field | None:
    if isinstance(value, x509.SubjectAlternativeName):
        return Field("names", tuple(_general(each) for each in value))
    if isinstance(value, x509.KeyUsage):
        used = [label for attribute, label in _USAGES.items() if getattr(value, attribute)]
        return Field("key_usage", (", ".join(used),))
    if isinstance(value, x509.ExtendedKeyUsage):
        purposes = [_PURPOSES.get(each, each.dotted_string) for each in value]
        return Field("extended_key_usage", (", ".join(purposes),))
    if isinstance(value, x509.BasicConstraints):
        length = f", pathlen:{value.path_length}" if value.path_length is not None else ""
        return Field("basic_constraints", (f"CA:{str(value.ca).upper()}{length}",))
    if isinstance(value, x509.NameConstraints):
        return Field("name_constraints", tuple(_constraints(value)))
    if isinstance(value, x509.SubjectKeyIdentifier):
        return Field("subject_key_identifier", (hexed(value.digest),), mono=True)
    if isinstance(value, x509.AuthorityKeyIdentifier):
        identifier = hexed(value.key_identifier or b"")
        return Field("authority_key_identifier", (identifier,), mono=True)
    if isinstance(value, x509.CRLDistributionPoints):
        places = [str(each.value) for point in value for each in point.full_name or ()]
        return Field("crl", tuple(places), mono=True)
    if isinstance(value, x509.AuthorityInformationAccess):
        places = [str(each.access_location.value) for each in value]
        return Field("issuer_address", tuple(places), mono=True)
    return None


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
    "issuer_address": "Authority Information Access",
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
