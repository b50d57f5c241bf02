"""A certificate in the forms that programs and devices read.

    content_of(certificate, "fullchain")           bytes; `certificate` is a row, see `Exportable`
    FORMS["p7b"]                                   Form(ending="p7b", kind="application/x-pkcs7-…")
    key = read_key(pem, b"its passphrase")
    with_key(certificate, key, b"a new passphrase", "p12-compatible")

PKCS#7 is RFC 2315 without signatures ("certs-only"), PKCS#12 is RFC 7292. A PKCS#12 of `content_of`
has no key: it is a trust store, under the passphrase that Java has always used for one, and marked
as trusted the way Java wants it. "modern" is AES-256 with PBKDF2 and a SHA-256 MAC; "compatible"
is 3DES with a SHA-1 MAC, for macOS before 15, older phones and appliances, which say "wrong
password" to the modern one.

A `.mobileconfig` is Apple's configuration profile (property list, Configuration Profile Reference,
payloads `com.apple.security.root`, `.pkcs1` and `.pkcs12`). Its identifiers follow from the
fingerprints, so that installing it again replaces it.
"""

from __future__ import annotations

import plistlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)

from ca import describe, keys, packing
from ca.legacy import rawnames

# What protects nothing needs no secret: there are only certificates in it.
STORE_PASSPHRASE = b"changeit"
MOST_KEY_BYTES = 64 * 1024
_SPACE = uuid.UUID("b0a3b0f5-1d0e-5f0c-9a2a-6b8f4a3c7e11")


class BadKey(ValueError):
    """`code` is one of `ca.wording.renewal`: key_large, key_unreadable, key_passphrase,
    key_differs_from_certificate."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Form(NamedTuple):
    ending: str
    kind: str


class Exportable(Protocol):
    """A certificate's row (`ca.models.Certificate`)."""

    @property
    def parsed(self) -> x509.Certificate: ...
    @property
    def title(self) -> str: ...
    @property
    def is_own(self) -> bool: ...
    def authorities(self) -> Sequence[Any]: ...


FORMS: Mapping[str, Form] = {
    "pem": Form("pem", "application/x-pem-file"),
    "chain": Form("chain.pem", "application/x-pem-file"),
    "fullchain": Form("fullchain.pem", "application/x-pem-file"),
    "root": Form("root.pem", "application/x-pem-file"),
    "der": Form("cer", "application/pkix-cert"),
    "text": Form("txt", "text/plain; charset=utf-8"),
    "p7b": Form("p7b", "application/x-pkcs7-certificates"),
    "p7b-pem": Form("pem.p7b", "application/x-pkcs7-certificates"),
    "p12": Form("p12", "application/x-pkcs12"),
    "p12-compatible": Form("compatible.p12", "application/x-pkcs12"),
    "mobileconfig": Form("mobileconfig", "application/x-apple-aspen-config"),
}
# Those that hold a private key, which the console does not have: its owner brings it.
KEY_FORMS: Mapping[str, Form] = {
    form: FORMS[form] for form in ("p12", "p12-compatible", "mobileconfig")
}


def content_of(certificate: Exportable, form: str) -> bytes:
    """The bytes of `form`, one of `FORMS`; KeyError for another."""
    leaf, chain, root = _parts(certificate)
    anchor = root or leaf
    everything = [leaf, *chain, *([root] if root else [])]
    texts = {
        "pem": lambda: _pem([leaf]),
        "chain": lambda: _pem(chain),
        "fullchain": lambda: _pem([leaf, *chain]),
        "root": lambda: _pem([anchor]),
        "der": lambda: leaf.public_bytes(Encoding.DER),
        "text": lambda: describe.text(leaf).encode(),
        "p7b": lambda: pkcs7.serialize_certificates(everything, Encoding.DER),
        "p7b-pem": lambda: pkcs7.serialize_certificates(everything, Encoding.PEM),
        "p12": lambda: _store(everything, compatible=False),
        "p12-compatible": lambda: _store(everything, compatible=True),
        "mobileconfig": lambda: _profile(
            common_name(anchor), [_trust(anchor), *(_plain(each) for each in chain)]
        ),
    }
    return texts[form]()


def file_name(certificate: Exportable, form: str) -> str:
    """`mail1.example.test.p7b`: letters that every file system and header takes."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", certificate.title.replace("*", "wildcard")).strip("-.")
    return f"{stem or f'{certificate.parsed.serial_number:x}'}.{FORMS[form].ending}"


def read_key(source: str | bytes, passphrase: bytes | None) -> packing.PrivateKey:
    """A private key as people have it: PEM (PKCS#8, or OpenSSL's older forms) or DER, encrypted or
    not. A passphrase that the key does not need is not looked at."""
    data = source.encode() if isinstance(source, str) else source
    if len(data) > MOST_KEY_BYTES:
        raise BadKey("key_large")
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        try:
            key = load(data, passphrase or None)
        except TypeError:
            # Either it is not encrypted and a passphrase came along, or the other way round.
            if not passphrase:
                raise BadKey("key_passphrase") from None
            key = load(data, None)
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, BadKey):
            raise
        encrypted = b"ENCRYPTED" in data or b"Incorrect password" in str(error).encode()
        raise BadKey("key_passphrase" if encrypted and passphrase else "key_unreadable") from None
    if not isinstance(key, packing.PrivateKey):
        raise BadKey("key_unreadable")
    return key


def with_key(
    certificate: Exportable, key: packing.PrivateKey, passphrase: bytes, form: str
) -> bytes:
    """The certificate, what is above it, and its key under `passphrase`; `form` of `KEY_FORMS`.

    Raises BadKey where the key is another certificate's.
    """
    leaf, chain, root = _parts(certificate)
    if keys.key_id(key.public_key()) != keys.key_id(leaf.public_key()):
        raise BadKey("key_differs_from_certificate")
    made = packing.pack(
        form if form in packing.FORMS else packing.P12_COMPATIBLE,
        key=key,
        leaf=leaf,
        chain=chain,
        root=root,
        name=common_name(leaf),
        passphrase=passphrase,
    )
    if form != "mobileconfig":
        return made
    # The device asks for the passphrase: a profile that held it would hold the key in clear.
    identity = _payload("pkcs12", leaf, made, f"{common_name(leaf)}.p12")
    anchors = [_trust(root)] if root else []
    return _profile(common_name(leaf), [*anchors, *(_plain(each) for each in chain), identity])


def common_name(certificate: x509.Certificate) -> str:
    """What people call it: its first name, else its common name."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = [str(each.value) for each in san]
    except (x509.ExtensionNotFound, ValueError):
        listed = []
    named = rawnames.readable(certificate).get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return listed[0] if listed else str(named[0].value) if named else "certificate"


def _parts(
    certificate: Exportable,
) -> tuple[x509.Certificate, list[x509.Certificate], x509.Certificate | None]:
    """The certificate, the authorities above it, and the root where that is another one."""
    above = list(certificate.authorities())
    chain = [each.parsed for each in above if not each.is_own]
    roots = [each.parsed for each in above if each.is_own]
    return certificate.parsed, chain, roots[-1] if roots and not certificate.is_own else None


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def _store(certificates: Sequence[x509.Certificate], *, compatible: bool) -> bytes:
    named = [pkcs12.PKCS12Certificate(each, common_name(each).encode()) for each in certificates]
    return pkcs12.serialize_java_truststore(
        named, packing.encryption(STORE_PASSPHRASE, compatible=compatible)
    )


def _trust(certificate: x509.Certificate) -> dict[str, Any]:
    return _payload("root", certificate, certificate.public_bytes(Encoding.DER))


def _plain(certificate: x509.Certificate) -> dict[str, Any]:
    return _payload("pkcs1", certificate, certificate.public_bytes(Encoding.DER))


def _payload(
    kind: str, certificate: x509.Certificate, content: bytes, file: str | None = None
) -> dict[str, Any]:
    print_of = certificate.fingerprint(hashes.SHA256()).hex()
    return {
        "PayloadType": f"com.apple.security.{kind}",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"mailadmin.{kind}.{print_of[:16]}",
        "PayloadUUID": str(uuid.uuid5(_SPACE, f"{kind} {print_of}")).upper(),
        "PayloadDisplayName": common_name(certificate),
        "PayloadCertificateFileName": file or f"{common_name(certificate)}.cer",
        "PayloadContent": content,
    }


def _profile(title: str, payloads: list[dict[str, Any]]) -> bytes:
    inner = " ".join(each["PayloadUUID"] for each in payloads)
    whole = uuid.uuid5(_SPACE, inner)
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": f"mailadmin.{payloads[0]['PayloadIdentifier']}.{whole.hex[:8]}",
            "PayloadUUID": str(whole).upper(),
            "PayloadDisplayName": title,
            "PayloadRemovalDisallowed": False,
            "PayloadContent": payloads,
        }
    )
