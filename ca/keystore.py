"""The only module that touches an authority's private key.

    key = generate("p256")
    blob = seal_with_passphrase(key, passphrase, identity="root …")    # a root, at rest
    key = open_with_passphrase(blob, passphrase, identity="root …")    # or WrongPassphrase
    made = generate_at_hand("p256", label="…", on_token=False)         # an issuing authority
    made.key, made.sealed, made.token                                  # under the ring, or a token
    key = load(made.sealed, key_id=…, token=made.token)                # cached, once a process
    certificate = key.issue(linted)

Keys never leave as bytes unless sealed, those on a token (`ca.tokens`) not even so, and a
`SigningKey` shows nothing of itself. A key is checked when it is made; loading an RSA key checks
its primes (36 to 253 ms), which is why a loaded one stays in the signer.

The passphrase's seal (all integers big-endian):

    bytes 0-3   b"MLR1"
    byte 4      Argon2id passes; byte 5 lanes; bytes 6-9 memory in KiB
    bytes 10-25 salt; bytes 26-37 nonce; 38- AES-256-GCM of the PKCS#8 DER

Bytes 0 to 37 and the identity are authenticated, so that neither the costs nor the owner can be
exchanged. Sources: RFC 9106 (Argon2id), NIST SP 800-38D (GCM), RFC 5958 (PKCS#8).
"""

from __future__ import annotations

import hmac
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from ca import keys, tokens
from ca.crl import ListToBeSigned
from ca.lints import Linted
from ca.passphrases import normal
from ca.tokens import KeyUnusable
from core import seal

__all__ = [
    "RING",
    "AtHand",
    "KeyUnusable",
    "SigningKey",
    "WrongPassphrase",
    "forget",
    "generate",
    "generate_at_hand",
    "load",
    "open_with_passphrase",
    "seal_with_passphrase",
    "seal_with_ring",
]

RING = seal.AUTHORITY

_MAGIC = b"MLR1"
_HEADER = struct.Struct(">4sBBI16s12s")
# RFC 9106 section 4, with twice the memory of its second recommendation: about 0.4 s, and only
# when a root signs.
PASSES, LANES, MEMORY_KIB = 3, 4, 128 * 1024
# A blob from elsewhere must not make the signer allocate without end.
MOST_MEMORY_KIB, MOST_PASSES, MOST_LANES = 1024 * 1024, 16, 16


class WrongPassphrase(Exception):
    """The passphrase does not open the key (or the sealed key was changed)."""


class SigningKey:
    """A private key that signs what was linted. It cannot be printed, copied or pickled."""

    __slots__ = ("__private", "_hash", "public_key")

    def __init__(self, private: CertificateIssuerPrivateKeyTypes) -> None:
        self.__private = private
        self.public_key: CertificatePublicKeyTypes = private.public_key()
        self._hash = keys.signing_hash(self.public_key)

    @property
    def key_id(self) -> str:
        return keys.key_id(self.public_key)

    def issue(self, linted: Linted) -> x509.Certificate:
        """Sign a certificate that met every rule; each `Linted` is good once."""
        return linted.take().builder().sign(self.__private, self._hash)

    def issue_list(self, listed: ListToBeSigned) -> x509.CertificateRevocationList:
        return listed.builder().sign(self.__private, self._hash)

    def sign_request(
        self, builder: x509.CertificateSigningRequestBuilder
    ) -> x509.CertificateSigningRequest:
        """A request for this key's own certificate, for an authority elsewhere to sign."""
        return builder.sign(self.__private, self._hash)

    def _pkcs8(self) -> bytes:
        return self.__private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def __repr__(self) -> str:
        return f"<SigningKey {keys.label(self.public_key)} {self.key_id[:16]}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key does not leave its process")

    def __copy__(self) -> NoReturn:
        raise TypeError("a signing key is not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a signing key is not copied")


def generate(algorithm: str) -> SigningKey:
    """A new key; `algorithm` is one of `keys.ALGORITHMS`."""
    return SigningKey(keys.ALGORITHMS[algorithm]())


def _derive(passphrase: str, salt: bytes, *, passes: int, lanes: int, memory: int) -> bytes:
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    return kdf.derive(normal(passphrase).encode())


def _associated(header: bytes, identity: str) -> bytes:
    return header + identity.encode()


def seal_with_passphrase(key: SigningKey, passphrase: str, *, identity: str) -> bytes:
    """The key under a passphrase; `identity` says whose it is and must be given again."""
    salt, nonce = os.urandom(16), os.urandom(12)
    header = _HEADER.pack(_MAGIC, PASSES, LANES, MEMORY_KIB, salt, nonce)
    under = _derive(passphrase, salt, passes=PASSES, lanes=LANES, memory=MEMORY_KIB)
    return header + AESGCM(under).encrypt(nonce, key._pkcs8(), _associated(header, identity))


def open_with_passphrase(blob: bytes, passphrase: str, *, identity: str) -> SigningKey:
    blob = bytes(blob)
    if len(blob) <= _HEADER.size:
        raise KeyUnusable("the sealed key is cut off")
    header = blob[: _HEADER.size]
    magic, passes, lanes, memory, salt, nonce = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise KeyUnusable("this is not a key sealed under a passphrase")
    if not (
        0 < passes <= MOST_PASSES
        and 0 < lanes <= MOST_LANES
        and 8 * lanes <= memory <= MOST_MEMORY_KIB
    ):
        raise KeyUnusable("the sealed key's header was changed")
    under = _derive(passphrase, salt, passes=passes, lanes=lanes, memory=memory)
    try:
        der = AESGCM(under).decrypt(nonce, blob[_HEADER.size :], _associated(header, identity))
    except InvalidTag:
        raise WrongPassphrase from None
    return _from_pkcs8(der)


def _context(key_id: str) -> str:
    return f"authority {key_id}"


def seal_with_ring(key: SigningKey) -> bytes:
    """The key under the key-encryption key, which only the signer holds."""
    return seal.seal(RING, key._pkcs8(), context=_context(key.key_id))


@dataclass(frozen=True)
class AtHand:
    """A new key that the signer can use without asking: sealed under the ring, or on a token."""

    key: SigningKey
    sealed: bytes = b""
    token: Mapping[str, str] = field(default_factory=dict)

    def discard(self) -> None:
        """Its authority was not made after all: nothing stays on the token."""
        if self.token:
            tokens.destroy(self.token)


def generate_at_hand(algorithm: str, *, label: str, on_token: bool = False) -> AtHand:
    """A new issuing key; `label` is what the token's own tools will call it.

    Raises `KeyUnusable` when the token does not make it.
    """
    if on_token:
        private = tokens.generate(algorithm, label=label)
        return AtHand(SigningKey(private), token=private.where)
    key = generate(algorithm)
    return AtHand(key, sealed=seal_with_ring(key))


_loaded: dict[str, tuple[bytes, SigningKey]] = {}


def load(blob: bytes, *, key_id: str, token: Mapping[str, str] | None = None) -> SigningKey:
    """The issuing key `key_id`, opened the first time and kept: from `blob`, or on `token`.

    Raises `core.seal.KeyNotHeld` outside the signer, `KeyUnusable` when it is not that key, is not
    there, or the token does not answer.
    """
    blob = json.dumps(dict(token), sort_keys=True).encode() if token else bytes(blob)
    kept = _loaded.get(key_id)
    if kept is not None and hmac.compare_digest(kept[0], blob):
        return kept[1]
    key = SigningKey(tokens.find(token)) if token else _unsealed(blob, key_id)
    if key.key_id != key_id:
        raise KeyUnusable("the key is another authority's")
    _loaded[key_id] = (blob, key)
    return key


def _unsealed(blob: bytes, key_id: str) -> SigningKey:
    try:
        der = seal.unseal(RING, blob, context=_context(key_id))
    except seal.SealBroken as error:
        raise KeyUnusable(str(error)) from error
    return _from_pkcs8(der)


def forget() -> None:
    """Drop every loaded key (a test, or a worker that gives its keys up)."""
    _loaded.clear()
    tokens.forget()


def _from_pkcs8(der: bytes) -> SigningKey:
    private = load_der_private_key(der, password=None)
    try:
        keys.check(private.public_key())
    except keys.BadKey as error:
        raise KeyUnusable(str(error)) from error
    return SigningKey(private)  # type: ignore[arg-type]
