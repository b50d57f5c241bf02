"""Hierarchies: levels and limits, roots elsewhere, rollover, a root's certificate anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ca import authorities, ceremonies, issuance, keys, names, slowdown, tasks
from ca.models import Ceremony, Certificate, Issuer
from ca.rehearsal import outside
from ca.wishes import AuthorityWish, Wish
from core import leases
from core.models import AuditEvent
from tests.ca.conftest import PASSPHRASE, make, request_for, wish

pytestmark = pytest.mark.django_db
WRONG = "seven honest serving men"


def carried_out(ceremony: Ceremony) -> Ceremony:
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    return ceremony


def authority(name: str, *permitted: str, levels: int | None = None, **more: object) -> Wish:
    part = AuthorityWish(name, "p256", 1000, organisation="Example", path_length=levels)
    return Wish(issuing=part, permitted=permitted or ("example.test",), **more)  # type: ignore[arg-type]


def below(under, owner, now, the_wish, passphrase="", **options):  # type: ignore[no-untyped-def]
    ceremony = carried_out(
        authorities.request_issuing(
            under=under, wish=the_wish, passphrase=passphrase, by=owner, at=now, **options
        )
    )
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    return ceremony.made


def leaf(issuer, owner, now, *dns):  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=dns, issuer=issuer, csr_pem=request_for(), by=owner, at=now
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None, order.reason
    return order.certificate


@pytest.fixture
def root(owner, now) -> Issuer:  # type: ignore[no-untyped-def]
    only = replace(wish(root_key="p256"), issuing=None, permitted=())
    ceremony = authorities.request_root(wish=only, passphrase=PASSPHRASE, by=owner, at=now)
    assert carried_out(ceremony).state == Ceremony.DONE, ceremony.reason
    assert ceremony.root is not None and ceremony.made is None
    return ceremony.root


# -- a root alone, levels and limits


def test_a_root_alone(root, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    assert ceremony_of(root).steps == ["root_key", "seal", "root", "lists"]
    assert root.is_root and root.revocation_list.number == 1
    assert not root.able_to_issue(now)
    assert "leaf.pem: OK" in openssl_verify(root.certificate.pem, "", root.certificate.pem)
    limits = root.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits.ca and limits.path_length is None


def ceremony_of(root: Issuer) -> Ceremony:
    return root.ceremonies.earliest("pk")


@pytest.mark.skipif("ed25519" not in keys.ALGORITHMS, reason="not offered")
def test_an_ed25519_hierarchy(owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    made = make(owner, now, wish(root_key="ed25519", issuing_key="ed25519")).made
    certificate = leaf(made, owner, now, "a.example.test")
    said = openssl_verify(certificate.pem, certificate.chain_pem, certificate.root_pem)
    assert "leaf.pem: OK" in said, said
    assert certificate.parsed.signature_hash_algorithm is None
    listed = x509.load_der_x509_crl(bytes(made.revocation_list.der))
    assert listed.is_signature_valid(made.parsed.public_key())


def test_three_levels_without_a_passphrase_in_the_middle(root, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    ceremony = authorities.request_issuing(
        under=middle, wish=authority("Lower", "mail.example.test"), by=owner, at=now
    )
    assert not ceremony.passphrase_sealed, "the key of the one above is with the signer"
    assert ceremonies.steps_of(ceremony) == ("issuing_key", "issuing", "lists")
    lower = carried_out(ceremony).made
    assert lower is not None, ceremony.reason
    certificate = leaf(lower, owner, now, "mail.example.test")
    assert [each.name for each in lower.path()] == ["Lower", "Middle", "Example Root"]
    assert certificate.chain_pem.count("BEGIN") == 2
    said = openssl_verify(certificate.pem, certificate.chain_pem, certificate.root_pem)
    assert "leaf.pem: OK" in said, said
    middle.revocation_list.refresh_from_db()
    assert middle.revocation_list.number == 2
    Certificate.objects.filter(pk=middle.certificate_id).update(
        state=Certificate.REVOKED, revoked_at=now
    )
    assert not Issuer.objects.get(pk=lower.pk).able_to_issue(now), "what is above counts too"


def test_levels_are_counted(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    lower = below(middle, owner, now, authority("Lower"))
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(under=lower, wish=authority("Deep"), by=owner, at=now)
    assert refused.value.code == "path_length_none" and "Lower" in refused.value.sentence
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle, wish=authority("Deep", levels=1), by=owner, at=now
        )
    assert (refused.value.code, refused.value.field) == ("path_length_long", "issuing_path_length")
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle, wish=authority("Deep", levels=9), by=owner, at=now
        )
    assert refused.value.code == "path_length_range"
    flat = wish("Flat Root", "Flat Issuing")
    flat = replace(flat, root=replace(flat.root, path_length=0))
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_hierarchy(wish=flat, passphrase=PASSPHRASE, by=owner, at=now)
    assert refused.value.code == "path_length_none"


@pytest.mark.parametrize(
    ("permitted", "unconstrained", "code"),
    [
        (("elsewhere.test",), False, "constraints_wider"),
        (("test",), False, "constraints_wider"),
        (("example.test", "192.0.0.0/16"), False, "constraints_wider"),
        (("notexample.test",), False, "constraints_wider"),
        ((), True, "constraints_dropped"),
        ((), False, "constraints_missing"),
    ],
)
def test_limits_are_nested(permitted, unconstrained, code, root, owner, now) -> None:  # type: ignore[no-untyped-def]
    limited = authority("Middle", "example.test", "192.0.2.0/24", levels=1)
    middle = below(root, owner, now, limited, PASSPHRASE)
    part = AuthorityWish("Lower", "p256", 1000)
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle,
            wish=Wish(issuing=part, permitted=permitted),
            unconstrained=unconstrained,
            by=owner,
            at=now,
        )
    assert (refused.value.code, refused.value.field) == (code, "permitted")
    assert not Ceremony.objects.filter(root=middle).exists()
    lower = below(middle, owner, now, authority("Lower", "a.example.test", "192.0.2.128/25"))
    assert lower.permitted == ["a.example.test", "192.0.2.128/25"]


def test_what_is_outside() -> None:
    tree = names.parse_subtrees
    assert outside(tree([]), tree(["a.test"])) == []
    assert outside(tree(["a.test"]), tree([])) == ["*"]
    assert outside(tree(["a.test"]), tree(["b.a.test", "192.0.2.0/24"])) == ["192.0.2.0/24"]
    assert outside(tree(["192.0.2.0/24"]), tree(["192.0.2.0/25", "2001:db8::/32"])) == [
        "2001:db8::/32"
    ]


# -- wrong passphrases


def test_wrong_passphrases_are_slowed_down(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    root = issuing.parent
    now = now + timedelta(minutes=1)  # after the ceremony that made it

    def tried(phrase: str, at):  # type: ignore[no-untyped-def]
        ceremony = authorities.request_list(root=root, passphrase=phrase, by=owner, at=at)
        held = leases.claim(Ceremony.objects.due(at), ceremony.pk, worker="w", at=at)
        authorities.make(ceremony=held, at=at, clock=lambda: at)
        ceremony.refresh_from_db()
        return ceremony

    for second in range(3):
        assert tried(WRONG, now + timedelta(seconds=second)).reason_code == "wrong_passphrase"
    soon = now + timedelta(seconds=30)
    with pytest.raises(authorities.NotMade) as refused:
        tried(PASSPHRASE, soon)
    assert refused.value.code == "slowed_down" and root.name in refused.value.sentence
    assert f"{now + timedelta(seconds=62):%H:%M} UTC" in refused.value.sentence
    last = Ceremony.objects.latest("pk")
    with pytest.raises(authorities.NotMade) as refused:
        authorities.try_again(ceremony=last, passphrase=PASSPHRASE, by=owner, at=soon)
    assert refused.value.code == "slowed_down"
    assert Ceremony.objects.get(pk=last.pk).state == Ceremony.REFUSED

    later = now + timedelta(seconds=63)
    assert tried(WRONG, later).reason_code == "wrong_passphrase"
    with pytest.raises(authorities.NotMade):
        tried(PASSPHRASE, later + timedelta(seconds=90))
    good = later + timedelta(seconds=121)
    assert tried(PASSPHRASE, good).state == Ceremony.DONE
    assert tried(WRONG, good + timedelta(seconds=1)).reason_code == "wrong_passphrase"
    assert tried(PASSPHRASE, good + timedelta(seconds=2)).state == Ceremony.DONE, "counted anew"


def test_many_at_once_are_slowed_down_in_the_signer(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    Ceremony.objects.update(changed_at=now - timedelta(minutes=1))
    asked = [
        authorities.request_list(root=issuing.parent, passphrase=phrase, by=owner, at=now)
        for phrase in (WRONG, WRONG, WRONG, PASSPHRASE)
    ]
    assert [carried_out(each).reason_code for each in asked] == ["wrong_passphrase"] * 3 + [
        "slowed_down"
    ]
    assert asked[-1].state == Ceremony.REFUSED and not asked[-1].passphrase_sealed


def test_trying_again_does_not_forget(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    ceremony = authorities.request_list(root=issuing.parent, passphrase=WRONG, by=owner, at=now)
    for _ in range(2):
        carried_out(ceremony)
        authorities.try_again(ceremony=ceremony, passphrase=WRONG, by=owner, at=now)
    carried_out(ceremony)
    with pytest.raises(authorities.NotMade) as refused:
        authorities.try_again(ceremony=ceremony, passphrase=PASSPHRASE, by=owner, at=now)
    assert refused.value.code == "slowed_down"


def test_the_wait_doubles(now) -> None:  # type: ignore[no-untyped-def]
    def minutes(*at: float):  # type: ignore[no-untyped-def]
        until = slowdown.blocked_until([now + timedelta(minutes=each) for each in at])
        return None if until is None else (until - now).total_seconds() / 60

    assert minutes() is None and minutes(0, 1) is None
    assert minutes(0, 1, 2) == 3
    assert minutes(2, 0, 1) == 3, "in any order"
    assert minutes(0, 1, 2, 4) == 6 and minutes(0, 1, 2, 4, 7) == 11
    assert minutes(0, 6, 12) is None, "three within ten minutes"
    assert minutes(0, 6, 12, 14) == 15
    assert minutes(*range(30)) == 29 + 60, "an hour is the longest"
    assert minutes(0, 1, 2, 2 + 24 * 60 + 1) is None, "a quiet day ends it"


# -- the same key, another certificate


def test_a_roots_certificate_anew(issuing, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    root, old = issuing.parent, issuing.parent.certificate
    before = leaf(issuing, owner, now, "a.example.test")
    ceremony = authorities.request_reissue(
        root=root, days=4000, passphrase=PASSPHRASE, by=owner, at=now
    )
    assert carried_out(ceremony).state == Ceremony.DONE, ceremony.reason
    root.refresh_from_db()
    old.refresh_from_db()
    new = root.certificate
    assert new.pk != old.pk and new.serial != old.serial and new.key_id == old.key_id
    assert (old.state, old.superseded_by) == (Certificate.SUPERSEDED, new)
    assert new.not_after - new.not_before == timedelta(days=4000, seconds=-1)
    assert new.parsed.subject.public_bytes() == old.parsed.subject.public_bytes()
    identifiers = [
        each.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        for each in (old, new)
    ]
    assert identifiers[0] == identifiers[1]
    for kind in (x509.BasicConstraints, x509.KeyUsage):
        assert new.parsed.extensions.get_extension_for_class(kind).critical
    issuing = Issuer.objects.get(pk=issuing.pk)
    after = leaf(issuing, owner, now, "b.example.test")
    for each in (before, after):
        for trusted in (old, new):
            said = openssl_verify(each.pem, each.chain_pem, trusted.pem)
            assert "leaf.pem: OK" in said, said
    assert "leaf.pem: OK" in openssl_verify(new.pem, "", new.pem)
    assert AuditEvent.objects.filter(action="ca.authority.reissued").count() == 1


def by_hand(key: rsa.RSAPrivateKey, now, identifier: bytes | None) -> x509.Certificate:  # type: ignore[no-untyped-def]
    """A root as it was made long ago: nothing critical, no key usage, a lower-case country."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "tw"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Old Office"),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=3000))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=False)
    )
    if identifier is not None:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize("identifier", [b"odd", None])
def test_a_root_made_by_hand_becomes_a_strict_one(
    identifier, issuing, owner, now, openssl_verify
) -> None:  # type: ignore[no-untyped-def]
    from ca import keystore, making

    private = rsa.generate_private_key(65537, 2048)
    signed = by_hand(private, now, identifier)
    key = keystore.SigningKey(private)
    old_root = making.new_issuer(
        name="Old Office", algorithm="rsa2048", key_id=key.key_id, kept="passphrase",
        parent=None, at=now,
    )  # fmt: skip
    old_root.key_sealed = keystore.seal_with_passphrase(key, PASSPHRASE, identity=old_root.identity)
    making.insert(old_root, signed, profile="root", by=owner, at=now)
    old_pem = old_root.certificate.pem
    ceremony = authorities.request_reissue(root=old_root, passphrase=PASSPHRASE, by=owner, at=now)
    assert carried_out(ceremony).state == Ceremony.DONE, ceremony.reason
    old_root.refresh_from_db()
    new = old_root.certificate
    found = new.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert identifier is None or found.digest == identifier
    assert new.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value == (
        x509.BasicConstraints(ca=True, path_length=3)
    )
    child = below(old_root, owner, now, authority("New Issuing"), PASSPHRASE).certificate
    assert "leaf.pem: OK" in openssl_verify(child.pem, "", new.pem)
    assert "leaf.pem: OK" not in openssl_verify(child.pem, "", old_pem)


def test_only_a_root_with_its_key_here_is_signed_anew(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    for root, days, phrase, code in (
        (issuing, 10, PASSPHRASE, "reissue_root_only"),
        (issuing.parent, 0, PASSPHRASE, "days_long"),
        (issuing.parent, 20_000, PASSPHRASE, "days_long"),
        (issuing.parent, 10, "", "passphrase_missing"),
    ):
        with pytest.raises(authorities.NotMade) as refused:
            authorities.request_reissue(root=root, days=days, passphrase=phrase, by=owner, at=now)
        assert refused.value.code == code
    ceremony = authorities.request_reissue(root=issuing.parent, passphrase=WRONG, by=owner, at=now)
    assert carried_out(ceremony).reason_code == "wrong_passphrase"
    assert Certificate.objects.count() == 2, "nothing was signed"
