"""OCSP messages: what a client asks, and the answer that a responder signs.

    asked = parse(der)                               # or Malformed
    asked.certificates[0].serial_number, asked.nonce
    answer(asked, [GOOD], responder=responder, at=now, until=later)
    error(TRY_LATER)

One request may ask for several certificates, and the answer says of each what is known. Sources:
RFC 6960 section 4 (the messages), RFC 9654 (the nonce: 1 to 128 octets, given back as it came),
RFC 5019 section 2.2.4 (this_update, next_update).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import OCSPExtensionOID, SignatureAlgorithmOID

# A request for one certificate has about a hundred octets; more than this is nobody's.
MOST_OCTETS = 16 * 1024
MOST_CERTIFICATES = 100
LONGEST_NONCE = 128

# OCSPResponseStatus, RFC 6960 section 4.2.1
MALFORMED, INTERNAL_ERROR, TRY_LATER, UNAUTHORIZED = 1, 2, 3, 6

_V1 = 0
_BASIC = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.1")
# By which hash a client names the issuer (RFC 5019 wants SHA-1, its successor SHA-256).
_HASHES: Mapping[str, str] = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


class Malformed(ValueError):
    """Not a request of RFC 6960: answered with `MALFORMED`."""


# --- The messages, as RFC 6960 appendix B.1 has them -------------------------------------------


@asn1.sequence
class AlgorithmIdentifier:
    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class CertID:
    """A certificate, by its issuer's name and key and its serial number."""

    hash_algorithm: AlgorithmIdentifier
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@asn1.sequence
class Extension:
    extn_id: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    extn_value: bytes


@asn1.sequence
class SingleRequest:
    req_cert: CertID
    extensions: Annotated[list[Extension] | None, asn1.Explicit(0)]


# A requestor's name is not looked at; these are the kinds that somebody could have.
_GeneralName = (
    Annotated[asn1.Variant[asn1.IA5String, Literal["email"]], asn1.Implicit(1)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["dns"]], asn1.Implicit(2)]
    | Annotated[asn1.Variant[asn1.TLV, Literal["directory"]], asn1.Explicit(4)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["uri"]], asn1.Implicit(6)]
    | Annotated[asn1.Variant[bytes, Literal["ip"]], asn1.Implicit(7)]
)


@asn1.sequence
class _TBSRequest:
    version: Annotated[int, asn1.Explicit(0), asn1.Default(_V1)]
    requestor_name: Annotated[_GeneralName | None, asn1.Explicit(1)]
    request_list: list[SingleRequest]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(2)]


@asn1.sequence
class _Signature:
    algorithm: asn1.TLV
    signature: asn1.BitString
    certs: Annotated[list[asn1.TLV] | None, asn1.Explicit(0)]


@asn1.sequence
class _OCSPRequest:
    tbs_request: _TBSRequest
    # RFC 6960 section 4.1.2: a responder may leave it unread
    signature: Annotated[_Signature | None, asn1.Explicit(0)]


@asn1.sequence
class _PublicKeyInfo:
    algorithm: asn1.TLV
    subject_public_key: asn1.BitString


@asn1.sequence
class _Revoked:
    at: asn1.GeneralizedTime


@asn1.sequence
class _RevokedFor:
    at: asn1.GeneralizedTime
    reason: Annotated[asn1.TLV, asn1.Explicit(0)]


_CertStatus = (
    Annotated[asn1.Variant[asn1.Null, Literal["good"]], asn1.Implicit(0)]
    | Annotated[asn1.Variant[_Revoked, Literal["revoked"]], asn1.Implicit(1)]
    | Annotated[asn1.Variant[_RevokedFor, Literal["revoked for"]], asn1.Implicit(1)]
    | Annotated[asn1.Variant[asn1.Null, Literal["unknown"]], asn1.Implicit(2)]
)


@asn1.sequence
class _SingleResponse:
    cert_id: CertID
    cert_status: _CertStatus
    this_update: asn1.GeneralizedTime
    next_update: Annotated[asn1.GeneralizedTime | None, asn1.Explicit(0)]


@asn1.sequence
class _ResponseData:
    responder_id: Annotated[bytes, asn1.Explicit(2)]
    produced_at: asn1.GeneralizedTime
    responses: list[_SingleResponse]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


@asn1.sequence
class _BasicResponse:
    tbs: asn1.TLV
    algorithm: AlgorithmIdentifier
    signature: asn1.BitString
    certs: Annotated[list[x509.Certificate], asn1.Explicit(0)]


@asn1.sequence
class _ResponseBytes:
    kind: x509.ObjectIdentifier
    response: bytes


@asn1.sequence
class _OCSPResponse:
    status: asn1.TLV
    body: Annotated[_ResponseBytes, asn1.Explicit(0)]


def _enumerated(value: int) -> bytes:
    return bytes([0x0A, 1, value])


def error(status: int) -> bytes:
    """An answer without a signature: only what went wrong."""
    return bytes([0x30, 3]) + _enumerated(status)


# --- The request ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    certificates: tuple[CertID, ...]
    nonce: bytes | None


def parse(der: bytes) -> Request:
    """What is asked, or `Malformed`. Signatures and requestors' names are not looked at."""
    if not 0 < len(der) <= MOST_OCTETS:
        raise Malformed(f"{len(der)} octets")
    try:
        tbs = asn1.decode_der(_OCSPRequest, der).tbs_request
    except ValueError as refused:
        raise Malformed("not an OCSP request") from refused
    asked = tuple(each.req_cert for each in tbs.request_list)
    if tbs.version != _V1 or not 1 <= len(asked) <= MOST_CERTIFICATES:
        raise Malformed("not version 1, or none or too many certificates")
    for single in tbs.request_list:
        if any(extension.critical for extension in single.extensions or ()):
            raise Malformed("a critical extension that is not known")
    return Request(asked, _nonce(tbs.extensions or []))


def _nonce(extensions: Sequence[Extension]) -> bytes | None:
    nonce = None
    for extension in extensions:
        if extension.extn_id != OCSPExtensionOID.NONCE:
            if extension.critical and extension.extn_id != OCSPExtensionOID.ACCEPTABLE_RESPONSES:
                raise Malformed("a critical extension that is not known")
            continue
        try:
            value = asn1.decode_der(bytes, extension.extn_value)
        except ValueError as refused:
            raise Malformed("the nonce is no octet string") from refused
        # RFC 9654 section 2.1: with none or more than 128 octets a responder must refuse it
        if nonce is not None or not 1 <= len(value) <= LONGEST_NONCE:
            raise Malformed("two nonces, or one of a length that is not allowed")
        nonce = value
    return nonce


# --- The answer -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Status:
    """What is known of a certificate. `revoked_at` None: good, or unknown."""

    known: bool = True
    revoked_at: datetime | None = None
    reason: x509.ReasonFlags | None = None

    def _encoded(self) -> _CertStatus:
        if not self.known:
            return asn1.Variant(asn1.Null(), "unknown")
        if self.revoked_at is None:
            return asn1.Variant(asn1.Null(), "good")
        at = _time(self.revoked_at)
        if self.reason in (None, x509.ReasonFlags.unspecified):
            return asn1.Variant(_Revoked(at=at), "revoked")
        return asn1.Variant(_RevokedFor(at=at, reason=_REASONS[self.reason]), "revoked for")


GOOD = Status()
# RFC 6960 section 2.2 and CA/B BR 4.9.10: what was never issued is not good.
UNKNOWN = Status(known=False)

# CRLReason, RFC 5280 section 5.3.1
_REASON_NUMBERS = {
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}
_REASONS: Mapping[x509.ReasonFlags | None, asn1.TLV] = {
    reason: asn1.decode_der(asn1.TLV, _enumerated(number))
    for reason, number in _REASON_NUMBERS.items()
}
_SUCCESSFUL = asn1.decode_der(asn1.TLV, _enumerated(0))
_ECDSA_WITH_SHA256 = AlgorithmIdentifier(
    algorithm=SignatureAlgorithmOID.ECDSA_WITH_SHA256, parameters=None
)


@dataclass(frozen=True)
class Responder:
    """A P-256 key that answers for `issuer`, and the certificate that says it may."""

    issuer: x509.Certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @cached_property
    def key_hash(self) -> bytes:
        """ResponderID byKey: always SHA-1 (RFC 6960 section 4.2.1)."""
        return hashlib.sha1(_key_bits(self.certificate), usedforsecurity=False).digest()

    @cached_property
    def _issuer_hashes(self) -> dict[str, tuple[bytes, bytes]]:
        name, key = self.issuer.subject.public_bytes(), _key_bits(self.issuer)
        return {
            oid: (hashlib.new(kind, name).digest(), hashlib.new(kind, key).digest())
            for oid, kind in _HASHES.items()
        }

    def answers_for(self, asked: CertID) -> bool:
        hashed = self._issuer_hashes.get(asked.hash_algorithm.algorithm.dotted_string)
        return hashed == (asked.issuer_name_hash, asked.issuer_key_hash)


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The subjectPublicKey without tag, length and unused bits, as RFC 6960 4.1.1 hashes it."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return asn1.decode_der(_PublicKeyInfo, spki).subject_public_key.as_bytes()


def answer(
    asked: Request,
    statuses: Sequence[Status],
    *,
    responder: Responder,
    at: datetime,
    until: datetime,
) -> bytes:
    """The signed answer: a status for each certificate asked for, in their order.

    It is true at `at` and may be relied on `until`; a request's nonce is in it.
    """
    now = _time(at)
    extensions = None
    if asked.nonce is not None:
        value = asn1.encode_der(asked.nonce)
        extensions = [Extension(extn_id=OCSPExtensionOID.NONCE, critical=False, extn_value=value)]
    data = _ResponseData(
        responder_id=responder.key_hash,
        produced_at=now,
        responses=[
            _SingleResponse(
                cert_id=cert_id,
                cert_status=status._encoded(),
                this_update=now,
                next_update=_time(until),
            )
            for cert_id, status in zip(asked.certificates, statuses, strict=True)
        ],
        extensions=extensions,
    )
    tbs = asn1.encode_der(data)
    signature = responder.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    basic = _BasicResponse(
        tbs=asn1.decode_der(asn1.TLV, tbs),
        algorithm=_ECDSA_WITH_SHA256,
        signature=asn1.BitString(signature, 0),
        certs=[responder.certificate],
    )
    body = _ResponseBytes(kind=_BASIC, response=asn1.encode_der(basic))
    return asn1.encode_der(_OCSPResponse(status=_SUCCESSFUL, body=body))


def _time(at: datetime) -> asn1.GeneralizedTime:
    return asn1.GeneralizedTime(at.astimezone(UTC).replace(microsecond=0))
