"""Signatures verified by a process of its own, beside the signer: half of what a batch costs.

    with Verifier() as verifier:
        verifier.ask_requests(texts)              # PEM
        found = verifier.requests()               # [Csr | BadRequest], in order
        verifier.ask_certificates(ders, key_ids=…, issuer=above)
        verifier.certificates()                   # or NotVerified

Between question and answer the caller does something else.

For a signature the interpreter lets no second thread work (one was tried: no faster). The process
starts with an empty environment, holds no key and does what `csr.parse` and `verify` do here. When
it cannot be had, or ends, the caller's own process does the work. One question at a time, a line
of JSON each way; it ends with its standard input, so with the signer.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from ca import csr, keys, names

_CHECKOUT = Path(__file__).resolve().parent.parent


class NotVerified(Exception):
    """A certificate just signed does not hold what it should: a fault of the machine."""


def read(texts: Sequence[str]) -> list[csr.Csr | csr.BadRequest]:
    """Each request as it was read, or why it is refused."""
    found: list[csr.Csr | csr.BadRequest] = []
    for text in texts:
        try:
            found.append(csr.parse(text))
        except csr.BadRequest as error:
            found.append(error)
    return found


def verify(ders: Sequence[bytes], *, key_ids: Sequence[str], issuer: bytes) -> str:
    """What is wrong with the first wrong one of these certificates, else "".

    Each is signed by the key `issuer` (SubjectPublicKeyInfo in DER) and holds the key with the
    id (of `keys.key_id`) beside it.
    """
    above: CertificatePublicKeyTypes = load_der_public_key(issuer)  # type: ignore[assignment]
    for der, key_id in zip(ders, key_ids, strict=True):
        certificate = x509.load_der_x509_certificate(der)
        signature, said = certificate.signature, certificate.tbs_certificate_bytes
        try:
            if isinstance(above, ec.EllipticCurvePublicKey):
                above.verify(signature, said, ec.ECDSA(keys.signing_hash(above)))
            elif isinstance(above, rsa.RSAPublicKey):
                above.verify(signature, said, padding.PKCS1v15(), keys.signing_hash(above))
            else:
                above.verify(signature, said)  # type: ignore[union-attr, call-arg]
        except InvalidSignature:
            return "the signature does not verify"
        if keys.key_id(certificate.public_key()) != key_id:
            return "the certificate holds another key than the request"
    return ""


class Verifier:
    """The process, started with the first question; with `beside` False there is none."""

    def __init__(self, *, beside: bool = True) -> None:
        self._beside = beside
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def ask_requests(self, texts: Sequence[str]) -> None:
        self._ask(["requests", list(texts)])

    def requests(self) -> list[csr.Csr | csr.BadRequest]:
        """What became of the texts asked for last."""
        return [_unpacked(each) for each in self._answer()]

    def ask_certificates(
        self, ders: Sequence[bytes], *, key_ids: Sequence[str], issuer: CertificatePublicKeyTypes
    ) -> None:
        spki = issuer.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._ask(["certificates", [_text(der) for der in ders], list(key_ids), _text(spki)])

    def certificates(self) -> None:
        """Raises `NotVerified` when one of those asked for last is not as it should be."""
        wrong = self._answer()
        if wrong:
            raise NotVerified(wrong)

    def _ask(self, question: list[Any]) -> None:
        if self._asked:
            raise RuntimeError("the last answer was not taken")
        self._asked = question
        if not self._beside:
            return
        try:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "ca.verifier"],
                    cwd=_CHECKOUT,
                    env={},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._end()

    def _answer(self) -> Any:
        question, self._asked = self._asked, []
        if self._process is not None and self._process.stdout is not None:
            line = self._process.stdout.readline()
            if line.endswith(b"\n"):
                return json.loads(line)
        self._end()
        return _answered(*question)

    def _end(self) -> None:
        self._beside = False
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _answered(kind: str, *asked: Any) -> Any:
    if kind == "requests":
        return [_packed(found) for found in read(*asked)]
    ders, key_ids, issuer = asked
    ders, issuer = [base64.b64decode(der) for der in ders], base64.b64decode(issuer)
    return verify(ders, key_ids=key_ids, issuer=issuer)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _packed(found: csr.Csr | csr.BadRequest) -> list[Any]:
    if isinstance(found, csr.BadRequest):
        return [found.code, found.detail]
    spki = found.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    listed = [[name.kind, name.value] for name in found.names]
    return [found.pem, _text(spki), found.key_id, found.key_label, listed, found.common_name]


def _unpacked(packed: list[Any]) -> csr.Csr | csr.BadRequest:
    if len(packed) == 2:
        return csr.BadRequest(packed[0], **packed[1])
    pem, spki, key_id, key_label, listed, common_name = packed
    return csr.Csr(
        pem=pem,
        public_key=load_der_public_key(base64.b64decode(spki)),  # type: ignore[arg-type]
        key_id=key_id,
        key_label=key_label,
        names=tuple(names.Name(kind, value) for kind, value in listed),
        common_name=common_name,
    )


def main() -> None:
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(_answered(*json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
