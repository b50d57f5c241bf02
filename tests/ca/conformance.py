"""Six hierarchies, one an authority's algorithm, and under each every profile with every key that
a leaf may have: what the judges of `test_conformance.py` and `test_pkilint.py` are shown. Each key
is made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509

from ca import keystore, lints, names, profiles, template

AT = datetime.now(UTC) - timedelta(minutes=5)
AUTHORITIES = ("p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519")
LEAVES = ("p256", "p384", "rsa2048", "rsa3072", "rsa4096")
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
