"""Every profile with every algorithm before pkilint, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import finding_filter, loader
from pkilint.cabf import serverauth, smime
from pkilint.cabf.serverauth.serverauth_constants import CertificateType
from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel
from pkilint.pkix import certificate as pkix
from pkilint.pkix import extension as pkix_extension
from pkilint.pkix import name as pkix_name
from pkilint.validation import ValidationFindingSeverity

from ca import profiles
from tests.ca.conformance import AUTHORITIES, CASES, LEAVES, hierarchy, key_of

# pkilint's rules for certificates in general (RFC 5280), for TLS and for S/MIME. The latter two are
# the public authorities' Baseline Requirements.


def _pkix() -> Any:
    return pkix.create_pkix_certificate_validator_container(
        pkix.create_decoding_validators(
            pkix_name.ATTRIBUTE_TYPE_MAPPINGS, pkix_extension.EXTENSION_MAPPINGS
        ),
        [
            pkix.create_issuer_validator_container([]),
            pkix.create_validity_validator_container(),
            pkix.create_subject_validator_container([]),
            pkix.create_extensions_validator_container([]),
            pkix.create_spki_validator_container([]),
        ],
    )


def _tls(kind: CertificateType) -> Any:
    return pkix.create_pkix_certificate_validator_container(
        serverauth.create_decoding_validators(), serverauth.create_validators(kind)
    )


def _smime(level: ValidationLevel, generation: Generation) -> Any:
    return pkix.create_pkix_certificate_validator_container(
        smime.create_decoding_validators(), smime.create_subscriber_validators(level, generation)
    )


@cache
def judge(name: str) -> tuple[Any, list[Any]]:
    """A validator of pkilint, and its own filters of what a stricter rule takes the place of."""
    kinds: Mapping[str, Callable[[], Any]] = {
        "pkix": _pkix,
        "smime-mailbox": lambda: _smime(ValidationLevel.MAILBOX, Generation.STRICT),
        "smime-person": lambda: _smime(ValidationLevel.INDIVIDUAL, Generation.MULTIPURPOSE),
    }
    if name in kinds:
        return kinds[name](), []
    kind = CertificateType.from_option_str(name.removeprefix("tls-"))
    return _tls(kind), serverauth.create_serverauth_finding_filters(kind)


def findings(name: str, certificate: x509.Certificate) -> set[str]:
    """The codes of what `judge(name)` calls a warning or worse."""
    validator, filters = judge(name)
    document = loader.RFC5280CertificateDocumentLoader().load_der_document(
        certificate.public_bytes(Encoding.DER)
    )
    results = validator.validate(document.root)
    if filters:
        results, _dropped = finding_filter.filter_results(filters, results)
    return {
        each.finding.code
        for result in results
        for each in result.finding_descriptions
        if each.finding.severity <= ValidationFindingSeverity.WARNING
    }


PUBLIC_POLICY = "only public authorities may claim the CA/B Forum's policies"
ED25519_SIGNATURE = "cabf.serverauth.prohibited_signature_algorithm_encoding"
ED25519_KEY = "cabf.serverauth.prohibited_subject_public_key_algorithm_encoding"
ED25519 = {
    ED25519_SIGNATURE: "public authorities may not use Ed25519; the page warns of clients as well",
    ED25519_KEY: "the same",
}
# By judge and certificate: what it finds, and why that stays. What it does not find is not here.
JUSTIFIED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("pkix", "host"): {
        "pkix.invalid_domain_name_syntax": "the wildcard, which RFC 6125 adds to RFC 5280's names",
    },
    ("tls-OV-FINAL-CERTIFICATE", "host"): {
        "cabf.internal_ip_address": "an address of the documentation, and inner ones are allowed",
        "cabf.serverauth.subscriber.certificate_policies_extension_absent": PUBLIC_POLICY,
        "cabf.serverauth.subscriber_stateprovince_and_locality_missing": "nobody here needs them",
        "cabf.serverauth.ov.common_name_attribute_present": "people and logs show the CN",
        "cabf.serverauth.subscriber.subject_key_identifier_extension_present": "RFC 5280 4.2.1.2",
        "cabf.serverauth.subscriber_rsa_digitalsignature_and_keyencipherment_present": "mail "
        "programs that know only TLS 1.2's RSA key exchange",
    },
    ("tls-DV-FINAL-CERTIFICATE", "host-long"): {
        "cabf.serverauth.subscriber.certificate_policies_extension_absent": PUBLIC_POLICY,
        "cabf.serverauth.subscriber.subject_key_identifier_extension_present": "RFC 5280 4.2.1.2",
        "cabf.serverauth.subscriber_rsa_digitalsignature_and_keyencipherment_present": "as above",
    },
    ("tls-OCSP-RESPONDER", "ocsp"): {
        "cabf.serverauth.ca.country_attribute_absent": "its CN says whose it is",
        "cabf.serverauth.ca.organization_name_attribute_absent": "the same",
    },
    ("smime-mailbox", "person"): {
        "cabf.smime.certificate_policies_extension_missing": PUBLIC_POLICY,
    },
    ("smime-person", "person-named"): {
        "cabf.smime.certificate_policies_extension_missing": PUBLIC_POLICY,
        "cabf.smime.missing_required_attribute": "a Chinese name is not cut into two attributes",
        "cabf.smime.common_name_value_unknown_source": "the same: the CN is the person's name",
        "cabf.smime.prohibited_attribute": "O: persons belong to the one organisation there is",
    },
    ("tls-INTERNAL-CONSTRAINED-TLS-CA", "issuing"): {
        "cabf.serverauth.ca.certificate_policies_extension_absent": PUBLIC_POLICY,
        "cabf.serverauth.ca.extended_key_usage_extension_absent": "it signs for hosts, persons, "
        "clients and responders",
        "cabf.serverauth.ca.incomplete_name_constraints": "subjects are an operator's free choice",
        "cabf.serverauth.name_constraints_discouraged_name_type": "mail addresses are limited too",
    },
}
JUDGED = [
    *(("pkix", name) for name in ("root", "issuing", *CASES)),
    ("tls-ROOT-CA", "root"),
    ("tls-INTERNAL-CONSTRAINED-TLS-CA", "issuing"),
    ("tls-OV-FINAL-CERTIFICATE", "host"),
    ("tls-DV-FINAL-CERTIFICATE", "host-long"),
    ("tls-OCSP-RESPONDER", "ocsp"),
    ("smime-mailbox", "person"),
    ("smime-person", "person-named"),
]


def of(algorithm: str, name: str) -> list[x509.Certificate]:
    made = hierarchy(algorithm)
    if name in CASES:
        return [made.leaves[name, leaf] for leaf in LEAVES]
    return [made.root if name == "root" else made.issuing]


@pytest.mark.parametrize(("by", "name"), JUDGED)
def test_pkilint(by: str, name: str) -> None:
    justified = set(JUSTIFIED.get((by, name), {}))
    found: set[str] = set()
    for algorithm in AUTHORITIES:
        of_this = set().union(*(findings(by, each) for each in of(algorithm, name)))
        if algorithm == "ed25519":
            of_this -= set(ED25519)
        found |= of_this
    assert found == justified


def test_pkilint_names_ed25519_as_it_does() -> None:
    """Else the exception for it would stand for nothing."""
    made = hierarchy("ed25519")
    assert findings("tls-ROOT-CA", made.root) == set(ED25519)
    assert findings("tls-ROOT-CA", hierarchy("p256").root) == set()


def test_pkilint_finds_what_is_wrong() -> None:
    """A judge that never finds anything would be none: an EC key that enciphers keys."""
    made = hierarchy("p256")
    leaf = made.leaves["host", "p256"]
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.issuer)
        .public_key(key_of("p256", "leaf").public_key)
        .serial_number(leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage):
            value = profiles.HOST.key_usage(key_of("rsa2048", "leaf").public_key)
        builder = builder.add_extension(value, critical=extension.critical)
    signer = ec.generate_private_key(ec.SECP256R1())
    assert findings("tls-OV-FINAL-CERTIFICATE", builder.sign(signer, hashes.SHA256())) - set(
        JUSTIFIED["tls-OV-FINAL-CERTIFICATE", "host"]
    )
