"""Rules about extensions, apart from the alternative names."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.lints.registry import Issuer, is_authority, lint, text_of
from ca.profiles import Profile
from ca.template import ToBeSigned


@lint("RFC 5280 4.2")
def extensions_appear_once(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    seen: set[x509.ObjectIdentifier] = set()
    for extension in tbs.extensions:
        if extension.oid in seen:
            yield extension.oid.dotted_string
        seen.add(extension.oid)


@lint("RFC 5280 4.2.1.9")
def basic_constraints_fit(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.BasicConstraints)
    if found is None or not isinstance(found.value, x509.BasicConstraints):
        yield "missing"
    elif not found.critical:
        yield "not critical"
    elif found.value.ca is not is_authority(tbs):
        yield f"CA:{found.value.ca}"


@lint("RFC 5280 4.2.1.9")
def path_length_is_within_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None or not is_authority(tbs):
        return
    try:
        above = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return
    own = tbs.find(x509.BasicConstraints)
    length = own.value.path_length if own and isinstance(own.value, x509.BasicConstraints) else None
    if above.path_length is not None and (length is None or length >= above.path_length):
        yield str(above.path_length)


_USAGE_BITS = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}


@lint("RFC 5280 4.2.1.3")
def key_usage_fits(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.KeyUsage)
    if found is None or not isinstance(found.value, x509.KeyUsage):
        yield "missing"
        return
    usage = found.value
    if not found.critical:
        yield "not critical"
    if is_authority(tbs) and not (usage.key_cert_sign and usage.crl_sign):
        yield "keyCertSign"
    if isinstance(tbs.profile, Profile) and usage != tbs.profile.key_usage(tbs.public_key):
        expected = tbs.profile.key_usage(tbs.public_key)
        for attribute, bit in _USAGE_BITS.items():
            if getattr(usage, attribute) is not getattr(expected, attribute):
                yield bit


@lint("RFC 5280 4.2.1.12")
def extended_key_usage_is_the_profiles(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.ExtendedKeyUsage)
    if not isinstance(tbs.profile, Profile):
        return
    if found is None or not isinstance(found.value, x509.ExtendedKeyUsage):
        yield "missing"
        return
    for usage in found.value:
        if usage == ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE:
            yield "anyExtendedKeyUsage"
        elif usage not in tbs.profile.extended_key_usage:
            yield usage.dotted_string
    for usage in tbs.profile.extended_key_usage:
        if usage not in found.value:
            yield usage.dotted_string


@lint("RFC 6960 4.2.2.2.1")
def only_responders_go_unchecked(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    unchecked = isinstance(tbs.profile, Profile) and tbs.profile.unchecked
    if (tbs.find(x509.OCSPNoCheck) is not None) is not unchecked:
        yield "id-pkix-ocsp-nocheck"


@lint("RFC 5280 4.2.1.10")
def constraints_stand_only_in_authorities(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    found = tbs.find(x509.NameConstraints)
    if found is not None and (not is_authority(tbs) or not found.critical):
        yield "nameConstraints"


@lint("RFC 5280 4.2.1.2")
def subject_key_identifier_is_present(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if tbs.find(x509.SubjectKeyIdentifier) is None:
        yield "subjectKeyIdentifier"


@lint("RFC 5280 4.2.1.1")
def authority_key_identifier_is_the_issuers(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    if issuer is None:
        return
    found = tbs.find(x509.AuthorityKeyIdentifier)
    if found is None or not isinstance(found.value, x509.AuthorityKeyIdentifier):
        yield "missing"
        return
    try:
        ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return
    if found.value.key_identifier != ski.digest:
        yield (found.value.key_identifier or b"").hex()


@lint("RFC 5280 4.2.1.13, 4.2.2.1")
def addresses_are_plain_http(tbs: ToBeSigned, issuer: Issuer) -> Iterator[str]:
    # https would need a certificate to check a certificate
    access = tbs.find(x509.AuthorityInformationAccess)
    if access is not None and isinstance(access.value, x509.AuthorityInformationAccess):
        for description in access.value:
            if not text_of(description.access_location).startswith("http://"):
                yield text_of(description.access_location)
    points = tbs.find(x509.CRLDistributionPoints)
    if points is not None and isinstance(points.value, x509.CRLDistributionPoints):
        for point in points.value:
            for general in point.full_name or ():
                if not text_of(general).startswith("http://"):
                    yield text_of(general)
