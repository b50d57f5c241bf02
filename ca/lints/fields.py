"""Rules about serial, validity, names of subject and issuer, and key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from ca import keys
from ca.lints.registry import Issuer, is_authority, lint, public_key_of
from ca.template import LONGEST_COMMON_NAME, ToBeSigned

# ub-organization-name and ub-common-name, RFC 5280 appendix A.1
LONGEST_ORGANIZATION = 64


@lint("RFC 5280 4.1.2.2")
def serial_is_positive_and_short(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.serial <= 0 or tbs.serial.bit_length() > 159:
        yield f"{tbs.serial:x}"


@lint("CA/B BR 7.1")
def serial_is_random(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    # 64 random bits are below 2^32 once in 4 thousand million: such a serial was counted, not drawn
    if 0 < tbs.serial < 1 << 32:
        yield f"{tbs.serial:x}"


@lint("RFC 5280 4.1.2.5")
def validity_has_a_length(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.not_after <= tbs.not_before:
        yield f"{tbs.not_before:%Y-%m-%d} - {tbs.not_after:%Y-%m-%d}"
    if tbs.not_before.microsecond or tbs.not_after.microsecond:
        yield tbs.not_before.isoformat()


@lint("RFC 5280 6.1.3")
def validity_is_within_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    if tbs.not_after > issuer.not_valid_after_utc or tbs.not_before < issuer.not_valid_before_utc:
        yield f"{issuer.not_valid_after_utc:%Y-%m-%d}"


@lint("CA/B BR 6.3.2, Apple HT210176")
def validity_is_within_the_profiles(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.not_after - tbs.not_before >= timedelta(days=tbs.profile.most_days):
        yield str(tbs.profile.most_days)


@lint("RFC 5280 4.1.2.4")
def issuer_name_is_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    expected = issuer.subject if issuer is not None else tbs.subject
    # The same object says the same bytes; equal names need not.
    same = tbs.issuer is expected or tbs.issuer.public_bytes() == expected.public_bytes()
    if not same or not list(tbs.issuer):
        yield tbs.issuer.rfc4514_string()


@lint("RFC 5280 6.1.4")
def issuer_may_sign(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            yield "CA:FALSE"
    except x509.ExtensionNotFound:
        yield "basicConstraints"
    try:
        if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
            yield "keyCertSign"
    except x509.ExtensionNotFound:
        return  # without one, every use is allowed (RFC 5280 4.2.1.3)


@lint("RFC 5280 A.1")
def subject_fields_are_short(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for attribute in tbs.subject:
        value = str(attribute.value)
        longest = {
            NameOID.COMMON_NAME: LONGEST_COMMON_NAME,
            NameOID.ORGANIZATION_NAME: LONGEST_ORGANIZATION,
        }.get(attribute.oid)
        if longest is not None and len(value) > longest:
            yield value


@lint("RFC 5280 4.1.2.4")
def subject_is_printable(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for attribute in tbs.subject:
        value = str(attribute.value)
        if not value.isprintable() or value != value.strip():
            yield repr(value)


@lint("RFC 5280 A.1, ISO 3166-1")
def country_is_two_letters(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    for attribute in tbs.subject:
        value = str(attribute.value)
        two = len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()
        if attribute.oid == NameOID.COUNTRY_NAME and not two:
            yield value


@lint("RFC 5280 4.1.2.6")
def authority_has_a_subject(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if is_authority(tbs) and not tbs.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        yield tbs.subject.rfc4514_string()


@lint("CA/B BR 6.1.5")
def key_is_strong(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    check = keys.check if is_authority(tbs) else keys.check_leaf
    try:
        check(tbs.public_key)
    except keys.BadKey as error:
        yield error.found


@lint("RFC 5280 4.2.1.2")
def key_is_not_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is not None and tbs.public_key == public_key_of(issuer):
        yield keys.key_id(tbs.public_key)[:16]
