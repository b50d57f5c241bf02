"""Every profile with every algorithm, before the judges: pkilint, OpenSSL, GnuTLS and NSS.

Four hierarchies, one an authority's algorithm, and under each every profile with every key that a
leaf may have. A judge that is not installed skips its tests; with CI=true it fails them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
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

from ca import keystore, lints, names, profiles, template

AT = datetime.now(UTC) - timedelta(minutes=5)
AUTHORITIES = ("p256", "p384", "rsa2048", "ed25519")
LEAVES = ("p256", "p384", "rsa2048")
PERMITTED = names.parse_subtrees(["example.com", "192.0.2.0/24", "2001:db8::/32"])
PLACES = template.Addresses(
    issuer="http://pki.example.com/pki/a.crt",
    crl="http://pki.example.com/pki/a.crl",
    ocsp="http://pki.example.com/pki/ocsp/a",
)


@dataclass(frozen=True)
class Case:
    """A leaf that is asked for: its profile, names and subject."""

    profile: profiles.Profile
    texts: tuple[str, ...] = ()
    subject: tuple[tuple[str, str], ...] = ()


CASES: dict[str, Case] = {
    "host": Case(
        profiles.HOST,
        ("mail.example.com", "*.example.com", "郵件.example.com", "192.0.2.1", "2001:db8::1"),
        (("O", "Example"), ("C", "TW")),
    ),
    "host-long": Case(profiles.HOST, ("a" * 60 + ".example.com",)),
    "person": Case(profiles.PERSON, ("wang@example.com",)),
    "person-named": Case(
        profiles.PERSON,
        ("wang.da-ming@mail.example.com", "wang@郵件.example.com"),
        (("CN", "王大明"), ("O", "範例股份有限公司"), ("C", "TW")),
    ),
    "client": Case(profiles.CLIENT, ("wang@example.com", "laptop.example.com")),
    "ocsp": Case(profiles.OCSP, (), (("CN", "Example Issuing: revocation answers"),)),
}


def needs(command: str) -> None:
    if shutil.which(command) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {command}")


@cache
def key_of(algorithm: str, use: str) -> keystore.SigningKey:
    """`use` keeps the keys of a hierarchy apart."""
    return keystore.generate(algorithm)


@dataclass(frozen=True)
class Hierarchy:
    root: x509.Certificate
    issuing: x509.Certificate
    leaves: dict[tuple[str, str], x509.Certificate]


@cache
def hierarchy(algorithm: str) -> Hierarchy:
    root_key, issuing_key = key_of(algorithm, "root"), key_of(algorithm, "issuing")
    root_tbs = template.prepare_authority(
        profile=profiles.ROOT,
        subject={"CN": f"Example Root {algorithm}", "O": "Example", "C": "TW"},
        public_key=root_key.public_key,
        issuer=None,
        days=profiles.ROOT.days,
        at=AT,
        serial=template.random_serial(),
    )
    root = root_key.issue(lints.require(root_tbs, issuer=None))
    issuing_tbs = template.prepare_authority(
        profile=profiles.SUBORDINATE,
        subject={"CN": f"Example Issuing {algorithm}", "O": "Example", "C": "TW"},
        public_key=issuing_key.public_key,
        issuer=root,
        days=profiles.SUBORDINATE.days,
        at=AT,
        serial=template.random_serial(),
        permitted=PERMITTED,
        addresses=PLACES,
    )
    issuing = root_key.issue(lints.require(issuing_tbs, issuer=root))
    leaves = {}
    for name, case in CASES.items():
        for leaf_algorithm in LEAVES:
            tbs = template.prepare(
                profile=case.profile,
                names=[names.parse(text) for text in case.texts],
                public_key=key_of(leaf_algorithm, "leaf").public_key,
                issuer=issuing,
                days=case.profile.days,
                at=AT,
                serial=template.random_serial(),
                subject=dict(case.subject),
                addresses=PLACES,
            )
            leaves[name, leaf_algorithm] = issuing_key.issue(lints.require(tbs, issuer=issuing))
    return Hierarchy(root, issuing, leaves)


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


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every certificate as a PEM file: `<algorithm>/root.pem`, `host.rsa2048.pem`, …"""
    found = {}
    for algorithm in AUTHORITIES:
        folder = tmp_path_factory.mktemp(algorithm)
        made = hierarchy(algorithm)
        issuing = made.issuing.public_bytes(Encoding.PEM)
        (folder / "root.pem").write_bytes(made.root.public_bytes(Encoding.PEM))
        (folder / "issuing.pem").write_bytes(issuing)
        for (name, leaf), each in made.leaves.items():
            pem = each.public_bytes(Encoding.PEM)
            (folder / f"{name}.{leaf}.pem").write_bytes(pem)
            (folder / f"{name}.{leaf}.chain.pem").write_bytes(pem + issuing)
        found[algorithm] = folder
    return found


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


OPENSSL_PURPOSES = {
    "host": ("sslserver", "sslclient"),
    "host-long": ("sslserver", "sslclient"),
    "person": ("smimesign", "smimeencrypt"),
    "person-named": ("smimesign", "smimeencrypt"),
    "client": ("sslclient",),
    "ocsp": ("ocsphelper",),
}
# It wants keyEncipherment of whom mail is encrypted to, which an EC key must not have (RFC 5480 3):
# `openssl cms -encrypt` takes the certificate all the same.
ONLY_RSA = {"smimeencrypt"}


@pytest.mark.parametrize("algorithm", AUTHORITIES)
def test_openssl(algorithm: str, folders: dict[str, Path]) -> None:
    needs("openssl")
    strict = ("openssl", "verify", "-x509_strict", "-auth_level", "2", "-CAfile", "root.pem")
    for name, purposes in OPENSSL_PURPOSES.items():
        for purpose in purposes:
            leaves = ["rsa2048"] if purpose in ONLY_RSA else LEAVES
            files = [f"{name}.{leaf}.pem" for leaf in leaves]
            options = ("-purpose", purpose, "-untrusted", "issuing.pem")
            done = run(folders[algorithm], *strict, *options, *files)
            assert done.stdout.splitlines() == [f"{each}: OK" for each in files], done.stderr
    done = run(folders[algorithm], *strict, "issuing.pem")
    assert done.stdout == "issuing.pem: OK\n", done.stderr
    wrong = run(
        folders[algorithm], *strict, "-purpose", "sslserver", "-untrusted", "issuing.pem",
        "person.p256.pem",
    )  # fmt: skip
    assert "unsuitable certificate purpose" in wrong.stdout + wrong.stderr


GNUTLS_PURPOSES = {
    "host": ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"),
    "host-long": ("1.3.6.1.5.5.7.3.1",),
    "person": ("1.3.6.1.5.5.7.3.4",),
    "person-named": ("1.3.6.1.5.5.7.3.4",),
    "client": ("1.3.6.1.5.5.7.3.2",),
    "ocsp": ("1.3.6.1.5.5.7.3.9",),
}


@pytest.mark.parametrize("algorithm", AUTHORITIES)
def test_gnutls(algorithm: str, folders: dict[str, Path]) -> None:
    needs("certtool")
    verify = ("certtool", "--verify", "--verify-profile=medium", "--load-ca-certificate=root.pem")
    for name, purposes in GNUTLS_PURPOSES.items():
        for purpose in purposes:
            for leaf in LEAVES:
                file = f"--infile={name}.{leaf}.chain.pem"
                done = run(folders[algorithm], *verify, f"--verify-purpose={purpose}", file)
                assert done.returncode == 0, (name, leaf, done.stdout, done.stderr)
                assert "Chain verification output: Verified." in done.stdout
    code_signing = "--verify-purpose=1.3.6.1.5.5.7.3.3"
    wrong = run(folders[algorithm], *verify, code_signing, "--infile=host.p256.chain.pem")
    assert wrong.returncode != 0


# TLS server and client, signer and recipient of mail, responder. The NSS of Debian 12 cannot read a
# certificate with an Ed25519 key, which is what the page warns of; so it has no test.
NSS_USAGES = {
    "host": "VC",
    "host-long": "VC",
    "person": "SR",
    "person-named": "SR",
    "client": "C",
    "ocsp": "O",
}


@pytest.mark.parametrize("algorithm", [each for each in AUTHORITIES if each != "ed25519"])
def test_nss(algorithm: str, folders: dict[str, Path], tmp_path: Path) -> None:
    needs("certutil")
    folder, store = folders[algorithm], ("-d", f"sql:{tmp_path}")

    def add(name: str, trust: str) -> None:
        done = run(
            folder, "certutil", "-A", *store, "-n", name, "-t", trust, "-a", "-i", f"{name}.pem"
        )
        assert done.returncode == 0, done.stderr

    assert run(folder, "certutil", "-N", *store, "--empty-password").returncode == 0
    add("root", "CT,C,C")
    add("issuing", ",,")
    assert run(folder, "certutil", "-V", "-e", *store, "-n", "issuing", "-u", "L").returncode == 0
    for name, usages in NSS_USAGES.items():
        for leaf in LEAVES:
            add(f"{name}.{leaf}", ",,")
            for usage in usages:
                done = run(
                    folder, "certutil", "-V", "-e", *store, "-n", f"{name}.{leaf}", "-u", usage
                )
                assert "certificate is valid" in done.stdout, (name, leaf, usage, done.stderr)
    wrong = run(folder, "certutil", "-V", "-e", *store, "-n", "person.p256", "-u", "V")
    assert "certificate is valid" not in wrong.stdout
