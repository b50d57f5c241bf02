"""TLS as a mail client does it: chain to our root, name, dates; and which certificate was served.

`openssl s_client` prints "Verify return code: 0" even where no certificate came: here the peer's
certificate is always there, or the handshake fails.
"""

import hashlib
import secrets
import socket
import ssl
import struct
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from deploy.probes.values import Found, NotYet, Place, ProbeFailed


@dataclass(frozen=True, slots=True)
class Served:
    fingerprint: str
    version: str
    cipher: str

    @property
    def evidence(self) -> str:
        return f"{self.version} {self.cipher}, SHA-256 {self.fingerprint}"


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
    )


def compare(served: Served, expected: str) -> Found:
    """The daemon serves exactly the certificate that was deployed, or still another one."""
    if served.fingerprint != expected:
        raise NotYet(f"another certificate is served: {served.evidence}", served.fingerprint)
    return Found(served.evidence, served.fingerprint)


# Suites that TLS 1.0 and 1.1 know; for ECDSA and for RSA.
_OLD_SUITES = (0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035, 0x000A)
_ALERT, _HANDSHAKE = 21, 22


def _old_hello() -> bytes:
    """A ClientHello of a client that speaks TLS 1.1 at most (RFC 4346, 7.4.1.2). By hand: a present
    OpenSSL speaks it only when it is persuaded to."""
    suites = b"".join(struct.pack(">H", suite) for suite in _OLD_SUITES)
    groups = struct.pack(">HHHHHH", 10, 8, 6, 23, 24, 25)
    points = struct.pack(">HHBB", 11, 2, 1, 0)
    extensions = groups + points
    body = struct.pack(">H", 0x0302) + secrets.token_bytes(32) + b"\0"
    body += struct.pack(">H", len(suites)) + suites + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return struct.pack(">BHH", _HANDSHAKE, 0x0301, len(message)) + message


def refuses_old(place: Place, port: int) -> Found:
    """A port with TLS from the first byte speaks no version that is older than 1.2: it sends an
    alert, or closes (Dovecot 2.3). That it speaks a present one is another probe."""
    try:
        with socket.create_connection((place.address, port), timeout=place.seconds) as plain:
            plain.sendall(_old_hello())
            answer = plain.recv(7)
    except ConnectionResetError:
        return Found("connection reset")
    except OSError as error:
        raise NotYet(str(error) or type(error).__name__) from error
    if answer[:1] == bytes([_HANDSHAKE]):
        raise ProbeFailed("TLS 1.1 or older is spoken")
    if answer[:1] == bytes([_ALERT]):
        return Found(f"alert {answer[6]}" if len(answer) == 7 else "alert")
    if not answer:
        return Found("connection closed")
    raise ProbeFailed(f"no TLS: {answer!r}")
