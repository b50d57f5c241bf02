"""Hierarchies: levels and limits, roots elsewhere, rollover, a root's certificate anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.test import Client
from django.urls import reverse

from ca import authorities, ceremonies, issuance, keys, names, revocation, rollover, slowdown, tasks
from ca.models import Ceremony, Certificate, Issuer, RevocationList
from ca.records import store
from ca.rehearsal import outside
from ca.wishes import AuthorityWish, Wish
from core import leases
from core.api_auth import create_token
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
    assert not Issuer.objects.able_to_issue(now).exists(), "and it is not offered"


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


def test_a_life_that_just_fitted_when_it_was_asked_for(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    at = now.replace(microsecond=0)
    ceremony = authorities.request_issuing(
        under=middle, wish=authority("Lower"), by=owner, at=at - timedelta(seconds=1)
    )
    later = at + timedelta(minutes=50)
    held = leases.claim(Ceremony.objects.due(later), ceremony.pk, worker="w", at=later)
    authorities.make(ceremony=held, at=later, clock=lambda: later)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.made.certificate.not_after <= middle.certificate.not_after
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(
            under=middle, wish=authority("Late"), by=owner, at=at + timedelta(days=3)
        )
    assert (refused.value.code, refused.value.field) == ("days_long", "issuing_days")


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


# -- rollover


@pytest.fixture
def successor(issuing, owner, now) -> Issuer:  # type: ignore[no-untyped-def]
    ceremony = rollover.request_successor(
        issuer=issuing, wish=authority("Second"), passphrase=PASSPHRASE, by=owner, at=now
    )
    assert carried_out(ceremony).state == Ceremony.DONE, ceremony.reason
    issuing.refresh_from_db()
    assert issuing.successor == ceremony.made and ceremony.made.parent == issuing.parent
    return ceremony.made


def test_rollover_with_an_overlap(issuing, successor, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    before = leaf(issuing, owner, now, "old.example.test")
    assert list(Issuer.objects.able_to_issue(now)) == [successor, issuing], "the new one first"
    assert issuing.in_charge(now) == issuing
    rollover.retire(issuer=issuing, by=owner, at=now)
    assert issuing.retired_at == now and list(Issuer.objects.able_to_issue(now)) == [successor]
    assert issuing.in_charge(now) == successor
    with pytest.raises(issuance.IssuanceRefused) as refused:
        issuance.request(profile="host", names=["a.example.test"], issuer=issuing, by=owner, at=now)
    assert refused.value.code == "issuer_unable"
    revocation.revoke(certificate=before, reason="superseded", by=owner, at=now)
    tasks.sign_list(issuing.revocation_list.pk)
    listed = x509.load_der_x509_crl(bytes(RevocationList.objects.get(issuer=issuing).der))
    found = listed.get_revoked_certificate_by_serial_number(int(before.serial, 16))
    assert found is not None, "it still signs its lists"
    after = leaf(successor, owner, now, "new.example.test")
    assert "OK" in openssl_verify(after.pem, after.chain_pem, after.root_pem)

    rollover.reinstate(issuer=issuing, by=owner, at=now)
    assert issuing.able_to_issue(now)
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert [each for each in actions if each.startswith("ca.authority.re")] == [
        "ca.authority.retired",
        "ca.authority.reinstated",
    ]


def test_what_cannot_be_rolled_over(issuing, successor, owner, now) -> None:  # type: ignore[no-untyped-def]
    def refused(act, **what):  # type: ignore[no-untyped-def]
        with pytest.raises(rollover.NotRetirable) as refusal:
            act(by=owner, at=now, **what)
        assert refusal.value.status == 409 and refusal.value.sentence != refusal.value.code
        return refusal.value.code

    third = {"wish": authority("Third"), "passphrase": PASSPHRASE}
    assert refused(rollover.request_successor, issuer=issuing, **third) == "successor_there"
    root = issuing.parent
    assert refused(rollover.request_successor, issuer=root, **third) == "successor_root"
    assert refused(rollover.retire, issuer=root) == "retire_root"
    assert refused(rollover.reinstate, issuer=issuing) == "not_retired"
    rollover.retire(issuer=issuing, by=owner, at=now)
    late = Issuer.objects.get(pk=issuing.pk)
    assert refused(rollover.retire, issuer=late) == "retired_already"
    Certificate.objects.filter(pk=issuing.certificate_id).update(not_after=now)
    assert refused(rollover.reinstate, issuer=Issuer.objects.get(pk=issuing.pk)) == (
        "reinstate_ended"
    )


def test_a_retired_one_signs_no_authority(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    rollover.retire(issuer=middle, by=owner, at=now)
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(under=middle, wish=authority("Lower"), by=owner, at=now)
    assert refused.value.code == "parent_retired"


def test_two_successors_at_once(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = [
        rollover.request_successor(
            issuer=issuing, wish=authority(name), passphrase=PASSPHRASE, by=owner, at=now
        )
        for name in ("Second", "Third")
    ]
    first, second = (carried_out(each) for each in asked)
    issuing.refresh_from_db()
    assert first.state == Ceremony.DONE and issuing.successor == first.made
    assert second.reason_code == "successor_there" and second.made is None


def test_the_next_name() -> None:
    named = lambda text: rollover.next_name(Issuer(name=text))  # noqa: E731
    assert named("Example Issuing CA") == "Example Issuing CA 2"
    assert named("Example Issuing CA 2") == "Example Issuing CA 3"
    assert named("2") == "2 2" and named("CA 20260101") == "CA 20260101 2"


# -- ceremonies that go wrong


def test_two_signers_and_a_killed_one(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    before = now - timedelta(minutes=3)
    ceremony = authorities.request_reissue(
        root=issuing.parent, passphrase=PASSPHRASE, by=owner, at=before
    )
    killed = leases.claim(Ceremony.objects.due(before), ceremony.pk, worker="killed", at=before)
    leases.save(killed, state=Ceremony.WORKING, steps=["open"])
    assert carried_out(ceremony).state == Ceremony.DONE
    count = Certificate.objects.count()
    with pytest.raises(leases.LeaseLost):
        authorities.make(ceremony=killed, at=now, clock=lambda: now)
    tasks.make_authority(ceremony.pk)
    assert Certificate.objects.count() == count


def test_one_that_kills_signers_is_refused(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    ceremony = authorities.request_reissue(
        root=issuing.parent, passphrase=PASSPHRASE, by=owner, at=now
    )
    Ceremony.objects.filter(pk=ceremony.pk).update(fence=ceremonies.MOST_CLAIMS)
    assert carried_out(ceremony).reason_code == "signer_failed"
    assert not ceremony.passphrase_sealed and Certificate.objects.count() == 2
    authorities.try_again(ceremony=ceremony, passphrase=PASSPHRASE, by=owner, at=now)
    assert carried_out(ceremony).state == Ceremony.DONE


def test_the_same_name_at_once(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = [
        authorities.request_issuing(
            under=root, wish=authority("Twin"), passphrase=PASSPHRASE, by=owner, at=now
        )
        for _ in range(2)
    ]
    states = [carried_out(each).state for each in asked]
    assert states == [Ceremony.DONE, Ceremony.REFUSED] and "Twin" in asked[1].reason
    assert Issuer.objects.filter(name="Twin").count() == 1


def test_the_signer_knows_every_kind() -> None:
    """A worker imports the tasks and nothing else."""
    asked = "import django; django.setup(); import ca.tasks; from ca.ceremonies import CARRIERS"
    done = subprocess.run(
        [sys.executable, "-c", f"{asked}; print(*sorted(CARRIERS))"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "mailadmin.settings"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) == {kind for kind, _label in Ceremony.KINDS}


# -- pages


def test_the_pages_of_a_rollover(issuing, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    leaf(issuing, owner, now, "a.example.test")
    page = reverse("ca:new_successor", args=[issuing.pk])
    shown = signed_in.get(page).content.decode()
    assert "Example Issuing 2" in shown and "192.0.2.0/24" in shown
    fields = {
        "issuing_name": "Example Issuing 2",
        "permitted": "example.test",
        "issuing_algorithm": "p256",
        "issuing_life": "1826",
        "issuing_path_length": "0",
    }
    preview = signed_in.post(page, fields | {"preview": "yes"}).content.decode()
    assert "This would be signed" in preview and "pathlen" in preview.lower()
    answer = signed_in.post(page, fields | {"passphrase": PASSPHRASE})
    tasks.make_authority(Ceremony.objects.latest("pk").pk)
    assert signed_in.get(answer.url).status_code == 200
    own = reverse("ca:authority", args=[issuing.pk])
    shown = signed_in.get(own).content.decode()
    assert "1 certificate is still out" in shown and "Example Issuing 2" in shown
    assert page not in shown and reverse("ca:retire", args=[issuing.pk]) in shown
    assert signed_in.get(page, follow=True).content.decode().count("already has a successor") == 1
    assert signed_in.get(reverse("ca:retire", args=[issuing.pk])).status_code == 405
    retired = signed_in.post(reverse("ca:retire", args=[issuing.pk]), follow=True).content.decode()
    assert reverse("ca:reinstate", args=[issuing.pk]) in retired and "Retired:" in retired
    again = signed_in.post(reverse("ca:retire", args=[issuing.pk]), follow=True).content.decode()
    assert "is retired already" in again
    tree = signed_in.get(reverse("ca:authorities")).content.decode()
    assert "retired" in tree and "followed by Example Issuing 2" in tree
    signed_in.post(reverse("ca:reinstate", args=[issuing.pk]))
    issuing.refresh_from_db()
    assert issuing.retired_at is None


def test_the_page_of_a_root_signed_anew(issuing, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    root = issuing.parent
    page = reverse("ca:reissue", args=[root.pk])
    assert signed_in.get(page).status_code == 200
    assert signed_in.get(reverse("ca:reissue", args=[issuing.pk])).status_code == 404
    far = {"root_life": "other", "root_days": "20000", "passphrase": PASSPHRASE}
    refused = signed_in.post(page, far)
    assert refused.status_code == 422 and "root_days" in refused.context["form"].errors
    assert "passphrase" in signed_in.post(page, {"root_life": "7305"}).context["form"].errors
    answer = signed_in.post(page, {"root_life": "7305", "passphrase": PASSPHRASE})
    tasks.make_authority(Ceremony.objects.latest("pk").pk)
    assert signed_in.get(answer.url).status_code == 200
    shown = signed_in.get(reverse("ca:authority", args=[root.pk])).content.decode()
    assert "Its certificates from before" in shown
    assert reverse("ca:certificate", args=[root.certificate_id]) in shown
    assert signed_in.get(reverse("ca:certificate", args=[root.certificate_id])).status_code == 200


def test_a_root_alone_on_its_page(signed_in: Client) -> None:
    page = reverse("ca:new_root")
    fields = {
        "organisation": "Example",
        "root_name": "Example Root",
        "root_algorithm": "ed25519",
        "root_life": "other",
        "root_days": "18263",
        "root_path_length": "1",
    }
    preview = signed_in.post(page, fields | {"preview": "yes"}).content.decode()
    assert "Ed25519: Windows" in preview[preview.index('id="preview"') :]
    assert not Ceremony.objects.exists()
    secret = {"passphrase": PASSPHRASE, "passphrase_again": PASSPHRASE}
    assert signed_in.post(page, fields).status_code == 422
    answer = signed_in.post(page, fields | secret)
    tasks.make_authority(Ceremony.objects.get().pk)
    root = Issuer.objects.get()
    assert root.algorithm == "ed25519"
    assert root.parsed.extensions.get_extension_for_class(
        x509.BasicConstraints
    ).value == x509.BasicConstraints(True, 1)
    assert reverse("ca:authority", args=[root.pk]) in signed_in.get(answer.url).content.decode()


def test_pages_ask_little_of_the_database(
    issuing, successor, signed_in: Client, django_assert_max_num_queries
) -> None:  # type: ignore[no-untyped-def]
    for page in (
        reverse("ca:authorities"),
        reverse("ca:authority", args=[issuing.pk]),
        reverse("ca:authority", args=[issuing.parent_id]),
    ):
        signed_in.get(page)
        with django_assert_max_num_queries(10) as asked:
            signed_in.get(page)
        lists = [each["sql"] for each in asked if "ca_revocationlist" in each["sql"]]
        assert not any('"der"' in sql for sql in lists), "a long list is not read for its number"


def test_only_an_owner_manages(issuing, viewer, client: Client) -> None:  # type: ignore[no-untyped-def]
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    for page in (
        "new_root", "new_request", "new_issuing", "new_successor", "new_subordinate", "reissue",
        "accept", "retire", "reinstate",
    ):  # fmt: skip
        args = [] if page in ("new_root", "new_request") else [issuing.pk]
        assert client.post(reverse(f"ca:{page}", args=args)).status_code == 403, page
    shown = client.get(reverse("ca:authority", args=[issuing.pk])).content.decode()
    assert reverse("ca:retire", args=[issuing.pk]) not in shown


# -- calls


def call(client: Client, by, now, method: str, path: str, body: object = None):  # type: ignore[no-untyped-def]
    _token, secret = create_token(
        name="test", scopes=["ca:read", "ca:issue"], expires_at=None, by=by, at=now
    )
    return client.generic(
        method, f"/api/v1{path}", json.dumps(body) if body is not None else "",
        content_type="application/json", headers={"Authorization": f"Bearer {secret}"},
    )  # fmt: skip


def test_a_hierarchy_by_calls(owner, now, client: Client, caplog) -> None:  # type: ignore[no-untyped-def]
    def do(method: str, path: str, body: object = None):  # type: ignore[no-untyped-def]
        return call(client, owner, now, method, path, body)

    def made(answer):  # type: ignore[no-untyped-def]
        assert answer.status_code == 202, answer.content
        tasks.make_authority(answer.json()["id"])
        done = do("GET", f"/ceremonies/{answer.json()['id']}").json()
        assert done["state"] == "done", done
        return done["made"] or done["root"]

    unread = do("POST", "/authorities/roots", {"passphrase": PASSPHRASE, "days": "many"})
    assert unread.status_code == 422 and PASSPHRASE not in unread.content.decode()
    weak = do("POST", "/authorities/roots", {"name": "Root", "passphrase": "short"})
    assert weak.status_code == 422 and "12 characters" in weak.json()["detail"]
    root = made(
        do(
            "POST",
            "/authorities/roots",
            {"name": "Root", "algorithm": "p256", "passphrase": PASSPHRASE},
        )
    )
    issuing = {"under": root, "name": "Issuing", "passphrase": PASSPHRASE}
    assert do("POST", "/authorities", issuing).status_code == 422, "limits are missing"
    issuing = made(do("POST", "/authorities", issuing | {"permitted": ["example.test"]}))
    second = {"replaces": issuing, "name": "Second", "permitted": ["example.test"]}
    assert (
        do("POST", "/authorities", second).json()["detail"] == "Enter the passphrase of the root."
    )
    second = made(do("POST", "/authorities", second | {"passphrase": PASSPHRASE}))
    retired = do("POST", f"/authorities/{issuing}/retire").json()
    assert (retired["state"], retired["successor"], retired["can_issue"]) == (
        "retired", second, False,
    )  # fmt: skip
    assert do("POST", f"/authorities/{issuing}/retire").status_code == 409
    assert do("POST", f"/authorities/{issuing}/reinstate").json()["state"] == "valid"
    made(do("POST", f"/authorities/{root}/reissue", {"passphrase": PASSPHRASE}))
    wrong = do("POST", f"/authorities/{root}/list", {"passphrase": WRONG}).json()["id"]
    tasks.make_authority(wrong)
    assert do("GET", f"/ceremonies/{wrong}").json()["reason_code"] == "wrong_passphrase"
    again = do("POST", f"/ceremonies/{wrong}/again", {"passphrase": PASSPHRASE})
    assert again.status_code == 202
    waiting = made(
        do("POST", "/authorities/request", {"name": "Waiting", "permitted": ["example.test"]})
    )
    shown = do("GET", f"/authorities/{waiting}").json()
    assert shown["state"] == "waiting" and "CERTIFICATE REQUEST" in shown["csr"]
    bad = do("POST", f"/authorities/{waiting}/certificate", {"certificate": "x"})
    assert bad.status_code == 422
    spare = made(do("POST", "/authorities/request", {"name": "Spare", "permitted": ["a.test"]}))
    assert do("DELETE", f"/authorities/{spare}").status_code == 204
    assert do("DELETE", f"/authorities/{issuing}").status_code == 422
    listed = do("GET", "/authorities").json()
    assert [each["name"] for each in listed] == ["Issuing", "Root", "Second", "Waiting"]
    assert PASSPHRASE not in caplog.text


def test_calls_are_the_owners(issuing, viewer, now, client: Client) -> None:  # type: ignore[no-untyped-def]
    for path, body in (
        ("/authorities/roots", {"name": "R", "passphrase": PASSPHRASE}),
        ("/authorities", {"under": issuing.parent_id, "name": "I"}),
        ("/authorities/request", {"name": "I"}),
        (f"/authorities/{issuing.pk}/certificate", {"certificate": ""}),
        (f"/authorities/{issuing.parent_id}/reissue", {"passphrase": PASSPHRASE}),
        (f"/authorities/{issuing.parent_id}/list", {"passphrase": PASSPHRASE}),
        (f"/authorities/{issuing.pk}/retire", None),
        (f"/authorities/{issuing.pk}/reinstate", None),
        (f"/ceremonies/{Ceremony.objects.get().pk}/again", {}),
    ):
        assert call(client, viewer, now, "POST", path, body).status_code == 403, path
