"""The files of an authority made by hand: what is in them, and by whom it was signed.

    pieces("certs.pem", content)       one `Found` for each certificate in it, or why there is none
    one_certificate(content)           the only one, or `BadImport`
    key_block(content)                 the PEM of the only private key, None for a file in DER
    is_signed_by(certificate, key)     by hand, SHA-1 and MD5 included

Nothing of a private key is kept but where a key was asked for. Sources: RFC 7468 (PEM), X.690
(DER).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ca.legacy.index import Entry

MOST_KEY_BYTES = 64 * 1024
MOST_CERTIFICATE_BYTES = 256 * 1024
INTEGER, SEQUENCE = 0x02, 0x30

_MARK = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----")
_CERTIFICATES = {b"CERTIFICATE", b"X509 CERTIFICATE"}


class BadImport(ValueError):
    """`code` and `detail` say what is wrong; `part` is which file: key, certificate, serial …"""

    def __init__(self, code: str, *, part: str, **detail: str) -> None:
        super().__init__(f"{code} {detail or ''}".strip())
        self.code = code
        self.part = part
        self.detail = detail


@dataclass(frozen=True)
class Found:
    """One certificate of the upload, or what was taken for one.

    `verdict` is "taken", "noted" or "left"; `code` says why it was left out, or is its first note;
    `also` are further notes.
    """

    source: str
    verdict: str = "taken"
    code: str = ""
    detail: dict[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    certificate: x509.Certificate | None = None
    serial: str = ""
    subject: str = ""
    entry: Entry | None = None

    def left(self, code: str, **detail: str) -> Found:
        return replace(self, verdict="left", code=code, detail=detail, also=())


def pieces(name: str, content: bytes) -> Iterator[Found]:
    """The certificates in one file, each with where it stands; or why there is none."""
    blocks = list(_blocks(content))
    wanted = [whole for kind, whole in blocks if kind in _CERTIFICATES]
    for number, whole in enumerate(wanted, start=1):
        source = name if len(wanted) == 1 else f"{name} #{number}"
        yield _parsed(source[:200], whole)
    if wanted:
        return
    kinds = [kind for kind, _whole in blocks]
    piece = Found(name[:200])
    if any(kind.endswith(b"PRIVATE KEY") for kind in kinds):
        yield piece.left("left_is_key")
    elif any(kind.endswith(b"CERTIFICATE REQUEST") for kind in kinds):
        yield piece.left("left_is_request")
    elif blocks or not content.startswith(bytes([SEQUENCE])):
        yield piece.left("left_no_certificate")
    else:
        yield _parsed(piece.source, content)


def _blocks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and text of each PEM block, in one pass whatever the file is full of."""
    begin: re.Match[bytes] | None = None
    for mark in _MARK.finditer(content):
        if mark.group(1) == b"BEGIN":
            begin = mark
        elif begin is not None and begin.group(2) == mark.group(2):
            yield mark.group(2), content[begin.start() : mark.end()]
            begin = None


def _parsed(source: str, content: bytes) -> Found:
    try:
        return Found(source, certificate=_load(content))
    except ValueError:
        return Found(source).left("left_unreadable")


def _load(content: bytes) -> x509.Certificate:
    """Raises ValueError for all that pyca raises on hostile input."""
    try:
        if content.startswith(b"-----"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except Exception as error:
        raise ValueError("not a certificate") from error


def is_certificate(content: bytes) -> bool:
    try:
        _load(content)
    except ValueError:
        return False
    return True


def one_certificate(source: bytes) -> x509.Certificate:
    def refused(code: str) -> BadImport:
        return BadImport(code, part="certificate")

    if len(source) > MOST_CERTIFICATE_BYTES:
        raise refused("import_certificate_unreadable")
    found = list(pieces("", source)) if source.strip() else []
    if not found:
        raise refused("import_certificate_missing")
    if len(found) > 1:
        raise refused("import_certificate_several")
    if found[0].certificate is None:
        known = {"left_is_key": "import_certificate_is_key"}
        raise refused(known.get(found[0].code, "import_certificate_unreadable"))
    return found[0].certificate


def key_block(source: bytes) -> bytes | None:
    """The one private key of a PEM file, or None for a file that is not PEM."""
    if not source.strip():
        raise BadImport("import_key_missing", part="key")
    if len(source) > MOST_KEY_BYTES:
        raise BadImport("import_key_unreadable", part="key")
    blocks = list(_blocks(source))
    private = [whole for kind, whole in blocks if kind.endswith(b"PRIVATE KEY")]
    if len(private) > 1:
        raise BadImport("import_key_several", part="key")
    if private:
        return private[0]
    if any(kind in _CERTIFICATES for kind, _whole in blocks):
        raise BadImport("import_key_is_certificate", part="key")
    if b"-----BEGIN" in source:
        raise BadImport("import_key_unreadable", part="key")
    return None


def first_inside(der: bytes) -> int | None:
    """The tag of the first element inside a SEQUENCE."""
    if len(der) < 4 or der[0] != SEQUENCE:
        return None
    header = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[header] if header < len(der) else None


def hash_of(certificate: x509.Certificate) -> Any:
    """The hash it was signed over; None for none (Ed25519), NotImplemented for an unknown one."""
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return NotImplemented


def extension_of(extensions: x509.Extensions, kind: type[Any]) -> Any:
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def is_signed_by(certificate: x509.Certificate, public_key: CertificatePublicKeyTypes) -> bool:
    """By hand, for every hash there is: `verify_directly_issued_by` refuses SHA-1 and MD5."""
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    algorithm = hash_of(certificate)
    try:
        if isinstance(public_key, rsa.RSAPublicKey) and isinstance(algorithm, hashes.HashAlgorithm):
            given = certificate.signature_algorithm_parameters
            pad = given if isinstance(given, padding.PSS) else padding.PKCS1v15()
            public_key.verify(signature, signed, pad, algorithm)
        elif isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
            algorithm, hashes.HashAlgorithm
        ):
            public_key.verify(signature, signed, ec.ECDSA(algorithm))
        elif isinstance(public_key, ed25519.Ed25519PublicKey) and algorithm is None:
            public_key.verify(signature, signed)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
