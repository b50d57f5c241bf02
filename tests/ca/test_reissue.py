"""A root's certificate anew, with the same key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.test import Client
from django.urls import reverse

from ca import authorities
from ca.models import Ceremony, Certificate, Issuer
from ca.records import store
from core.models import AuditEvent
from tests.ca.conftest import PASSPHRASE, leaf_of
from tests.ca.levels import authority, below, carried_out

pytestmark = pytest.mark.django_db
WRONG = "seven honest serving men"


def test_a_roots_certificate_anew(issuing, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    root, old = issuing.parent, issuing.parent.certificate
    before = leaf_of(issuing, owner, now, "a.example.test")
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
    after = leaf_of(issuing, owner, now, "b.example.test")
    for each in (before, after):
        for trusted in (old, new):
            said = openssl_verify(each.pem, each.chain_pem, trusted.pem)
            assert "leaf.pem: OK" in said, said
    assert "leaf.pem: OK" in openssl_verify(new.pem, "", new.pem)
    assert AuditEvent.objects.filter(action="ca.authority.reissued").count() == 1


def by_hand(key: ec.EllipticCurvePrivateKey, now, identifier: bytes | None) -> x509.Certificate:  # type: ignore[no-untyped-def]
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

    private = ec.generate_private_key(ec.SECP256R1())
    signed = by_hand(private, now, identifier)
    key = keystore.SigningKey(private)
    old_root = making.new_issuer(
        name="Old Office", algorithm="p256", key_id=key.key_id, kept="passphrase",
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


def test_certificates_bound_to_a_serial_are_said(issuing, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    root = issuing.parent
    page, words = reverse("ca:reissue", args=[root.pk]), "name the serial number"
    assert words not in signed_in.get(page).content.decode()
    key, above = ec.generate_private_key(ec.SECP256R1()), root.parsed
    old_habit = x509.AuthorityKeyIdentifier(
        key_identifier=None,
        authority_cert_issuer=[x509.DirectoryName(above.subject)],
        authority_cert_serial_number=above.serial_number,
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old.example.test")]))
        .issuer_name(above.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(old_habit, critical=False)
        .sign(key, hashes.SHA256())
    )
    store(issuer=root, certificate=signed, profile="host", at=now)
    assert words in signed_in.get(page).content.decode()


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
