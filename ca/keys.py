"""Public keys: which ones are accepted, what they are called, and their id.

    check(public_key)            raises BadKey("key_rsa_small", …)
    check_leaf(public_key)       as well BadKey("key_kind", "Ed25519")
    label(public_key)            "RSA 2048", "P-256"
    key_id(public_key)           64 hex digits: SHA-256 of the SubjectPublicKeyInfo in DER

Authorities may have Ed25519 keys; nobody else may: Thunderbird and Outlook neither show a server's
certificate with such a key nor sign with one, and it cannot decrypt mail (RFC 8410 section 5).

Sources: RFC 8017 section 3.1 (RSA), RFC 5480 section 2.1.1 (named curves), RFC 8410 (Ed25519), CA/B
BR 6.1.5 and 6.1.6 (sizes, public exponent).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import overload

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SMALLEST_RSA = 2048
LARGEST_RSA = 8192
SMALLEST_EXPONENT = 65537
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384"}


class BadKey(ValueError):
    """`code` says what is wrong; `found` is the key as it would be called."""

    def __init__(self, code: str, found: str) -> None:
        super().__init__(f"{code}: {found}")
        self.code = code
        self.found = found


def label(public_key: PublicKeyTypes) -> str:
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA {public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return CURVES.get(public_key.curve.name, public_key.curve.name)
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return type(public_key).__name__.strip("_").removesuffix("PublicKey")


def key_id(public_key: PublicKeyTypes) -> str:
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def check(public_key: PublicKeyTypes) -> CertificatePublicKeyTypes:
    """The key again, when an authority may have it: strong, and of a kind clients can verify."""
    if isinstance(public_key, rsa.RSAPublicKey):
        if public_key.key_size < SMALLEST_RSA:
            raise BadKey("key_rsa_small", label(public_key))
        if public_key.key_size > LARGEST_RSA:
            raise BadKey("key_rsa_large", label(public_key))
        exponent = public_key.public_numbers().e
        if exponent < SMALLEST_EXPONENT or exponent % 2 == 0:
            raise BadKey("key_rsa_exponent", str(exponent))
        return public_key
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        if public_key.curve.name not in CURVES:
            raise BadKey("key_curve", label(public_key))
        return public_key
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return public_key
    raise BadKey("key_kind", label(public_key))


def check_leaf(public_key: PublicKeyTypes) -> CertificatePublicKeyTypes:
    """The key again, when every current client takes a host's or a person's certificate with it."""
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        raise BadKey("key_kind", label(public_key))
    return check(public_key)


@overload
def signing_hash(
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
) -> hashes.SHA256 | hashes.SHA384: ...


@overload
def signing_hash(public_key: PublicKeyTypes) -> hashes.SHA256 | hashes.SHA384 | None: ...


def signing_hash(public_key: PublicKeyTypes) -> hashes.SHA256 | hashes.SHA384 | None:
    """The hash an authority signs with: as strong as its key. None: Ed25519 has its own."""
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return None
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


# The kinds of key an authority may have, by the id that forms and the API use.
ALGORITHMS: Mapping[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa2048": lambda: rsa.generate_private_key(SMALLEST_EXPONENT, 2048),
    "rsa3072": lambda: rsa.generate_private_key(SMALLEST_EXPONENT, 3072),
    "rsa4096": lambda: rsa.generate_private_key(SMALLEST_EXPONENT, 4096),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
ALGORITHM_LABELS: Mapping[str, str] = {
    "p256": "P-256",
    "p384": "P-384",
    "rsa2048": "RSA 2048",
    "rsa3072": "RSA 3072",
    "rsa4096": "RSA 4096",
    "ed25519": "Ed25519",
}
# What a person's, a host's or a responder's key may be.
LEAF_ALGORITHMS = ("p256", "p384", "rsa2048", "rsa3072", "rsa4096")
