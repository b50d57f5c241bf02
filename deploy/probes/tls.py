"""TLS as a mail client does it: chain to our root, name, dates; and which certificate was served.

`openssl s_client` prints "Verify return code: 0" even where no certificate came: here the peer's
certificate is always there, or the handshake fails.
"""

import hashlib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from deploy.probes.values import Found, NotYet, Place, ProbeFailed


@dataclass(frozen=True, slots=True)
class Served:
    fingerprint: str
    version: str
    cipher: str
    not_after: datetime

    @property
    def evidence(self) -> str:
        """`TLSv1.3 TLS_AES_256_GCM_SHA384, notAfter 2027-02-23, SHA-256 ab12…`"""
        return (
            f"{self.version} {self.cipher}, notAfter {self.not_after:%Y-%m-%d}, "
            f"SHA-256 {self.fingerprint}"
        )


def roots(ca_pem: bytes) -> bytes:
    """The self-signed ones: a client trusts no intermediate that a server should have sent."""
    found = x509.load_pem_x509_certificates(ca_pem)
    return b"".join(
        each.public_bytes(Encoding.PEM) for each in found if each.subject == each.issuer
    )


def context(place: Place) -> ssl.SSLContext:
    """Trusts the given authorities and nobody else."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_verify_locations(cadata=place.ca_pem.decode("ascii"))
    return made


def handshake(plain: socket.socket, place: Place) -> tuple[ssl.SSLSocket, Served]:
    try:
        secure = context(place).wrap_socket(plain, server_hostname=place.fqdn)
    except ssl.SSLCertVerificationError as error:
        # Not final: the old certificate, not trusted here, may be served for a moment longer.
        raise NotYet(f"certificate refused: {error.verify_message}") from error
    except (OSError, ssl.SSLError) as error:
        raise NotYet(f"TLS failed: {error or type(error).__name__}") from error
    certificate = secure.getpeercert(binary_form=True)
    cipher = secure.cipher()
    if not certificate or not cipher:
        raise ProbeFailed("no certificate was served")
    return secure, Served(
        fingerprint=hashlib.sha256(certificate).hexdigest(),
        version=secure.version() or "",
        cipher=cipher[0],
        not_after=x509.load_der_x509_certificate(certificate).not_valid_after_utc,
    )


def compare(served: Served, expected: str) -> Found:
    """The daemon serves exactly the certificate that was deployed, or still another one."""
    if served.fingerprint != expected:
        raise NotYet(f"another certificate is served: {served.evidence}", served.fingerprint)
    return Found(served.evidence, served.fingerprint, served.not_after)
