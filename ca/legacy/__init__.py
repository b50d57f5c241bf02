"""An authority made by hand with the openssl command: read its files, or say why not.

    form = key_form(key_bytes)                     # PEM or DER; encrypted or not
    private = read_key(key_bytes, "passphrase")    # each failure with a code of its own
    root = read_root(certificate_bytes, at=now)    # a root that may be taken over, with its notes
    floor = read_serial(serial_file)               # "3940…B2DA"
    found = examine(files, root)                   # one `Found` for each certificate in the files

A root signed with SHA-1 is taken over, to be signed anew; one signed with MD5, or with a key below
2048 bits, is not: whoever wants can forge it. Signatures are checked by hand, since strict parsers
refuse to look at SHA-1. Sources: RFC 1421 section 4.6 (traditional PEM keys), RFC 5958 (PKCS#8),
RFC 5280 sections 4.1 and 4.2.1.9, openssl-ca(1) (`serial`, `index.txt`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca import keys
from ca.legacy import rawnames
from ca.legacy.files import (
    INTEGER,
    SEQUENCE,
    BadImport,
    Found,
    extension_of,
    first_inside,
    hash_of,
    is_certificate,
    is_signed_by,
    key_block,
    one_certificate,
    pieces,
)
from ca.legacy.index import Entry, looks_like_index, read_index

MOST_CERTIFICATES = 20_000
# The column of a serial number, and what RFC 5280 4.1.2.2 allows: 20 octets.
MOST_SERIAL_BITS = 159
BROKEN_HASHES = (hashes.MD5,)

_SERIAL = re.compile(rb"\s*([0-9A-Fa-f]{1,40})\s*\Z")


@dataclass(frozen=True)
class KeyForm:
    pem: bool
    encrypted: bool


def key_form(source: bytes) -> KeyForm:
    """What kind of key file it is, told without its passphrase."""
    block = key_block(source)
    if block is not None:
        encrypted = b"ENCRYPTED PRIVATE KEY" in block or b"Proc-Type: 4,ENCRYPTED" in block
        return KeyForm(pem=True, encrypted=encrypted)
    # PKCS#8 and traditional keys begin with a version number, an encrypted one with its algorithm
    inner = first_inside(source)
    if inner not in (INTEGER, SEQUENCE) or is_certificate(source):
        code = "import_key_is_certificate" if is_certificate(source) else "import_key_unreadable"
        raise BadImport(code, part="key")
    return KeyForm(pem=False, encrypted=inner == SEQUENCE)


def check_passphrase(form: KeyForm, passphrase: str) -> None:
    """A passphrase for a key that has one, and none for a key that has none."""
    if form.encrypted and not passphrase:
        raise BadImport("import_passphrase_missing", part="passphrase")
    if passphrase and not form.encrypted:
        raise BadImport("import_passphrase_superfluous", part="passphrase")


def read_key(source: bytes, passphrase: str) -> CertificateIssuerPrivateKeyTypes:
    """The private key. An RSA key's primes are checked here, once (36 to 253 ms)."""
    form = key_form(source)
    check_passphrase(form, passphrase)
    password = passphrase.encode() if passphrase else None
    try:
        if form.pem:
            private = load_pem_private_key(key_block(source) or b"", password)
        else:
            private = load_der_private_key(source, password)
    except UnsupportedAlgorithm as error:
        raise BadImport("import_key_cipher", part="key") from error
    except (ValueError, TypeError) as error:
        code = "import_passphrase_wrong" if form.encrypted else "import_key_unreadable"
        raise BadImport(code, part="passphrase" if form.encrypted else "key") from error
    _check_strength(private.public_key(), part="key")
    return private  # type: ignore[return-value]


def read_serial(source: bytes) -> str:
    """The serial file's number in lower-case hexadecimal, without leading zeros."""
    found = _SERIAL.match(source)
    if found is None:
        raise BadImport("import_serial_unreadable", part="serial")
    return f"{int(found.group(1), 16):x}"


@dataclass(frozen=True)
class Root:
    """A root that may be taken over. `notes` are codes of what its owner should know."""

    certificate: x509.Certificate
    public_key: CertificatePublicKeyTypes
    subject: bytes
    notes: tuple[str, ...]

    @property
    def shown(self) -> str:
        return rawnames.text(self.certificate.subject)

    @property
    def needs_crossing(self) -> bool:
        """Strict clients refuse it as it is: it is to be signed anew."""
        return bool(set(self.notes) & CROSSING)


# Notes of a root that a strict client refuses.
CROSSING = frozenset(
    {"root_ended", "root_sha1", "root_constraints", "root_usage", "root_no_identifier"}
)


def read_root(source: bytes, *, at: datetime) -> Root:
    """The one certificate in `source`, when it is a root that can be taken over."""
    certificate = one_certificate(source)

    def refused(code: str, **detail: str) -> BadImport:
        return BadImport(code, part="certificate", **detail)

    if not rawnames.is_parsed(certificate):
        shown = rawnames.readable(certificate).rfc4514_string()
        raise refused("import_root_name", name=shown)
    subject = rawnames.subject_der(certificate)
    if rawnames.issuer_der(certificate) != subject:
        issuer = rawnames.readable_issuer(certificate).rfc4514_string()
        raise refused("import_root_not_root", issuer=issuer)
    try:
        public_key = _check_strength(certificate.public_key(), part="certificate")
    except BadImport:
        raise
    except (ValueError, UnsupportedAlgorithm) as error:
        raise refused("import_certificate_unreadable") from error
    algorithm = hash_of(certificate)
    if isinstance(algorithm, BROKEN_HASHES) or algorithm is NotImplemented:
        found = "MD5" if isinstance(algorithm, BROKEN_HASHES) else "?"
        raise refused("import_root_hash", found=found)
    if not is_signed_by(certificate, public_key):
        raise refused("import_root_signature")
    notes = ["root_ended"] if certificate.not_valid_after_utc <= at else []
    notes += _root_notes(certificate, algorithm)
    return Root(certificate, public_key, subject, tuple(notes))


def _root_notes(certificate: x509.Certificate, algorithm: Any) -> Iterator[str]:
    try:
        extensions = certificate.extensions
    except ValueError as error:
        raise BadImport("import_certificate_unreadable", part="certificate") from error
    constraints = extension_of(extensions, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca:
        raise BadImport("import_root_no_authority", part="certificate")
    usage = extension_of(extensions, x509.KeyUsage)
    if usage is not None and not usage.value.key_cert_sign:
        raise BadImport("import_root_no_authority", part="certificate")
    if isinstance(algorithm, hashes.SHA1):
        yield "root_sha1"
    if not constraints.critical:
        yield "root_constraints"
    if usage is None or not usage.value.crl_sign:
        yield "root_usage"
    if extension_of(extensions, x509.SubjectKeyIdentifier) is None:
        yield "root_no_identifier"
    if constraints.value.path_length == 0:
        yield "root_path_length"
    if certificate.serial_number <= 0:
        yield "root_serial_zero"


def examine(files: Sequence[tuple[str, bytes]], root: Root) -> list[Found]:
    """Every certificate in the files with its verdict, in order; an `index.txt` among them says
    which were revoked. Nothing in a file makes the others fail."""
    entries: dict[int, Entry] = {}
    for _name, content in files:
        if looks_like_index(content):
            entries |= read_index(content)
    found: list[Found] = []
    serials = {root.certificate.serial_number: ""}
    prints = {root.certificate.fingerprint(hashes.SHA256())}
    for name, content in files:
        if looks_like_index(content):
            continue
        for piece in pieces(name, content):
            if piece.certificate is not None:
                piece = _judge(piece, piece.certificate, root, entries, serials, prints)
            found.append(piece)
            if len(found) > MOST_CERTIFICATES:
                raise BadImport("import_too_many", part="issued", most=str(MOST_CERTIFICATES))
    missing = [each for serial, each in entries.items() if each.revoked and serial not in serials]
    for entry in missing:
        lost = Found("index.txt", serial=f"{entry.serial:x}", subject=entry.subject[:400])
        found.append(lost.left("left_missing"))
    return found


def _judge(
    piece: Found,
    certificate: x509.Certificate,
    root: Root,
    entries: dict[int, Entry],
    serials: dict[int, str],
    prints: set[bytes],
) -> Found:
    serial = certificate.serial_number
    fingerprint = certificate.fingerprint(hashes.SHA256())
    piece = replace(
        piece, serial=f"{serial:x}"[:80], subject=rawnames.text(rawnames.readable(certificate))
    )
    if fingerprint in prints:
        is_root = certificate == root.certificate
        return piece.left("left_is_root" if is_root else "left_twice")
    if rawnames.issuer_der(certificate) != root.subject:
        issuer = rawnames.readable_issuer(certificate).rfc4514_string()
        return piece.left("left_other_issuer", issuer=issuer[:200])
    if hash_of(certificate) is NotImplemented:
        return piece.left("left_hash")
    if not is_signed_by(certificate, root.public_key):
        return piece.left("left_signature")
    if serial <= 0:
        # A revocation list cannot name it (RFC 5280 4.1.2.2: a serial number is positive).
        return piece.left("left_serial_zero")
    if serial.bit_length() > MOST_SERIAL_BITS:
        return piece.left("left_serial_long")
    if serial in serials:
        return piece.left("left_serial_seen", other=serials[serial] or "root")
    try:
        public_key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return piece.left("left_key")
    serials[serial] = piece.source
    prints.add(fingerprint)
    notes = tuple(_notes(certificate, public_key))
    entry = entries.get(serial)
    piece = replace(piece, entry=entry if entry and entry.revoked else None)
    if not notes:
        return piece
    return replace(piece, verdict="noted", code=notes[0], also=notes[1:])


def _notes(certificate: x509.Certificate, public_key: Any) -> Iterator[str]:
    if certificate.version is x509.Version.v1:
        yield "note_version_1"
    if not rawnames.is_parsed(certificate):
        yield "note_name"
    if isinstance(hash_of(certificate), BROKEN_HASHES):
        yield "note_md5"
    try:
        keys.check(public_key)
    except keys.BadKey:
        yield "note_key"
    try:
        identifier = extension_of(certificate.extensions, x509.AuthorityKeyIdentifier)
        if identifier is not None and identifier.value.authority_cert_serial_number is not None:
            yield "note_issuer_serial"
    except ValueError:
        yield "note_extensions"


def profile_of(certificate: x509.Certificate) -> str:
    """The id of the profile that comes nearest, by what it may be used for."""
    try:
        extensions = certificate.extensions
    except ValueError:
        return "host"
    constraints = extension_of(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        return "subordinate"
    usage = extension_of(extensions, x509.ExtendedKeyUsage)
    purposes = set(usage.value) if usage is not None else set()
    if not purposes or ExtendedKeyUsageOID.SERVER_AUTH in purposes:
        return "host"
    for purpose, profile in (
        (ExtendedKeyUsageOID.OCSP_SIGNING, "ocsp"),
        (ExtendedKeyUsageOID.EMAIL_PROTECTION, "person"),
        (ExtendedKeyUsageOID.CLIENT_AUTH, "client"),
    ):
        if purpose in purposes:
            return profile
    return "host"


def alternative_names(certificate: x509.Certificate) -> list[str]:
    """Names it speaks for, as text; those that cannot be read or printed are left out."""
    try:
        found = extension_of(certificate.extensions, x509.SubjectAlternativeName)
    except ValueError:
        return []
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    listed = [str(each.value) for each in found.value if isinstance(each, kinds)] if found else []
    return [each for each in listed if each.isprintable()]


def _check_strength(public_key: Any, *, part: str) -> CertificatePublicKeyTypes:
    try:
        return keys.check(public_key)
    except keys.BadKey as error:
        raise BadImport(f"import_{error.code}", part=part, found=error.found) from error
