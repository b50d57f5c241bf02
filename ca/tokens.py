"""Keys that live on a PKCS#11 token and never leave it: a smart card, an HSM, SoftHSM.

    token_key = generate("p256", label="Example Issuing")     # made on the token, kept there
    token_key.where                                # {"token": "mailadmin", "id": "6f0c…"}
    private = find({"token": "mailadmin", "id": "6f0c…"})     # signs as a key of pyca does

The key objects are pyca's own abstract classes, so that its builders of certificates, lists and
requests take them; `sign` hands the hash (EC) or the data (RSA) to the token. Set up by

    MAILADMIN_PKCS11_MODULE   the path of the token's library
    MAILADMIN_PKCS11_TOKEN    the token's label
    keys/pkcs11.pin           its PIN, which only the signer holds (`core.seal.token_pin`)

A process has one session, which stays open; it is opened anew after a fork and when the token lost
it (pulled out, its daemon restarted), once for each signature. A PIN that the token refused is not
tried again before the process starts anew: tokens lock themselves after a few wrong ones.

Sources: PKCS#11 v2.40, base specification 5 and current mechanisms 2.1.6, 2.3.1 (ECDSA: r and s
side by side), 2.3.6; RFC 3279 section 2.2.3 (the same in DER).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from core import seal

MODULE = "MAILADMIN_PKCS11_MODULE"
TOKEN = "MAILADMIN_PKCS11_TOKEN"  # noqa: S105 - the name of a setting
ID_BYTES = 16

Where = Mapping[str, str]
Answer = TypeVar("Answer")

_CURVES = {"p256": "secp256r1", "p384": "secp384r1"}
_SIZES = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096}
ALGORITHMS = (*_CURVES, *_SIZES)


class KeyUnusable(Exception):
    """An authority's key cannot be used. `code` has its sentence, with `detail` for its blanks."""

    def __init__(self, message: str, *, code: str = "key_unusable", **detail: str) -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class TokenUnusable(KeyUnusable):
    """The token does not do what it was asked; codes: `ca.wording.tokens`."""

    def __init__(self, code: str, **detail: str) -> None:
        super().__init__(code, code=code, **detail)


def label() -> str:
    """The label of the token that new keys are made on; "" while none is set up."""
    return os.environ.get(TOKEN, "") if os.environ.get(MODULE) else ""


# The session

_lock = threading.RLock()
_open: _Session | None = None
_refused_pin: tuple[str, bytes] | None = None


class _Session:
    """A session that is logged in, of the process that opened it."""

    def __init__(self, library: Any, session: Any, token: str) -> None:
        self.library, self.session, self.token = library, session, token
        self.pid = os.getpid()
        self.handles: dict[str, Any] = {}

    def private(self, where: Where) -> Any:
        """The handle of a private key, looked up once a session."""
        found = self.handles.get(where["id"])
        if found is None:
            found = self.handles[where["id"]] = self._one("PRIVATE_KEY", where)
        return found

    def public(self, where: Where) -> Any:
        return self._one("PUBLIC_KEY", where)

    def _one(self, kind: str, where: Where) -> Any:
        import pkcs11

        try:
            return self.session.get_key(
                object_class=pkcs11.ObjectClass[kind], id=bytes.fromhex(where["id"])
            )
        except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned):
            raise TokenUnusable("token_key_gone", token=self.token) from None


def _session(token: str) -> _Session:
    global _open
    if _open is not None and _open.pid == os.getpid() and _open.token == token:
        return _open
    if token != label():
        raise TokenUnusable("token_other", token=token, configured=label() or "-")
    # A library that a parent opened is not this process's (PKCS#11 base 5.4).
    _open = _login(token, anew=_open is not None)
    return _open


def _login(token: str, *, anew: bool) -> _Session:
    global _refused_pin
    import pkcs11

    path = os.environ[MODULE]
    pin = seal.token_pin()
    tried = (token, hashlib.sha256(pin.encode()).digest())
    if not pin:
        raise TokenUnusable("token_pin_missing", token=token)
    if tried == _refused_pin:
        raise TokenUnusable("token_pin_wrong", token=token)
    try:
        library = pkcs11.lib(path)
        if anew:
            library.reinitialize()
    except pkcs11.PKCS11Error as error:
        raise TokenUnusable("token_module", module=path, why=_said(error)) from None
    try:
        found = library.get_token(token_label=token)
        session = found.open(rw=True, user_pin=pin)
    except pkcs11.NoSuchToken:
        raise TokenUnusable("token_missing", token=token) from None
    except pkcs11.MultipleTokensReturned:
        raise TokenUnusable("token_several", token=token) from None
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        _refused_pin = tried
        raise TokenUnusable("token_pin_wrong", token=token) from None
    except (pkcs11.PinLocked, pkcs11.PinExpired):
        _refused_pin = tried
        raise TokenUnusable("token_pin_locked", token=token) from None
    except pkcs11.PKCS11Error as error:
        raise TokenUnusable("token_away", token=token, why=_said(error)) from None
    return _Session(library, session, token)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _asked(token: str, question: Callable[[_Session], Answer]) -> Answer:
    """What the token answers; asked once more in a new session when this one is no good."""
    import pkcs11

    with _lock:
        try:
            return question(_session(token))
        except pkcs11.PKCS11Error:
            _let_go()
        except TokenUnusable as refusal:
            if refusal.code != "token_key_gone":
                raise
            _let_go()
        try:
            return question(_session(token))
        except pkcs11.PKCS11Error as error:
            _let_go()
            raise TokenUnusable("token_away", token=token, why=_said(error)) from None


def _let_go() -> None:
    """Keep nothing of the session: the next one is opened from the beginning."""
    if _open is not None:
        _open.pid = 0
        _open.handles.clear()


def forget() -> None:
    """Close the session, and forget which PIN was refused (a test, or a new setting)."""
    global _open, _refused_pin
    with _lock:
        if _open is not None and _open.pid == os.getpid():
            with contextlib.suppress(RuntimeError):  # pkcs11.PKCS11Error
                _open.session.close()
            with contextlib.suppress(RuntimeError):
                _open.library.finalize()
        _open, _refused_pin = None, None


# Keys


class _OnToken:
    """What both kinds have in common: where the key is, and that it stays there."""

    where: Where
    _public: Any

    def public_key(self) -> Any:
        return self._public

    @property
    def key_size(self) -> int:
        return int(self._public.key_size)

    def _stays(self, *args: object, **options: object) -> NoReturn:
        raise TypeError("a key on a token does not leave it")

    exchange = decrypt = private_numbers = private_bytes = _stays
    __copy__ = __deepcopy__ = __reduce__ = _stays

    def __repr__(self) -> str:
        return f"<key {self.where['id']} on the token {self.where['token']}>"


class EllipticCurveKey(_OnToken, ec.EllipticCurvePrivateKey):
    def __init__(self, where: Where, public: ec.EllipticCurvePublicKey) -> None:
        self.where, self._public = dict(where), public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve  # type: ignore[no-any-return]

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        from pkcs11 import Mechanism

        algorithm = signature_algorithm.algorithm
        if not isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
            raise TypeError(f"not a hash to sign with: {algorithm}")
        digest = hashlib.new(algorithm.name, bytes(data)).digest()
        raw = _asked(
            self.where["token"],
            lambda on: on.private(self.where).sign(digest, mechanism=Mechanism.ECDSA),
        )
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


class RsaKey(_OnToken, rsa.RSAPrivateKey):
    def __init__(self, where: Where, public: rsa.RSAPublicKey) -> None:
        self.where, self._public = dict(where), public

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        from pkcs11 import Mechanism

        mechanisms = {
            "sha256": Mechanism.SHA256_RSA_PKCS,
            "sha384": Mechanism.SHA384_RSA_PKCS,
            "sha512": Mechanism.SHA512_RSA_PKCS,
        }
        mechanism = mechanisms.get(getattr(algorithm, "name", ""))
        if mechanism is None or not isinstance(padding, _PKCS1):
            raise TypeError("only RSASSA-PKCS1-v1_5 with SHA-2 is signed on a token")
        message = bytes(data)
        return bytes(
            _asked(
                self.where["token"],
                lambda on: on.private(self.where).sign(message, mechanism=mechanism),
            )
        )


_PKCS1 = padding.PKCS1v15
TokenKey = EllipticCurveKey | RsaKey


def generate(algorithm: str, *, label: str) -> TokenKey:
    """A new key, made on the token that is set up; it can neither be read nor wrapped out.

    `algorithm` is one of `ALGORITHMS`; `label` is what the token's own tools call it.
    """
    token = _configured()
    if algorithm not in ALGORITHMS:
        raise TokenUnusable("token_algorithm", token=token)
    where = {"token": token, "id": secrets.token_hex(ID_BYTES)}
    with _refusals(token):
        _asked(token, lambda on: _generate(on.session, algorithm, where["id"], label))
    return find(where)


@contextlib.contextmanager
def _refusals(token: str) -> Iterator[None]:
    """A token that answers but cannot make this kind of key."""
    try:
        yield
    except TokenUnusable as refusal:
        why = refusal.detail.get("why", "")
        if refusal.code == "token_away" and why in ("MechanismInvalid", "MechanismParamInvalid"):
            raise TokenUnusable("token_algorithm", token=token) from None
        raise


def _generate(session: Any, algorithm: str, key: str, label: str) -> None:
    from pkcs11 import Attribute, KeyType, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    how: dict[str, Any] = {
        "id": bytes.fromhex(key),
        "label": label,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True},
    }
    if algorithm in _SIZES:
        session.generate_keypair(KeyType.RSA, _SIZES[algorithm], **how)
        return
    curve = encode_named_curve_parameters(_CURVES[algorithm])
    parameters = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: curve}, local=True
    )
    parameters.generate_keypair(**how)


def find(where: Where) -> TokenKey:
    """The key at `where`; raises `TokenUnusable` when it, or its token, is not there."""
    if not where.get("token") or not where.get("id"):
        raise TokenUnusable("token_key_gone", token=where.get("token", "-"))
    public = _asked(where["token"], lambda on: _there(on, where))
    if isinstance(public, rsa.RSAPublicKey):
        return RsaKey(where, public)
    return EllipticCurveKey(where, public)


def _there(on: _Session, where: Where) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    """The public key, when the private one is there too."""
    on.private(where)
    return _public_of(on, on.public(where))


def _public_of(on: _Session, handle: Any) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    from asn1crypto.core import OctetString
    from pkcs11 import Attribute, KeyType

    if handle.key_type == KeyType.RSA:
        return rsa.RSAPublicNumbers(
            int.from_bytes(handle[Attribute.PUBLIC_EXPONENT]),
            int.from_bytes(handle[Attribute.MODULUS]),
        ).public_key()
    point = bytes(OctetString.load(handle[Attribute.EC_POINT]))
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        if len(point) == 1 + 2 * (curve.key_size // 8):
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    raise TokenUnusable("token_key_gone", token=on.token)


def destroy(where: Where) -> None:
    """Take a key off the token, for one whose authority was not made after all."""
    with contextlib.suppress(TokenUnusable):
        _asked(where["token"], lambda on: _destroy(on, where))


def _destroy(on: _Session, where: Where) -> None:
    for handle in (on.private(where), on.public(where)):
        handle.destroy()
    on.handles.pop(where["id"], None)


def _configured() -> str:
    token = label()
    if not token:
        raise TokenUnusable("token_none")
    return token
