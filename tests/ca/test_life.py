"""A certificate's way, from the passphrase to what a strict client says of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from ca import authorities, issuance, keystore, tasks
from ca.models import Ceremony, Certificate, Issuer, Order, RevocationList
from ca.wishes import Wish
from core import leases, seal
from core.models import AuditEvent
from tests.ca.conftest import PASSPHRASE, make, request_for, wish

pytestmark = pytest.mark.django_db


def ordered(issuing, owner, now, *names, **options):  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=names, issuer=issuing, by=owner, at=now, **options
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    return order


@pytest.mark.parametrize(
    ("root_key", "issuing_key", "leaf_key"),
    [
        ("p384", "p256", lambda: ec.generate_private_key(ec.SECP256R1())),
        ("rsa2048", "rsa2048", lambda: rsa.generate_private_key(65537, 2048)),
        ("p256", "p384", lambda: ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_a_strict_client_accepts_it(
    root_key, issuing_key, leaf_key, owner, now, openssl_verify
) -> None:  # type: ignore[no-untyped-def]
    ceremony = make(owner, now, wish(root_key=root_key, issuing_key=issuing_key))
    key = leaf_key()
    order = ordered(
        ceremony.made,
        owner,
        now,
        "mail.example.test",
        "192.0.2.7",
        csr_pem=request_for("elsewhere.test", key=key),
    )
    assert order.state == Order.ISSUED, order.reason
    certificate = order.certificate
    for host in ("-verify_hostname", "mail.example.test"), ("-verify_ip", "192.0.2.7"):
        said = openssl_verify(
            certificate.pem, certificate.chain_pem, certificate.root_pem,
            "-purpose", "sslserver", *host,
        )  # fmt: skip
        assert "leaf.pem: OK" in said, said
    parsed = certificate.parsed
    assert parsed.public_key() == key.public_key()
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment is isinstance(key, rsa.RSAPrivateKey)
    assert certificate.names == ["mail.example.test", "192.0.2.7"]


def test_the_key_may_come_later(issuing, owner, now, sent_nudges) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=["mail.example.test"], issuer=issuing, by=owner, at=now
    )
    assert order.state == Order.AWAITING_CSR
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.state == Order.AWAITING_CSR, "nothing is signed without a key"
    issuance.submit_csr(order=order, csr_pem=request_for("mail.example.test"), by=None, at=now)
    assert order.state == Order.SIGNING
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.state == Order.ISSUED
    assert order.certificate.key_id == order.key_id
    with pytest.raises(issuance.OrderEnded):
        issuance.submit_csr(order=order, csr_pem=request_for("mail.example.test"), by=None, at=now)


def test_a_request_for_another_key_is_refused(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=["mail.example.test"], issuer=issuing, by=owner, at=now
    )
    with pytest.raises(issuance.RequestUnreadable) as refused:
        issuance.submit_csr(
            order=order, csr_pem=request_for("mail.example.test"), key_id="0" * 32, by=None, at=now
        )
    assert "0" * 32 in refused.value.sentence
    order.refresh_from_db()
    assert order.state == Order.AWAITING_CSR and not order.csr_pem


@pytest.mark.parametrize("name", ["mail.elsewhere.test", "*.test", "198.51.100.1", "2001:db8::1"])
def test_names_outside_the_constraints_are_refused(name, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(issuance.NamesRefused):
        issuance.request(profile="host", names=[name], issuer=issuing, by=owner, at=now)
    assert not Order.objects.exists()


def test_the_constraints_hold_without_this_console(
    issuing, owner, now, openssl_verify, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    """A stolen key signs what the console refuses to: clients must not believe it."""
    from ca import lints, profiles, template
    from ca.names import Name

    key = keystore.load(issuing.key_sealed, key_id=issuing.key_id)
    for name in (Name("dns", "mail.elsewhere.test"), Name("ip", "198.51.100.1")):
        tbs = template.prepare(
            profile=profiles.HOST,
            names=[name],
            public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
            issuer=issuing.parsed,
            days=30,
            at=now,
            serial=template.random_serial(),
        )
        assert [found.lint for found in lints.run(tbs, issuer=issuing.parsed)] == [
            "names_are_within_the_constraints"
        ]
        stolen = key.issue(lints.Linted(tbs))
        said = openssl_verify(
            stolen.public_bytes(Encoding.PEM).decode(),
            issuing.certificate.pem,
            issuing.certificate.root_pem,
        )
        assert "permitted subtree violation" in said or "excluded subtree violation" in said, said


def test_lives_are_capped(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    for days in (0, 826):
        with pytest.raises(issuance.IssuanceRefused) as refused:
            issuance.request(
                profile="host",
                names=["a.example.test"],
                issuer=issuing,
                days=days,
                by=owner,
                at=now,
            )
        assert "825" in refused.value.sentence
    order = ordered(
        issuing, owner, now, "a.example.test", days=825, csr_pem=request_for("a.example.test")
    )
    life = order.certificate.not_after - order.certificate.not_before
    assert life == timedelta(days=825, seconds=-1)


def test_a_certificate_ends_with_its_issuer(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    later = issuing.certificate.not_after - timedelta(days=10)
    with pytest.raises(issuance.IssuanceRefused) as refused:
        issuance.request(
            profile="host", names=["a.example.test"], issuer=issuing, days=30, by=owner, at=later
        )
    assert "at most 10 days" in refused.value.sentence
    order = issuance.request(
        profile="host", names=["a.example.test"], issuer=issuing, by=owner, at=later
    )
    assert order.days == 10
    gone = issuing.certificate.not_after + timedelta(days=1)
    with pytest.raises(issuance.IssuanceRefused):
        issuance.request(
            profile="host", names=["a.example.test"], issuer=issuing, by=owner, at=gone
        )


def test_a_second_signer_does_nothing(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host",
        names=["a.example.test"],
        issuer=issuing,
        csr_pem=request_for("a.example.test"),
        by=owner,
        at=now,
    )
    held = leases.claim(Order.objects.due(now), order.pk, worker="first", at=now)
    assert held is not None
    tasks.sign_order(order.pk)
    assert not Certificate.objects.leaves().exists()
    issuance.sign(order=held, at=now)
    tasks.sign_order(order.pk)
    assert Certificate.objects.leaves().count() == 1


def test_a_killed_signers_order_is_taken_over(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host",
        names=["a.example.test"],
        issuer=issuing,
        csr_pem=request_for("a.example.test"),
        by=owner,
        at=now - timedelta(minutes=5),
    )
    before = now - timedelta(minutes=3)
    killed = leases.claim(Order.objects.due(before), order.pk, worker="killed", at=before)
    assert killed is not None
    leases.save(killed, state=Order.SIGNING)
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.state == Order.ISSUED
    with pytest.raises(leases.LeaseLost):
        issuance.sign(order=killed, at=now)
    assert Certificate.objects.leaves().count() == 1, "what the first one signed is lost with it"


def test_an_order_that_kills_signers_is_refused(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host",
        names=["a.example.test"],
        issuer=issuing,
        csr_pem=request_for("a.example.test"),
        by=owner,
        at=now,
    )
    Order.objects.filter(pk=order.pk).update(fence=issuance.MOST_CLAIMS)
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert (order.state, order.reason_code) == (Order.REFUSED, "signer_failed")
    assert order.reason and not order.certificate


def test_a_process_without_the_ring_signs_nothing(issuing, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host",
        names=["a.example.test"],
        issuer=issuing,
        csr_pem=request_for("a.example.test"),
        by=owner,
        at=now,
    )
    monkeypatch.delitem(seal._held, seal.AUTHORITY)
    keystore.forget()
    with pytest.raises(seal.KeyNotHeld):
        tasks.sign_order(order.pk)
    assert not Certificate.objects.leaves().exists()


def test_an_exchanged_key_is_found_out(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    other = make(owner, now, wish("Other Root", "Other Issuing")).made
    Issuer.objects.filter(pk=issuing.pk).update(key_sealed=other.key_sealed)
    keystore.forget()
    order = ordered(issuing, owner, now, "a.example.test", csr_pem=request_for("a.example.test"))
    assert (order.state, order.reason_code) == (Order.REFUSED, "key_unusable")


def test_superseding_follows_the_proof(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    old, new = (
        ordered(issuing, owner, now, "a.example.test", csr_pem=request_for("a.example.test"))
        for _ in range(2)
    )
    issuance.confirm_served(certificate=new.certificate, where="mail1", by=None, at=now)
    assert new.certificate.first_served_at == now
    issuance.supersede(old=old.certificate, new=new.certificate, by=None, at=now)
    assert old.certificate.state == Certificate.SUPERSEDED
    assert old.certificate.superseded_by == new.certificate
    for wrong in ((old, new), (new, new), (new, old)):
        with pytest.raises(issuance.NotSupersedable):
            issuance.supersede(old=wrong[0].certificate, new=wrong[1].certificate, by=None, at=now)


def test_the_passphrase_is_nowhere(owner, now, caplog) -> None:  # type: ignore[no-untyped-def]
    ceremony = authorities.request_hierarchy(wish=wish(), passphrase=PASSPHRASE, by=owner, at=now)
    assert ceremony.passphrase_sealed
    assert PASSPHRASE.encode() not in bytes(ceremony.passphrase_sealed)
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert bytes(ceremony.passphrase_sealed) == b""
    said = json.dumps(list(AuditEvent.objects.values("action", "subject", "detail")))
    said += json.dumps(list(Ceremony.objects.values("wish", "steps", "reason_detail")))
    said += caplog.text + repr(ceremony) + repr(list(Issuer.objects.all()))
    assert PASSPHRASE not in said and "serving" not in said
    assert "PRIVATE" not in said
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert actions == [
        "ca.ceremony.requested",
        "ca.authority.made",
        "ca.authority.made",
        "ca.list.signed",
        "ca.list.signed",
    ]


def another(under, owner, now, passphrase):  # type: ignore[no-untyped-def]
    asked = Wish(issuing=wish(issuing="Second Issuing").issuing, permitted=("example.test",))
    ceremony = authorities.request_issuing(
        under=under, wish=asked, passphrase=passphrase, by=owner, at=now
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    return ceremony


def test_a_wrong_passphrase_loses_nothing(issuing, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    ceremony = another(issuing.parent, owner, now, "seven honest serving men")
    assert ceremony.state == Ceremony.REFUSED
    assert "Example Root" in ceremony.reason and "Try again" in ceremony.reason
    assert bytes(ceremony.passphrase_sealed) == b""
    assert Issuer.objects.count() == 2
    assert ceremony.wish["issuing"]["name"] == "Second Issuing"

    authorities.try_again(ceremony=ceremony, passphrase=PASSPHRASE, by=owner, at=now)
    assert ceremony.state == Ceremony.REQUESTED and not ceremony.reason
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.made.parent == issuing.parent
    made = ceremony.made.certificate
    assert "leaf.pem: OK" in openssl_verify(made.pem, "", made.root_pem)
    with pytest.raises(authorities.NotRefused):
        authorities.try_again(ceremony=ceremony, passphrase=PASSPHRASE, by=owner, at=now)


def test_an_old_passphrase_is_erased(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = Wish(issuing=wish(issuing="Second Issuing").issuing, permitted=("example.test",))
    ceremony = authorities.request_issuing(
        under=issuing.parent,
        wish=asked,
        passphrase=PASSPHRASE,
        by=owner,
        at=now,
    )
    Ceremony.objects.filter(pk=ceremony.pk).update(requested_at=now - timedelta(hours=2))
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert (ceremony.state, ceremony.reason_code) == (Ceremony.REFUSED, "passphrase_expired")
    assert bytes(ceremony.passphrase_sealed) == b""


def test_a_killed_ceremony_begins_anew(owner, now) -> None:  # type: ignore[no-untyped-def]
    before = now - timedelta(minutes=3)
    ceremony = authorities.request_hierarchy(
        wish=wish(), passphrase=PASSPHRASE, by=owner, at=before
    )
    killed = leases.claim(Ceremony.objects.due(before), ceremony.pk, worker="killed", at=before)
    assert killed is not None
    leases.save(killed, state=Ceremony.WORKING, steps=["root_key", "seal"])
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE
    with pytest.raises(leases.LeaseLost):
        authorities.make(ceremony=killed, at=now, clock=timezone.now)
    assert Issuer.objects.count() == 2
    tasks.make_authority(ceremony.pk)
    assert Issuer.objects.count() == 2


@pytest.mark.parametrize(
    ("phrase", "codes"),
    [
        ("short", {"passphrase_short", "passphrase_monotonous"}),
        ("aaaaaaaaaaaaaaaa", {"passphrase_monotonous"}),
        ("Example Root", {"passphrase_derived"}),
        ("example root 1", {"passphrase_derived"}),
        ("x" * 1025, {"passphrase_long", "passphrase_monotonous"}),
    ],
)
def test_weak_passphrases_are_refused_with_every_reason(phrase, codes, owner, now) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(authorities.PassphraseRefused) as refused:
        authorities.request_hierarchy(wish=wish(), passphrase=phrase, by=owner, at=now)
    assert set(refused.value.codes) == codes
    assert not Ceremony.objects.exists() and not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"permitted": ()}, "constraints_missing", "permitted"),
        ({"permitted": ("com",)}, "domain_wide", "permitted"),
        ({"permitted": ("192.0.2.1/24",)}, "network_bad", "permitted"),
        ({"origin": "https://pki.example.test"}, "origin_https", "origin"),
        ({"origin": "http://pki.example.test/x"}, "origin_bad", "origin"),
        ({"root": "Same", "issuing": "Same"}, "names_equal", "issuing_name"),
        ({"root": "R" * 65}, "subject_long", "root_name"),
        ({"issuing": "A\nB"}, "subject_control", "issuing_name"),
    ],
)
def test_bad_wishes_are_refused(changes, code, field, owner, now) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_hierarchy(wish=wish(**changes), passphrase=PASSPHRASE, by=owner, at=now)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.sentence != code
    assert not Ceremony.objects.exists()


def test_an_unconstrained_issuer_must_be_asked_for(owner, now) -> None:  # type: ignore[no-untyped-def]
    made = make(owner, now, wish(permitted=()), unconstrained=True).made
    with pytest.raises(x509.ExtensionNotFound):
        made.parsed.extensions.get_extension_for_class(x509.NameConstraints)
    assert ordered(
        made, owner, now, "mail.elsewhere.test", csr_pem=request_for("mail.elsewhere.test")
    ).certificate


def test_addresses_are_burnt_in_only_when_wished(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    with_them = ordered(
        issuing, owner, now, "a.example.test", csr_pem=request_for("a.example.test")
    ).certificate.parsed
    point = with_them.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0]
    assert point.full_name[0].value == f"http://pki.example.test/pki/{issuing.public_id}.crl"
    access = with_them.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    places = {each.access_method._name: each.access_location.value for each in access}
    assert places["caIssuers"] == f"http://pki.example.test/pki/{issuing.public_id}.crt"

    silent = make(owner, now, wish("Silent Root", "Silent Issuing", origin="")).made
    without = ordered(
        silent, owner, now, "a.example.test", csr_pem=request_for("a.example.test")
    ).certificate.parsed
    kinds = {type(extension.value) for extension in without.extensions}
    assert not kinds & {x509.CRLDistributionPoints, x509.AuthorityInformationAccess}


def test_the_list_is_renewed_before_it_ends(issuing, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    listed = issuing.revocation_list
    assert listed.number == 1
    assert not RevocationList.objects.due(now).exists()
    later = listed.this_update + timedelta(days=4)
    assert list(RevocationList.objects.due(later)) == [listed]
    RevocationList.objects.filter(pk=listed.pk).update(renew_at=now)
    tasks.sign_list(listed.pk)
    listed.refresh_from_db()
    assert listed.number == 2 and listed.next_update > now + timedelta(days=6)
    parsed = x509.load_der_x509_crl(bytes(listed.der))
    assert parsed.is_signature_valid(issuing.parsed.public_key())
    assert parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2
    assert not RevocationList.objects.due(now).exists()


def test_the_roots_list_needs_the_passphrase(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    root = issuing.parent
    RevocationList.objects.update(renew_at=now)
    assert list(RevocationList.objects.due(now)) == [issuing.revocation_list]
    ceremony = authorities.request_list(root=root, passphrase=PASSPHRASE, by=owner, at=now)
    tasks.make_authority(ceremony.pk)
    root.revocation_list.refresh_from_db()
    assert root.revocation_list.number == 2


def test_a_strict_client_checks_the_lists(issuing, owner, now, openssl_verify, tmp_path) -> None:  # type: ignore[no-untyped-def]
    certificate = ordered(
        issuing, owner, now, "a.example.test", csr_pem=request_for("a.example.test")
    ).certificate
    lists = [
        x509.load_der_x509_crl(bytes(each.der)).public_bytes(Encoding.PEM)
        for each in RevocationList.objects.all()
    ]
    (tmp_path / "lists.pem").write_bytes(b"".join(lists))
    said = openssl_verify(
        certificate.pem, certificate.chain_pem, certificate.root_pem,
        "-crl_check_all", "-CRLfile", "lists.pem",
    )  # fmt: skip
    assert "leaf.pem: OK" in said, said
