"""Names in certificates as they were written, for those that a strict parser refuses.

    readable(certificate).rfc4514_string()    "CN=mail,O=Grüße,C=TW", whatever it is encoded as
    subject_der(certificate)                  the bytes of the subject, as clients compare them

Authorities made by hand wrote Latin-1 into a T61String (X.690 section 8.23 knows another alphabet,
which nobody used), and a strict parser raises at that. Only DER's framing is read here: X.690
section 8.1, RFC 5280 sections 4.1 and 4.1.2.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import NameOID

VERSION = 0xA0
# UTF8String, BMPString, UniversalString; all others hold one byte a character.
_ENCODINGS = {0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
_ISSUER, _SUBJECT = 2, 4
LONGEST = 400


def subject_der(certificate: x509.Certificate) -> bytes:
    return _part(certificate, _SUBJECT)


def issuer_der(certificate: x509.Certificate) -> bytes:
    return _part(certificate, _ISSUER)


def readable(certificate: x509.Certificate) -> x509.Name:
    """The subject; where it cannot be parsed, its values in the alphabet they were meant in."""
    try:
        return certificate.subject
    except ValueError:
        return _lenient(subject_der(certificate))


def readable_issuer(certificate: x509.Certificate) -> x509.Name:
    try:
        return certificate.issuer
    except ValueError:
        return _lenient(issuer_der(certificate))


def is_parsed(certificate: x509.Certificate) -> bool:
    """Whether the subject can be parsed, and so written into other certificates."""
    try:
        certificate.subject  # noqa: B018 - decoded lazily
    except ValueError:
        return False
    return True


def text(name: x509.Name) -> str:
    """RFC 4514, short enough for a row, and always text that can be parsed again."""
    whole = name.rfc4514_string()
    if len(whole) <= LONGEST and _parses(whole):
        return whole
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not common or not str(common[0].value):
        return ""
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, str(common[0].value)[:64])]
    ).rfc4514_string()


def _parses(whole: str) -> bool:
    try:
        x509.Name.from_rfc4514_string(whole)
    except ValueError:
        return False
    return True


def _part(certificate: x509.Certificate, which: int) -> bytes:
    """A field of the TBSCertificate, counted from the serial number, tag and length included."""
    _tag, body, _whole = next(_elements(certificate.tbs_certificate_bytes))
    fields = [whole for tag, _body, whole in _elements(body) if tag != VERSION]
    return fields[which]


def _lenient(der: bytes) -> x509.Name:
    try:
        return x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [_attribute(pair) for _t, pair, _w in _elements(rdn)]
                )
                for _tag, sequence, _whole in _elements(der)
                for _t2, rdn, _w2 in _elements(sequence)
            ]
        )
    except (ValueError, IndexError, StopIteration):
        return x509.Name([])


def _attribute(pair: bytes) -> x509.NameAttribute[str]:
    (_tag, oid, _whole), (kind, value, _whole2) = list(_elements(pair))[:2]
    decoded = value.decode(_ENCODINGS.get(kind, "latin-1"), "replace")
    # Rules for new names, such as a country's two letters, are not for those that exist.
    return x509.NameAttribute(_dotted(oid), decoded, _validate=False)


def _dotted(body: bytes) -> x509.ObjectIdentifier:
    numbers, number = [], 0
    for octet in body:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    numbers[:1] = [first, numbers[0] - 40 * first]
    return x509.ObjectIdentifier(".".join(map(str, numbers)))


def _elements(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements one after the other: tag, content, and the whole with its header."""
    at = 0
    while at < len(der):
        length, content = der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[content : content + size], "big")
            content += size
        if content + length > len(der):
            raise ValueError("an element is longer than what holds it")
        yield der[at], der[content : content + length], der[at : content + length]
        at = content + length
