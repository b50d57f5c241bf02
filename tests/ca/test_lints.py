"""Each rule of `ca.lints` finds what breaks it, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ca import keystore, lints, names, profiles, template, wording

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
RSA_KEY = rsa.generate_private_key(65537, 2048).public_key()
ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()
WEAK = rsa.generate_private_key(65537, 1024).public_key()


def authority(**changes: object) -> template.ToBeSigned:
    options: dict[str, object] = {
        "profile": profiles.ROOT,
        "subject": {"CN": "Root", "O": "Example", "C": "TW"},
        "issuer": None,
        "days": 7305,
        "at": AT,
        "serial": template.random_serial(),
    }
    return template.prepare_authority(**(options | changes))  # type: ignore[arg-type]


ROOT_KEY, ISSUING_KEY = keystore.generate("p384"), keystore.generate("p256")
ROOT = ROOT_KEY.issue(lints.require(authority(public_key=ROOT_KEY.public_key), issuer=None))
SUB = authority(
    profile=profiles.SUBORDINATE,
    subject={"CN": "Issuing"},
    public_key=ISSUING_KEY.public_key,
    issuer=ROOT,
    days=1826,
    permitted=names.parse_subtrees(["example.test"]),
    addresses=template.Addresses("http://pki.example.test/a.crt", "http://pki.example.test/a.crl"),
)
ISSUING = ROOT_KEY.issue(lints.require(SUB, issuer=ROOT))


def leaf(key=KEY, texts=("mail.example.test",), **changes: object) -> template.ToBeSigned:  # type: ignore[no-untyped-def]
    options: dict[str, object] = {"days": 90, "at": AT, "serial": template.random_serial()}
    return template.prepare(
        profile=profiles.HOST,
        names=[names.parse(text) for text in texts],
        public_key=key,
        issuer=ISSUING,
        addresses=template.Addresses(
            "http://pki.example.test/b.crt", "http://pki.example.test/b.crl"
        ),
        **(options | changes),  # type: ignore[arg-type]
    )


def swap(tbs: template.ToBeSigned, value: x509.ExtensionType, critical: bool = False):  # type: ignore[no-untyped-def]
    """The certificate with this extension in place of its own of that kind."""
    kept = [each for each in tbs.extensions if each.oid != value.oid]
    new = x509.Extension(value.oid, critical, value)
    return dataclasses.replace(tbs, extensions=(*kept, new))


def without(tbs: template.ToBeSigned, kind: type[x509.ExtensionType]) -> template.ToBeSigned:
    kept = tuple(each for each in tbs.extensions if each.oid != kind.oid)
    return dataclasses.replace(tbs, extensions=kept)


def usage(**on: bool) -> x509.KeyUsage:
    every = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    return x509.KeyUsage(**(every | on))


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text, _validate=False)])


def san(*general: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(list(general))


replace = dataclasses.replace
LEAF_CASES: dict[str, Callable[[], template.ToBeSigned]] = {
    "serial_is_positive_and_short": lambda: leaf(serial=1 << 160),
    "serial_is_random": lambda: leaf(serial=17),
    "validity_has_a_length": lambda: replace(leaf(), not_after=AT - timedelta(days=1)),
    "validity_is_within_the_issuers": lambda: leaf(at=AT + timedelta(days=1800)),
    "validity_is_within_the_profiles": lambda: leaf(days=826),
    "only_responders_go_unchecked": lambda: swap(leaf(), x509.OCSPNoCheck()),
    "issuer_name_is_the_issuers": lambda: replace(leaf(), issuer=common_name("Other")),
    "subject_is_printable": lambda: replace(
        swap(leaf(), san(x509.DNSName("a.example.test"))), subject=common_name("a.example.test ")
    ),
    "country_is_two_letters": lambda: replace(
        leaf(),
        subject=x509.Name(
            [
                x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "tw"),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.test"),
            ]
        ),
    ),
    "key_is_strong": lambda: leaf(WEAK),
    "key_is_not_the_issuers": lambda: leaf(ISSUING_KEY.public_key),
    "extensions_appear_once": lambda: replace(
        leaf(), extensions=(*leaf().extensions, leaf().extensions[0])
    ),
    "basic_constraints_fit": lambda: swap(leaf(), x509.BasicConstraints(False, None), False),
    "key_usage_fits": lambda: swap(
        leaf(), usage(digital_signature=True, key_encipherment=True), True
    ),
    "extended_key_usage_is_the_profiles": lambda: swap(
        leaf(), x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING])
    ),
    "alternative_name_is_critical_without_subject": lambda: replace(leaf(), subject=x509.Name([])),
    "names_are_of_the_profiles_kinds": lambda: swap(
        leaf(),
        san(x509.DNSName("mail.example.test"), x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))),
    ),
    "names_appear_once": lambda: swap(leaf(), san(*[x509.DNSName("mail.example.test")] * 2)),
    "common_name_is_among_the_names": lambda: replace(
        leaf(), subject=common_name("a.example.test")
    ),
    "names_are_within_the_constraints": lambda: leaf(texts=["mail.elsewhere.test"]),
    "constraints_stand_only_in_authorities": lambda: swap(
        leaf(), x509.NameConstraints([x509.DNSName("example.test")], None), True
    ),
    "subject_key_identifier_is_present": lambda: without(leaf(), x509.SubjectKeyIdentifier),
    "authority_key_identifier_is_the_issuers": lambda: swap(
        leaf(), x509.AuthorityKeyIdentifier(b"0" * 20, None, None)
    ),
    "addresses_are_plain_http": lambda: leaf_with_https(),
    "subject_fields_are_short": lambda: replace(
        swap(leaf(), san(x509.DNSName("a" * 60 + ".example.test"))),
        subject=common_name("a" * 60 + ".example.test"),
    ),
}


def leaf_with_https() -> template.ToBeSigned:
    place = x509.AccessDescription(
        x509.AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier("https://pki.example.test/b.crt"),
    )
    return swap(leaf(), x509.AuthorityInformationAccess([place]))


# What cannot be broken without breaking another rule as well.
ALSO = {
    "names_are_of_the_profiles_kinds": {"names_are_well_formed"},
    "subject_is_printable": {"common_name_is_among_the_names"},
}


@pytest.mark.filterwarnings("ignore:Attribute's length")
@pytest.mark.parametrize("rule", LEAF_CASES)
def test_a_broken_rule_is_found_alone(rule: str) -> None:
    found = [each.lint for each in lints.run(LEAF_CASES[rule](), issuer=ISSUING)]
    assert set(found) == {rule} | ALSO.get(rule, set())


def test_a_certificate_without_names() -> None:
    found = {
        each.lint
        for each in lints.run(without(leaf(), x509.SubjectAlternativeName), issuer=ISSUING)
    }
    assert "alternative_name_is_present" in found


@pytest.mark.parametrize("bad", ["MAIL.example.test", "a_b.example.test", "m*.example.test"])
def test_names_in_another_form(bad: str) -> None:
    tbs = replace(swap(leaf(), san(x509.DNSName(bad)), True), subject=x509.Name([]))
    found = {each.lint for each in lints.run(tbs, issuer=ISSUING)}
    assert "names_are_well_formed" in found


@pytest.mark.parametrize(
    ("tbs", "issuer", "rule"),
    [
        (lambda: replace(SUB, subject=x509.Name([])), ROOT, "authority_has_a_subject"),
        (lambda: SUB, ISSUING, "path_length_is_within_the_issuers"),
        (
            lambda: swap(SUB, x509.BasicConstraints(False, None), True),
            ROOT,
            "basic_constraints_fit",
        ),
        (lambda: swap(SUB, usage(digital_signature=True), True), ROOT, "key_usage_fits"),
    ],
)
def test_rules_of_authorities(tbs, issuer, rule: str) -> None:  # type: ignore[no-untyped-def]
    assert rule in {each.lint for each in lints.run(tbs(), issuer=issuer)}


@pytest.mark.parametrize("key", [KEY, RSA_KEY])
@pytest.mark.parametrize(
    "texts",
    [["mail.example.test"], ["*.example.test", "example.test"], ["a" * 60 + ".example.test"]],
)
def test_what_is_prepared_meets_every_rule(key, texts: list[str]) -> None:  # type: ignore[no-untyped-def]
    tbs = leaf(key, texts)
    assert lints.run(tbs, issuer=ISSUING) == []
    signed = ISSUING_KEY.issue(lints.require(tbs, issuer=ISSUING))
    assert signed.not_valid_after_utc - signed.not_valid_before_utc == timedelta(
        days=90, seconds=-1
    )
    assert signed.not_valid_before_utc == AT - timedelta(hours=1)


def other_issuer(*extensions: x509.ExtensionType) -> x509.Certificate:
    """The issuing authority with other extensions: as somebody else may have made it."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(ISSUING.subject)
        .issuer_name(ROOT.subject)
        .public_key(ISSUING_KEY.public_key)
        .serial_number(1 << 80)
        .not_valid_before(ISSUING.not_valid_before_utc)
        .not_valid_after(ISSUING.not_valid_after_utc)
    )
    for value in (x509.SubjectKeyIdentifier.from_public_key(ISSUING_KEY.public_key), *extensions):
        builder = builder.add_extension(value, critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ((x509.BasicConstraints(True, None),), []),
        ((x509.BasicConstraints(True, None), profiles.ROOT.key_usage()), []),
        ((x509.BasicConstraints(False, None),), ["CA:FALSE"]),
        ((), ["basicConstraints"]),
        ((x509.BasicConstraints(True, None), usage(crl_sign=True)), ["keyCertSign"]),
    ],
)
def test_an_issuer_that_may_not_sign(
    extensions: tuple[x509.ExtensionType, ...], expected: list[str]
) -> None:
    found = lints.run(leaf(), issuer=other_issuer(*extensions))
    assert [(each.lint, each.detail) for each in found] == [
        ("issuer_may_sign", detail) for detail in expected
    ]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (x509.BasicConstraints, "basic_constraints_fit"),
        (x509.KeyUsage, "key_usage_fits"),
        (x509.ExtendedKeyUsage, "extended_key_usage_is_the_profiles"),
        (x509.AuthorityKeyIdentifier, "authority_key_identifier_is_the_issuers"),
    ],
)
def test_an_extension_that_is_missing(kind: type[x509.ExtensionType], rule: str) -> None:
    found = lints.run(without(leaf(), kind), issuer=ISSUING)
    assert [(each.lint, each.detail) for each in found] == [(rule, "missing")]


@pytest.mark.parametrize("bits", [{"key_cert_sign": True}, {"crl_sign": True}, {}])
def test_an_authority_signs_certificates_and_lists(bits: dict[str, bool]) -> None:
    found = lints.run(swap(SUB, usage(**bits), True), issuer=ROOT)
    assert [(each.lint, each.detail) for each in found] == [("key_usage_fits", "keyCertSign")]


@pytest.mark.parametrize("rule", ["basic_constraints_fit", "key_usage_fits"])
def test_what_must_be_critical(rule: str) -> None:
    kind = {"basic_constraints_fit": x509.BasicConstraints, "key_usage_fits": x509.KeyUsage}[rule]
    value = leaf().find(kind)
    assert value is not None
    found = lints.run(swap(leaf(), value.value, False), issuer=ISSUING)
    assert [(each.lint, each.detail) for each in found] == [(rule, "not critical")]


def directory(**fields: str) -> x509.DirectoryName:
    return x509.DirectoryName(template.subject_name(fields))


@pytest.mark.parametrize(
    ("permitted", "excluded", "within"),
    [
        ([directory(C="TW", O="Example")], None, True),
        ([directory(C="TW")], None, True),
        ([directory(C="TW", O="Other")], None, False),
        ([directory(O="Example")], None, False),
        ([directory(O="Other"), directory(C="TW")], None, True),
        (None, [directory(C="TW")], False),
        (None, [directory(C="JP")], True),
    ],
)
def test_an_issuer_that_is_limited_to_subjects(permitted, excluded, within: bool) -> None:  # type: ignore[no-untyped-def]
    limits = x509.NameConstraints(permitted, excluded)
    issuer = other_issuer(x509.BasicConstraints(True, None), limits)
    found = lints.run(leaf(subject={"C": "TW", "O": "Example"}), issuer=issuer)
    expected = [] if within else ["names_are_within_the_constraints"]
    assert [each.lint for each in found] == expected
    assert lints.run(replace(leaf(), subject=x509.Name([])), issuer=issuer)[-1].lint != (
        "names_are_within_the_constraints"
    )


def test_a_leaf_of_nobody() -> None:
    tbs = replace(without(leaf(), x509.SubjectAlternativeName), subject=x509.Name([]))
    found = {each.lint for each in lints.run(tbs, issuer=ISSUING)}
    assert found == {"alternative_name_is_present", "leaf_says_whose_it_is"}


def of(profile: profiles.Profile, texts: tuple[str, ...], key=KEY, **subject: str):  # type: ignore[no-untyped-def]
    return template.prepare(
        profile=profile,
        names=[names.parse(text) for text in texts],
        public_key=key,
        issuer=ISSUING,
        days=profile.days,
        at=AT,
        serial=template.random_serial(),
        subject=subject,
    )


@pytest.mark.parametrize(
    ("tbs", "broken"),
    [
        (lambda: of(profiles.PERSON, ("wang@example.test",)), []),
        (lambda: of(profiles.PERSON, ("wang@example.test",), RSA_KEY, CN="王大明"), []),
        (
            lambda: of(profiles.PERSON, ("wang@example.test",), CN="boss@example.test"),
            ["common_name_is_among_the_names"],
        ),
        (
            lambda: of(profiles.PERSON, ("wang@example.test",), CN="mail.example.test"),
            ["common_name_is_among_the_names"],
        ),
        (
            lambda: of(profiles.PERSON, ("mail.example.test",)),
            ["names_are_of_the_profiles_kinds"],
        ),
        (
            lambda: of(profiles.PERSON, ("wang@elsewhere.test",)),
            ["names_are_within_the_constraints"],
        ),
        (
            lambda: swap(
                of(profiles.PERSON, ("wang@example.test",)), usage(digital_signature=True), True
            ),
            ["key_usage_fits"],
        ),
        (lambda: of(profiles.CLIENT, ("wang@example.test", "host.example.test")), []),
        (
            lambda: of(profiles.CLIENT, ("*.example.test",)),
            ["names_are_of_the_profiles_kinds"],
        ),
        (lambda: of(profiles.CLIENT, ("192.0.2.1",)), None),
        (lambda: of(profiles.OCSP, (), CN="Example Issuing: answers"), []),
        (lambda: of(profiles.OCSP, ()), ["leaf_says_whose_it_is"]),
        (
            lambda: without(of(profiles.OCSP, (), CN="Responder"), x509.OCSPNoCheck),
            ["only_responders_go_unchecked"],
        ),
        (
            lambda: of(profiles.OCSP, ("mail.example.test",), CN="Responder"),
            ["names_are_of_the_profiles_kinds"],
        ),
        (
            lambda: of(profiles.HOST, ("wang@example.test",)),
            ["names_are_of_the_profiles_kinds"],
        ),
        (lambda: swap(leaf(), san(x509.DNSName("192.0.2.1"))), None),
        (
            lambda: swap(leaf(), x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])),
            ["extended_key_usage_is_the_profiles"],
        ),
        (lambda: leaf(ED25519), ["key_is_strong"]),
    ],
)
def test_rules_know_the_profile(tbs, broken: list[str] | None) -> None:  # type: ignore[no-untyped-def]
    """`None`: broken in more than one way."""
    found = [each.lint for each in lints.run(tbs(), issuer=ISSUING)]
    assert found == broken if broken is not None else len(found) > 1


def test_an_authority_may_have_ed25519() -> None:
    assert lints.run(authority(public_key=ED25519), issuer=None) == []


def test_every_rule_has_its_verdict() -> None:
    met = lints.verdicts(leaf(), ISSUING)
    assert [each.lint for each in met] == [each.id for each in lints.ALL]
    assert all(each.met and each.section for each in met)
    broken = [each for each in lints.verdicts(leaf(serial=17), ISSUING) if not each.met]
    assert [(each.lint, each.findings[0].detail) for each in broken] == [("serial_is_random", "11")]
    assert set(wording.RULES) == {each.id for each in lints.ALL}


def test_every_rule_is_tried() -> None:
    tried = set(LEAF_CASES) | {
        "issuer_may_sign",
        "leaf_says_whose_it_is",
        "alternative_name_is_present",
        "names_are_well_formed",
        "authority_has_a_subject",
        "path_length_is_within_the_issuers",
    }
    assert tried == {each.id for each in lints.ALL}
    assert all(each.section for each in lints.ALL)


def test_only_linted_is_signed_and_once() -> None:
    linted = lints.require(leaf(), issuer=ISSUING)
    ISSUING_KEY.issue(linted)
    with pytest.raises(RuntimeError):
        ISSUING_KEY.issue(linted)
    with pytest.raises(lints.LintFailed):
        lints.require(leaf(serial=17), issuer=ISSUING)
