"""Certificate signing requests: read one, or say why not.

    csr = parse(pem)             # str or bytes, PEM or DER
    csr.public_key, csr.key_id, csr.names, csr.common_name

A request proves by its own signature that its maker holds the key; it proposes names; its other
wishes (extensions, attributes) are ignored, since the profile decides, also which kinds of name it
carries. Sources: RFC 2986 (PKCS#10), RFC 7468 (PEM), RFC 5280 sections 4.1.2.6 (emailAddress in a
subject) and 4.2.1.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from ca import keys, names

# A request with an RSA 8192 key and 100 long names stays well below this.
MOST_BYTES = 64 * 1024

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_REQUESTS = {b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"}
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384)
# "Mail server of the sales office" is a fine common name; a broken host name is not.
_NOT_MEANT_AS_NAME = {"name_single_label", "name_label", "email_local", "email_domain"}


class BadRequest(ValueError):
    """`code` and `detail` say what is wrong; `ca.wording` has the sentences."""

    def __init__(self, code: str, **detail: str) -> None:
        super().__init__(f"{code} {detail or ''}".strip())
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Csr:
    """A request that was read, checked, and whose signature verifies. `names` may be empty."""

    pem: str
    public_key: CertificatePublicKeyTypes
    key_id: str
    key_label: str
    names: tuple[names.Name, ...]
    common_name: str


def parse(source: str | bytes, *, authority: bool = False) -> Csr:
    """Read a request in PEM (text around it is ignored) or DER, or raise `BadRequest`.

    `authority`: it is an authority's own, whose key may be Ed25519.
    """
    raw = source.encode("utf-8", "replace") if isinstance(source, str) else bytes(source)
    if len(raw) > MOST_BYTES:
        raise BadRequest("csr_too_big", most=f"{MOST_BYTES // 1024} KiB")
    if not raw.strip():
        raise BadRequest("csr_empty")
    request = _load(raw)
    public_key = _public_key(request, authority=authority)
    _check_signature(request, public_key)
    proposed, common_name = _names(request)
    return Csr(
        pem=request.public_bytes(Encoding.PEM).decode(),
        public_key=public_key,
        key_id=keys.key_id(public_key),
        key_label=keys.label(public_key),
        names=proposed,
        common_name=common_name,
    )


def _load(raw: bytes) -> x509.CertificateSigningRequest:
    blocks = list(_PEM.finditer(raw))
    kinds = [block.group(1) for block in blocks]
    # A private key in the wrong field is worth its own sentence: it should be made anew.
    if any(kind.endswith(b"PRIVATE KEY") for kind in kinds):
        raise BadRequest("csr_is_private_key")
    wanted = [block.group(0) for block in blocks if block.group(1) in _REQUESTS]
    if len(wanted) > 1:
        raise BadRequest("csr_several")
    if not wanted and b"CERTIFICATE" in kinds:
        raise BadRequest("csr_is_certificate")
    if not wanted and blocks:
        raise BadRequest("csr_not_request", found=names.visible(kinds[0].decode()))
    try:
        if wanted:
            request = x509.load_pem_x509_csr(wanted[0])
        elif b"-----BEGIN" in raw:
            raise BadRequest("csr_cut")
        else:
            request = x509.load_der_x509_csr(raw)
        request.subject  # noqa: B018 - decoded lazily: a broken name must show here
        return request
    except BadRequest:
        raise
    except Exception as error:  # pyca raises many kinds on hostile input
        if not wanted and _is_certificate(raw):
            raise BadRequest("csr_is_certificate") from error
        raise BadRequest("csr_unreadable") from error


def _is_certificate(raw: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(raw)
    except Exception:  # noqa: BLE001 - whatever it is, it is not one
        return False
    return True


def _public_key(
    request: x509.CertificateSigningRequest, *, authority: bool
) -> CertificatePublicKeyTypes:
    check = keys.check if authority else keys.check_leaf
    try:
        return check(request.public_key())
    except keys.BadKey as error:
        raise BadRequest(error.code, found=error.found) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadRequest("key_unreadable") from error


def _check_signature(
    request: x509.CertificateSigningRequest, public_key: CertificatePublicKeyTypes
) -> None:
    try:
        algorithm = request.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise BadRequest("csr_hash", found=request.signature_algorithm_oid.dotted_string) from error
    own_hash = algorithm is None and isinstance(public_key, ed25519.Ed25519PublicKey)
    if not own_hash and not isinstance(algorithm, _STRONG):
        raise BadRequest("csr_hash", found=algorithm.name.upper() if algorithm else "?")
    try:
        valid = _is_valid(request, public_key)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        valid = False
    if not valid:
        raise BadRequest("csr_signature")


_ECDSA = frozenset(
    {
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)


def _is_valid(
    request: x509.CertificateSigningRequest, public_key: CertificatePublicKeyTypes
) -> bool:
    """`is_signature_valid`, which decodes the key again: an eighth of the time for P-256."""
    algorithm = request.signature_hash_algorithm
    if (
        algorithm is None
        or request.signature_algorithm_oid not in _ECDSA
        or not isinstance(public_key, ec.EllipticCurvePublicKey)
    ):
        return request.is_signature_valid
    public_key.verify(request.signature, request.tbs_certrequest_bytes, ec.ECDSA(algorithm))
    return True


def _names(request: x509.CertificateSigningRequest) -> tuple[tuple[names.Name, ...], str]:
    """Proposed names in order, and the common name (a name only when it looks like one)."""
    texts: list[str] = []
    try:
        try:
            san = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            if len(list(san)) > names.MOST_NAMES:
                raise BadRequest("names_too_many", value=str(len(list(san))))
            for general in san:
                if isinstance(general, x509.DNSName | x509.RFC822Name):
                    texts.append(general.value)
                elif isinstance(general, x509.IPAddress):
                    texts.append(str(general.value))
                else:
                    raise BadRequest("csr_name_kind", found=type(general).__name__)
        except x509.ExtensionNotFound:
            pass
        common = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        common_name = str(common[0].value) if common else ""
        mailboxes = request.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    except BadRequest:
        raise
    except Exception as error:  # extensions are decoded lazily
        raise BadRequest("csr_unreadable") from error
    try:
        found = tuple(dict.fromkeys(names.parse(text) for text in texts))
        if not found and common_name:
            try:
                found = (names.parse(common_name),)
            except names.BadName as error:
                words = error.code == "name_control" and common_name.isprintable()
                if error.code not in _NOT_MEANT_AS_NAME and not words:
                    raise
        if not found and mailboxes:
            found = (names.parse(str(mailboxes[0].value)),)
    except names.BadName as error:
        raise BadRequest(error.code, value=error.value) from error
    return found, common_name
