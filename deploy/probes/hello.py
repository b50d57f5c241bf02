"""What a port must not speak: TLS before 1.2, and suites that encrypt badly, or prove nobody.

The ClientHello is made by hand (RFC 4346 and 5246, 7.4.1.2): a present OpenSSL offers such things
only when it is persuaded to, and some no more at all. The server must refuse it: by an alert, or by
closing (Dovecot 2.3). That it speaks something present is what the other probes show.
"""

import secrets
import struct
from collections.abc import Iterable, Mapping

from deploy.probes import imap, pop3, smtp
from deploy.probes.dialogue import Dialogue
from deploy.probes.values import Found, Place, ProbeFailed

_IN_CLEAR: Mapping[str, type[Dialogue]] = {
    "smtp": smtp.Smtp,
    "submission": smtp.Smtp,
    "imap": imap.Imap,
    "pop3": pop3.Pop3,
}
_ALERT, _HANDSHAKE = 21, 22
_TLS_1_1, _TLS_1_2 = 0x0302, 0x0303
_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", _TLS_1_1: "TLS 1.1", _TLS_1_2: "TLS 1.2"}

# Suites that TLS 1.0 and 1.1 know; for ECDSA and for RSA.
_OLD_SUITES = (0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035, 0x000A)

WEAK: Mapping[int, str] = {
    0x0001: "RSA_WITH_NULL_MD5",
    0x0002: "RSA_WITH_NULL_SHA",
    0x003B: "RSA_WITH_NULL_SHA256",
    0xC001: "ECDH_ECDSA_WITH_NULL_SHA",
    0xC006: "ECDHE_ECDSA_WITH_NULL_SHA",
    0xC010: "ECDHE_RSA_WITH_NULL_SHA",
    0xC015: "ECDH_anon_WITH_NULL_SHA",
    0x0003: "RSA_EXPORT_WITH_RC4_40_MD5",
    0x0006: "RSA_EXPORT_WITH_RC2_CBC_40_MD5",
    0x0008: "RSA_EXPORT_WITH_DES40_CBC_SHA",
    0x0014: "DHE_RSA_EXPORT_WITH_DES40_CBC_SHA",
    0x0017: "DH_anon_EXPORT_WITH_RC4_40_MD5",
    0x0004: "RSA_WITH_RC4_128_MD5",
    0x0005: "RSA_WITH_RC4_128_SHA",
    0xC007: "ECDHE_ECDSA_WITH_RC4_128_SHA",
    0xC011: "ECDHE_RSA_WITH_RC4_128_SHA",
    0xC016: "ECDH_anon_WITH_RC4_128_SHA",
    0x0009: "RSA_WITH_DES_CBC_SHA",
    0x0015: "DHE_RSA_WITH_DES_CBC_SHA",
    0x000A: "RSA_WITH_3DES_EDE_CBC_SHA",
    0x0016: "DHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC008: "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
    0xC012: "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC017: "ECDH_anon_WITH_3DES_EDE_CBC_SHA",
    0x0018: "DH_anon_WITH_RC4_128_MD5",
    0x001B: "DH_anon_WITH_3DES_EDE_CBC_SHA",
    0x0034: "DH_anon_WITH_AES_128_CBC_SHA",
    0x003A: "DH_anon_WITH_AES_256_CBC_SHA",
    0x006C: "DH_anon_WITH_AES_128_CBC_SHA256",
    0x006D: "DH_anon_WITH_AES_256_CBC_SHA256",
    0x00A6: "DH_anon_WITH_AES_128_GCM_SHA256",
    0x00A7: "DH_anon_WITH_AES_256_GCM_SHA384",
    0xC018: "ECDH_anon_WITH_AES_128_CBC_SHA",
    0xC019: "ECDH_anon_WITH_AES_256_CBC_SHA",
}
"""Suites that no port may agree on: no encryption, keys of 40 or 56 bits, RC4, 3DES, and those by
which the server proves nothing about itself. Names: IANA's, without `TLS_`."""


def old_tls(place: Place, protocol: str, port: int) -> Found:
    return _refused(place, protocol, port, _hello(_TLS_1_1, _OLD_SUITES))


def weak_tls(place: Place, protocol: str, port: int) -> Found:
    return _refused(place, protocol, port, _hello(_TLS_1_2, WEAK))


def _hello(version: int, suites: Iterable[int]) -> bytes:
    offered = b"".join(struct.pack(">H", suite) for suite in suites)
    groups = struct.pack(">HHHHHH", 10, 8, 6, 23, 24, 25)
    points = struct.pack(">HHBB", 11, 2, 1, 0)
    # With RSA and with ECDSA, SHA-256 to SHA-1: nothing else of it shall be why it is refused.
    signatures = (0x0401, 0x0403, 0x0501, 0x0503, 0x0601, 0x0603, 0x0804, 0x0201, 0x0203)
    known = struct.pack(f">{len(signatures)}H", *signatures)
    signed = struct.pack(">HHH", 13, len(known) + 2, len(known)) + known
    extensions = groups + points + (signed if version == _TLS_1_2 else b"")
    body = struct.pack(">H", version) + secrets.token_bytes(32) + b"\0"
    body += struct.pack(">H", len(offered)) + offered + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return struct.pack(">BHH", _HANDSHAKE, 0x0301, len(message)) + message


def _refused(place: Place, protocol: str, port: int, hello: bytes) -> Found:
    with _IN_CLEAR.get(protocol, Dialogue)(place, port) as session:
        session.ask_for_tls()
        answer = session.exchange(hello, 5 + 4 + 2 + 32 + 33 + 2)
    if answer[:1] == bytes([_HANDSHAKE]):
        raise ProbeFailed(f"agreed: {_agreed(answer)}")
    if answer[:1] == bytes([_ALERT]):
        return Found(f"alert {answer[6]}" if len(answer) >= 7 else "alert")
    if not answer:
        return Found("connection closed")
    raise ProbeFailed(f"no TLS: {answer[:40]!r}")


def _agreed(answer: bytes) -> str:
    """Version and suite of a ServerHello: record 5, handshake 4, version 2, random 32, session."""
    version = int.from_bytes(answer[9:11], "big")
    at = 44 + (answer[43] if len(answer) > 43 else 0)
    suite = int.from_bytes(answer[at : at + 2], "big")
    named = _VERSIONS.get(version, f"0x{version:04X}")
    return f"{named} {WEAK.get(suite, f'0x{suite:04X}')}"
