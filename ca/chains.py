"""A chain of authorities' certificates that were signed elsewhere, read and judged. Pure.

    chain = read(uploaded, more, key_id=…, known=[…], at=now)
    chain.own, chain.above, chain.root       # its own, those between, the self-signed one

Everything that a strict client would hold against the chain is refused here with a code (RFC 5280
section 6.1): another key, no authority, ended, a wrong or weak signature, a missing link, more
levels than allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from ca import keys

# Ten certificates of RSA 4096 with long names stay below this.
MOST_BYTES = 256 * 1024
MOST_CERTIFICATES = 10

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384)


class BadChain(ValueError):
    """`code` and `detail` say what is wrong; `ca.wording` has the sentences."""

    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(f"{code} {detail or ''}".strip())
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Chain:
    """`above` are the authorities between, from the lowest up; `root` signs itself."""

    own: x509.Certificate
    above: tuple[x509.Certificate, ...]
    root: x509.Certificate


def certificates(raw: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM text (whatever stands around it) or of one DER file."""
    if len(raw) > MOST_BYTES:
        raise BadChain("chain_too_big", most=f"{MOST_BYTES // 1024} KiB")
    if not raw.strip():
        return []
    blocks = list(_PEM.finditer(raw))
    if any(block.group(1).endswith(b"PRIVATE KEY") for block in blocks):
        raise BadChain("chain_private_key")
    if any(block.group(1).endswith(b"REQUEST") for block in blocks):
        raise BadChain("chain_is_request")
    texts = [block.group(0) for block in blocks if block.group(1).endswith(b"CERTIFICATE")]
    if len(texts) > MOST_CERTIFICATES:
        raise BadChain("chain_long", most=MOST_CERTIFICATES)
    try:
        found = [x509.load_pem_x509_certificate(text) for text in texts]
        if not blocks and b"-----BEGIN" not in raw:
            found = [x509.load_der_x509_certificate(raw)]
        for each in found:  # decoded lazily: what is broken must show here
            _ = each.subject, each.issuer, each.extensions, keys.key_id(each.public_key())
    except Exception as error:  # pyca raises many kinds on hostile input
        raise BadChain("chain_unreadable") from error
    if not found:
        raise BadChain("chain_unreadable")
    return found


def read(
    uploaded: bytes,
    more: bytes,
    *,
    key_id: str,
    known: Iterable[x509.Certificate],
    at: datetime,
) -> Chain:
    """The chain of the certificate for `key_id`: in either text, completed from `known`."""
    given = certificates(uploaded)
    if not given:
        raise BadChain("chain_empty")
    given += certificates(more)
    mine = [each for each in given if keys.key_id(each.public_key()) == key_id]
    if not mine:
        raise BadChain("chain_other_key", subject=_shown(given[0].subject))
    own = mine[0]
    if own.subject == own.issuer:
        raise BadChain("chain_self_signed")
    candidates = [*given, *known]
    path = [own]
    while path[-1].subject != path[-1].issuer:
        if len(path) > MOST_CERTIFICATES:
            raise BadChain("chain_long", most=MOST_CERTIFICATES)
        path.append(_issuer_of(path[-1], candidates))
    for depth, each in enumerate(path):
        _check_authority(each, depth, at)
    return Chain(path[0], tuple(path[1:-1]), path[-1])


def _issuer_of(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> x509.Certificate:
    """Who signed it, the youngest first: a root may be there once more, re-signed."""
    algorithm = _hash_of(certificate)
    if algorithm is not None and not isinstance(algorithm, _STRONG):
        raise BadChain(
            "chain_weak", subject=_shown(certificate.subject), found=algorithm.name.upper()
        )
    named = [each for each in candidates if each.subject == certificate.issuer]
    if not named:
        raise BadChain("chain_incomplete", missing=_shown(certificate.issuer))
    for each in sorted(named, key=lambda found: found.not_valid_before_utc, reverse=True):
        try:
            certificate.verify_directly_issued_by(each)
        except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
            continue
        return each
    raise BadChain(
        "chain_signature", subject=_shown(certificate.subject), issuer=_shown(certificate.issuer)
    )


def _hash_of(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        found = certificate.signature_algorithm_oid.dotted_string
        raise BadChain("chain_weak", subject=_shown(certificate.subject), found=found) from error


def _check_authority(certificate: x509.Certificate, below: int, at: datetime) -> None:
    """It is an authority, lives, and allows the `below` levels that stand below it."""
    name = _shown(certificate.subject)
    try:
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise BadChain("chain_no_authority", subject=name) from None
    if not (limits.value.ca and limits.critical and usage.key_cert_sign and usage.crl_sign):
        raise BadChain("chain_no_authority", subject=name)
    if certificate.not_valid_after_utc <= at:
        end = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        raise BadChain("chain_ended", subject=name, end=end)
    if certificate.not_valid_before_utc > at:
        begin = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise BadChain("chain_early", subject=name, begin=begin)
    length = limits.value.path_length
    if length is not None and below > length:
        raise BadChain("chain_levels", subject=name, most=length, below=below)
    try:
        keys.check(certificate.public_key())
    except keys.BadKey as error:
        raise BadChain(error.code, found=error.found) from error


def _shown(name: x509.Name) -> str:
    return name.rfc4514_string() or "-"
