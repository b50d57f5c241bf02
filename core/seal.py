"""Secrets at rest: key rings, and which process holds which.

A ring is a file `keys/<ring>.key` of the data folder (or of `$CREDENTIALS_DIRECTORY`), one line
`<id>:<base64 of 32 bytes>` a key, the newest first; older lines stay so that old secrets open. A
sealed secret is an envelope: a data key of its own, wrapped by the ring's key, and the text under
it, both AES-256-GCM with the caller's `context` (what the secret is, and whose) as associated data:

    byte 0      1, the version
    bytes 1-4   the id of the ring's key
    bytes 5-16  nonce, 17-64 the wrapped data key
    bytes 65-76 nonce, 77-   the secret

What the web process has for the signer alone (a passphrase) goes through HPKE (RFC 9180, X25519,
HKDF-SHA256, AES-256-GCM) to the signer's public key, and what it has for the worker `work` (a file
with passwords) to a public key made from the ring `secrets`.

Beside the rings, `keys/pkcs11.pin` may hold the PIN of a token with authorities' keys: the signer's
alone, and there because the operator put it there.

Each process loads the rings of its role before it gives up root; the files then belong to root
alone and the process cannot read another's. Under one user the boundary is in code only.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

AUTHORITY = "authority"  # wraps the issuing authorities' private keys
AUDIT = "audit"  # makes the audit log's chain of MACs
SIGNER = "signer"  # the signer's X25519 key, to which passphrases are sealed
RESPONDER = "responder"  # wraps the short-lived keys that answer OCSP
SSH = "ssh"  # wraps the private SSH keys of hosts
SECRETS = "secrets"  # wraps mail and webhook secrets
RINGS = (AUTHORITY, AUDIT, SIGNER, RESPONDER, SSH, SECRETS)

ROLES: dict[str, frozenset[str]] = {
    "web": frozenset({RESPONDER}),
    "beat": frozenset(),
    "sign": frozenset({AUTHORITY, AUDIT, SIGNER, RESPONDER}),
    "now": frozenset({SSH}),
    "work": frozenset({SSH, SECRETS}),
    "all": frozenset(RINGS),
}

_VERSION = 1
_NONCE = 12
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

_held: dict[str, list[tuple[bytes, bytes]]] = {}
_signer_public: bytes | None = None
_worker_public: bytes | None = None
_token_pin = ""


class KeyNotHeld(Exception):
    """This process does not hold the ring: the work belongs to another worker."""


class SealBroken(Exception):
    """The blob was not sealed by this ring, for this context, or it was changed."""


def ensure_keys(data: Path) -> None:
    """Make the rings that do not exist yet, 0600 in a folder of 0700."""
    folder = data / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for ring in RINGS:
        path = folder / f"{ring}.key"
        if not path.exists():
            _write_once(path, _line(secrets.token_bytes(32)))
    public = folder / "signer.pub"
    if not public.exists():
        newest = _parse((folder / f"{SIGNER}.key").read_text())[0][1]
        key = X25519PrivateKey.from_private_bytes(newest).public_key()
        _write_once(public, base64.b64encode(key.public_bytes_raw()).decode() + "\n")
    public = folder / "worker.pub"
    if not public.exists():
        newest = _parse((folder / f"{SECRETS}.key").read_text())[0][1]
        key = _worker_private(newest).public_key()
        _write_once(public, base64.b64encode(key.public_bytes_raw()).decode() + "\n")


def load(role: str, data: Path) -> None:
    """Read the rings of `role` into this process, and forget any other."""
    _load(ROLES[role], data, all_of_them=True)


def load_readable(data: Path) -> None:
    """Read the rings that this user may read: for commands, which say what they lack."""
    _load(frozenset(RINGS), data, all_of_them=False)


def _load(rings: Iterable[str], data: Path, *, all_of_them: bool) -> None:
    global _signer_public, _worker_public, _token_pin
    folder = Path(os.environ.get("CREDENTIALS_DIRECTORY") or data / "keys")
    passed_over = () if all_of_them else (PermissionError, FileNotFoundError)
    _held.clear()
    _signer_public, _worker_public, _token_pin = None, None, ""
    for ring in rings:
        with contextlib.suppress(*passed_over):
            _held[ring] = _parse((folder / f"{ring}.key").read_text())
    with contextlib.suppress(*passed_over):
        _signer_public = base64.b64decode((folder / "signer.pub").read_text())
    with contextlib.suppress(*passed_over, FileNotFoundError):
        _worker_public = base64.b64decode((folder / "worker.pub").read_text())
    if AUTHORITY in _held:
        # A file that cannot be read is no reason for the signer not to start: only the token's
        # keys need it, and their refusals name it.
        with contextlib.suppress(OSError):
            _token_pin = (folder / "pkcs11.pin").read_text(errors="replace").strip()


def held() -> Iterable[str]:
    return sorted(_held)


def token_pin() -> str:
    """The PIN of the token with authorities' keys, "" where there is none."""
    _keys(AUTHORITY)
    return _token_pin


def signing_key(data: Path) -> str:
    """Django's SECRET_KEY, made at the first start."""
    path = data / "keys" / "web.key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_once(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def seal(ring: str, plaintext: bytes, *, context: str) -> bytes:
    identity, key = _keys(ring)[0]
    data_key = AESGCM.generate_key(256)
    aad = context.encode()
    wrap_nonce, nonce = os.urandom(_NONCE), os.urandom(_NONCE)
    wrapped = AESGCM(key).encrypt(wrap_nonce, data_key, aad)
    sealed = AESGCM(data_key).encrypt(nonce, plaintext, aad)
    return bytes([_VERSION]) + identity + wrap_nonce + wrapped + nonce + sealed


def unseal(ring: str, blob: bytes, *, context: str) -> bytes:
    keys = dict(_keys(ring))
    blob = bytes(blob)
    identity = blob[1:5]
    if blob[:1] != bytes([_VERSION]) or identity not in keys:
        raise SealBroken(f"not sealed by a key of the ring {ring!r}")
    aad = context.encode()
    try:
        data_key = AESGCM(keys[identity]).decrypt(blob[5:17], blob[17:65], aad)
        return AESGCM(data_key).decrypt(blob[65:77], blob[77:], aad)
    except (InvalidTag, ValueError) as error:
        raise SealBroken(f"does not open as {context!r}") from error


def mac(ring: str, message: bytes) -> bytes:
    """HMAC-SHA256 by the ring's oldest key, which stays: a chain must verify for ever."""
    return hmac.digest(_keys(ring)[-1][1], message, hashlib.sha256)


def seal_for_signer(plaintext: bytes, *, context: str) -> bytes:
    """Encrypt so that only the process that holds the signer's key can read it."""
    if _signer_public is None:
        raise KeyNotHeld("the signer's public key is not loaded")
    public = X25519PublicKey.from_public_bytes(_signer_public)
    return _SUITE.encrypt(plaintext, public, context.encode())


def open_as_signer(blob: bytes, *, context: str) -> bytes:
    for _identity, raw in _keys(SIGNER):
        try:
            private = X25519PrivateKey.from_private_bytes(raw)
            return _SUITE.decrypt(bytes(blob), private, context.encode())
        except (InvalidTag, ValueError):
            continue
    raise SealBroken(f"does not open as {context!r}")


def seal_for_worker(plaintext: bytes, *, context: str) -> bytes:
    """Encrypt so that only a process that holds the ring `secrets` can read it."""
    if _worker_public is None:
        raise KeyNotHeld("the worker's public key is not loaded")
    public = X25519PublicKey.from_public_bytes(_worker_public)
    return _SUITE.encrypt(plaintext, public, context.encode())


def open_as_worker(blob: bytes, *, context: str) -> bytes:
    for _identity, raw in _keys(SECRETS):
        try:
            return _SUITE.decrypt(bytes(blob), _worker_private(raw), context.encode())
        except (InvalidTag, ValueError):
            continue
    raise SealBroken(f"does not open as {context!r}")


def _worker_private(ring_key: bytes) -> X25519PrivateKey:
    """A key of its own for each use: the ring's wraps, this one receives."""
    raw = hmac.digest(ring_key, b"mailadmin worker x25519", hashlib.sha256)
    return X25519PrivateKey.from_private_bytes(raw)


def _keys(ring: str) -> list[tuple[bytes, bytes]]:
    try:
        return _held[ring]
    except KeyError:
        raise KeyNotHeld(f"this process does not hold the ring {ring!r}") from None


def _line(key: bytes) -> str:
    return f"{hashlib.sha256(key).hexdigest()[:8]}:{base64.b64encode(key).decode()}\n"


def _parse(text: str) -> list[tuple[bytes, bytes]]:
    keys = []
    for line in text.split():
        identity, _, key = line.partition(":")
        keys.append((bytes.fromhex(identity), base64.b64decode(key)))
    return keys


def _write_once(path: Path, text: str) -> None:
    """Create the file with its content in one step; the first of two writers wins."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
