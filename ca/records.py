"""Rows of what was signed."""

from __future__ import annotations

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
    listed: list[str] = []
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = [str(general.value) for general in san]
    except x509.ExtensionNotFound:
        pass
    subject = certificate.subject.rfc4514_string()
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    serial = f"{certificate.serial_number:x}"
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    shown = [names.Name("dns", text).shown() for text in listed if "xn--" in text]
    return Certificate.objects.create(
        issuer=issuer,
        profile=profile,
        serial=serial,
        subject=subject[:400],
        names=listed,
        key_id=keys.key_id(certificate.public_key()),
        key_label=keys.label(certificate.public_key()),
        fingerprint_sha256=fingerprint,
        fingerprint_sha1=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303
        renews=renews,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=at,
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        search=search_text([*listed, *shown, *(str(each.value) for each in common), subject]),
    )
