"""Rows of what was signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca import keys, names
from ca.models import Certificate, Issuer, search_text


def store(
    *,
    issuer: Issuer,
    certificate: x509.Certificate,
    profile: str,
    at: datetime,
    renews: Certificate | None = None,
) -> Certificate:
    """Insert a certificate's row. The caller's transaction also moves what it belongs to."""
    found = row(issuer=issuer, certificate=certificate, profile=profile, at=at)
    found.renews = renews
    found.save(force_insert=True)
    return found


def row(
    *,
    issuer: Issuer,
    certificate: x509.Certificate,
    profile: str,
    at: datetime,
    listed: Sequence[str] | None = None,
    key_id: str = "",
    key_label: str = "",
) -> Certificate:
    """A certificate's row, not inserted yet. What the caller knows of it need not be read again:
    `listed` are its subject alternative names."""
    if listed is None:
        listed = _alternative_names(certificate)
    subject = certificate.subject
    return Certificate(
        issuer=issuer,
        profile=profile,
        serial=f"{certificate.serial_number:x}",
        subject=subject.rfc4514_string()[:400],
        names=list(listed),
        key_id=key_id or keys.key_id(certificate.public_key()),
        key_label=key_label or keys.label(certificate.public_key()),
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        fingerprint_sha1=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=at,
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        search=search_text([*listed, *_shown(listed), *_values(subject)]),
    )


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(general.value) for general in san]


def _shown(listed: Sequence[str]) -> list[str]:
    """International names as people read them."""
    return [names.Name("dns", text).shown() for text in listed if "xn--" in text]


def _values(subject: x509.Name) -> list[str]:
    """The subject's own texts, the common name first: "O=" is nothing to look for."""
    found = [*subject]
    found.sort(key=lambda attribute: attribute.oid != NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in found]
