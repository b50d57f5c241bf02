"""A private key and its certificate in one file under a passphrase.

    pack("p12", key=key, leaf=leaf, chain=[issuing], root=root, name="Anna", passphrase=b"…")
    FORMS["pkcs8"]                          Form(ending="pem", kind="application/x-pem-file")
    problems("correct horse")               [] or codes of the broken rules, see `ca.wording`

"p12" is RFC 7292 with AES-256 (PBES2, RFC 8018) and a SHA-256 MAC; "p12-compatible" is 3DES with a
SHA-1 MAC, for macOS before 15, older phones and appliances, which say "wrong password" to the
first. "pkcs8" is PEM: the encrypted key (RFC 5958), the certificate and what signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)

from ca import passphrases

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Form(NamedTuple):
    ending: str
    kind: str


P12, P12_COMPATIBLE, PKCS8 = "p12", "p12-compatible", "pkcs8"
FORMS: Mapping[str, Form] = {
    P12: Form("p12", "application/x-pkcs12"),
    P12_COMPATIBLE: Form("compatible.p12", "application/x-pkcs12"),
    PKCS8: Form("pem", "application/x-pem-file"),
}


def problems(passphrase: str, *, known: Iterable[str] = ()) -> list[str]:
    """The rules of `passphrases`, and that every program reads the characters alike.

    PKCS#12 has the passphrase in UTF-16 in one place and as bytes in another; beyond ASCII phones,
    Windows and OpenSSL do not agree on either.
    """
    found = passphrases.problems(passphrase, known=known)
    if not (passphrase.isascii() and passphrase.isprintable()):
        found.append("passphrase_characters")
    return found


def pack(
    form: str,
    *,
    key: PrivateKey,
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    root: x509.Certificate | None,
    name: str,
    passphrase: bytes,
) -> bytes:
    """The bytes of `form`, one of `FORMS`. `chain` is what stands between the leaf and the root;
    `name` is what a program shows for it."""
    if form == PKCS8:
        encrypted = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
        )
        return encrypted + b"".join(each.public_bytes(Encoding.PEM) for each in (leaf, *chain))
    above = [*chain, *([root] if root is not None else [])]
    return pkcs12.serialize_key_and_certificates(
        name.encode(), key, leaf, above, encryption(passphrase, compatible=form != P12)
    )


def encryption(passphrase: bytes, *, compatible: bool) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder()
    if compatible:
        return (
            builder.kdf_rounds(2048)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())  # noqa: S303 - what those readers know
            .build(passphrase)
        )
    return (
        builder.kdf_rounds(100_000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase)
    )
