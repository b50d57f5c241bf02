"""A root that is elsewhere: a request goes out and a certificate comes in, or the other way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.urls import reverse

from ca import authorities, chains, issuance, offline, revocation, tasks
from ca.models import Ceremony, Certificate, Issuer, RevocationList
from ca.wishes import AuthorityWish, Wish
from core.models import AuditEvent
from tests.ca.conftest import PASSPHRASE, request_for

pytestmark = pytest.mark.django_db
USAGE = {
    "digital_signature": False, "content_commitment": False, "key_encipherment": False,
    "data_encipherment": False, "key_agreement": False, "encipher_only": False,
    "decipher_only": False,
}  # fmt: skip


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


@dataclass
class Elsewhere:
    """An authority in other hands, which signs what it is told."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(
        self,
        subject: x509.Name,
        public_key: Any,
        at: datetime,
        *,
        ca: bool = True,
        length: int | None = 0,
        cert_sign: bool = True,
        crl_sign: bool = True,
        permitted: tuple[str, ...] = (),
        excluded: tuple[str, ...] = (),
        days: int = 900,
        begin: timedelta = -timedelta(hours=1),
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        ski = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at + begin)
            .not_valid_after(at + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca, length if ca else None), critical=True)
            .add_extension(
                x509.KeyUsage(key_cert_sign=cert_sign, crl_sign=crl_sign, **USAGE), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False
            )
        )
        if permitted or excluded:
            limits = x509.NameConstraints(
                [x509.DNSName(each) for each in permitted] or None,
                [x509.DNSName(each) for each in excluded] or None,
            )
            builder = builder.add_extension(limits, critical=True)
        return builder.sign(key or self.key, hashes.SHA256())


def root_elsewhere(
    at: datetime, *, length: int | None = None, text: str = "Vault Root"
) -> Elsewhere:
    key = ec.generate_private_key(ec.SECP256R1())
    own = name(text)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=3000))
        .add_extension(x509.BasicConstraints(True, length), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **USAGE), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Elsewhere(certificate, key)


@pytest.fixture
def vault(now: datetime) -> Elsewhere:
    return root_elsewhere(now)


@pytest.fixture
def waiting(owner, now) -> Issuer:  # type: ignore[no-untyped-def]
    wish = Wish(
        issuing=AuthorityWish("Console Issuing", "p256", 900, organisation="Example"),
        permitted=("example.test",),
        origin="http://pki.example.test",
    )
    ceremony = authorities.request_key(wish=wish, by=owner, at=now)
    assert not ceremony.passphrase_sealed
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.made is not None
    return ceremony.made


def request_of(issuer: Issuer) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(issuer.csr_pem.encode())


def test_a_key_for_a_root_elsewhere(waiting, vault, owner, now, openssl_verify, client) -> None:  # type: ignore[no-untyped-def]
    asked = request_of(waiting)
    assert asked.is_signature_valid and waiting.is_waiting and not waiting.is_root
    kinds = {type(each.value) for each in asked.extensions}
    assert kinds == {x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints}
    assert not waiting.able_to_issue(now) and not Issuer.objects.roots().exists()
    signed = vault.sign(asked.subject, asked.public_key(), now, permitted=("mail.example.test",))
    done = authorities.accept(
        issuer=waiting, certificate=pem(signed), chain=pem(vault.certificate), by=owner, at=now
    )
    root = Issuer.objects.roots().get()
    assert (root.name, root.key_kept) == ("Vault Root", Issuer.ELSEWHERE)
    done.refresh_from_db()
    assert done.parent == root and done.permitted == ["mail.example.test"]
    assert done.able_to_issue(now) and not root.able_to_issue(now)
    list_path = f"/pki/{done.public_id}.crl"
    assert client.get(list_path).status_code == 404, "none is signed yet"
    tasks.sign_list(RevocationList.objects.get(issuer=done).pk)
    served = x509.load_der_x509_crl(client.get(list_path).content)
    assert served.is_signature_valid(done.parsed.public_key())
    done.revocation_list.refresh_from_db()
    assert done.revocation_list.number == 1
    order = issuance.request(
        profile="host", names=["mail.example.test"], issuer=done, csr_pem=request_for(),
        by=owner, at=now,
    )  # fmt: skip
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    certificate = order.certificate
    assert certificate is not None, order.reason
    said = openssl_verify(certificate.pem, certificate.chain_pem, certificate.root_pem)
    assert "leaf.pem: OK" in said, said
    with pytest.raises(issuance.NamesRefused):
        issuance.request(
            profile="host", names=["other.example.test"], issuer=done, by=owner, at=now
        )
    for act in (authorities.request_list, authorities.request_reissue):
        with pytest.raises(authorities.NotMade) as refused:
            act(root=root, passphrase=PASSPHRASE, by=owner, at=now)
        assert refused.value.code == "key_elsewhere"
    with pytest.raises(authorities.NotMade) as refused:
        authorities.accept(
            issuer=done, certificate=pem(signed), chain=pem(vault.certificate), by=owner, at=now
        )
    assert refused.value.code == "not_waiting_for_certificate"
    actions = AuditEvent.objects.values_list("action", flat=True)
    assert {"ca.authority.requested", "ca.authority.imported", "ca.authority.made"} <= set(actions)


def refused_code(waiting: Issuer, certificate: str, chain: str, now: datetime) -> str:
    with pytest.raises(authorities.NotMade) as refused:
        authorities.accept(issuer=waiting, certificate=certificate, chain=chain, by=None, at=now)
    assert refused.value.sentence != refused.value.code
    waiting.refresh_from_db()
    assert waiting.is_waiting and waiting.parent is None
    assert Issuer.objects.count() == 1 and not Certificate.objects.exists()
    return refused.value.code


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"ca": False}, "chain_no_authority"),
        ({"cert_sign": False}, "chain_no_authority"),
        ({"crl_sign": False}, "chain_no_authority"),
        ({"days": -1, "begin": -timedelta(days=9)}, "chain_ended"),
        ({"begin": timedelta(hours=2)}, "chain_early"),
    ],
)
def test_a_certificate_that_would_not_do(how, code, waiting, vault, now) -> None:  # type: ignore[no-untyped-def]
    asked = request_of(waiting)
    signed = vault.sign(asked.subject, asked.public_key(), now, **how)
    assert refused_code(waiting, pem(signed), pem(vault.certificate), now) == code


def test_a_certificate_of_another_key_or_signer(waiting, vault, now) -> None:  # type: ignore[no-untyped-def]
    asked = request_of(waiting)
    stranger = ec.generate_private_key(ec.SECP256R1())
    good = vault.sign(asked.subject, asked.public_key(), now)
    other = vault.sign(asked.subject, stranger.public_key(), now)
    forged = vault.sign(asked.subject, asked.public_key(), now, key=stranger)
    root = pem(vault.certificate)
    code = lambda certificate, chain=root: refused_code(waiting, certificate, chain, now)  # noqa: E731
    assert code(pem(other)) == "chain_other_key"
    assert code(pem(forged)) == "chain_signature"
    assert code(pem(good), "") == "chain_incomplete"
    assert code(pem(good), pem(root_elsewhere(now).certificate)) == "chain_signature"
    assert code("") == "chain_empty"
    assert code("nonsense") == "chain_unreadable"
    assert code(pem(good)[:400]) == "chain_unreadable"
    assert code(waiting.csr_pem) == "chain_is_request"
    assert code("x" * (chains.MOST_BYTES + 1)) == "chain_too_big"
    secret = stranger.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert code(pem(good) + secret) == "chain_private_key"
    assert code(pem(*[good] * 11)) == "chain_long"


def test_levels_and_limits_of_the_chain_count(waiting, now) -> None:  # type: ignore[no-untyped-def]
    asked = request_of(waiting)
    flat = root_elsewhere(now, length=0)
    signed = flat.sign(asked.subject, asked.public_key(), now)
    assert refused_code(waiting, pem(signed), pem(flat.certificate), now) == "chain_levels"

    top, between = root_elsewhere(now, length=1), ec.generate_private_key(ec.SECP256R1())
    other = Elsewhere(
        top.sign(name("Between"), between.public_key(), now, permitted=("elsewhere.test",)), between
    )
    signed = other.sign(asked.subject, asked.public_key(), now)
    chain = pem(top.certificate, other.certificate)
    # pathlen:0 between and the authority itself below it
    assert refused_code(waiting, pem(signed), chain, now) == "chain_levels"
    wide = Elsewhere(
        root_elsewhere(now, length=2).certificate, between
    )  # its key is not the root's: the signature is wrong
    broken = wide.sign(asked.subject, asked.public_key(), now)
    assert refused_code(waiting, pem(broken), pem(wide.certificate), now) == "chain_signature"


def test_an_authority_between_limits_what_is_below(waiting, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = request_of(waiting)
    top, key = root_elsewhere(now), ec.generate_private_key(ec.SECP256R1())
    outside = Elsewhere(
        top.sign(name("Between"), key.public_key(), now, length=1, permitted=("elsewhere.test",)),
        key,
    )
    signed = outside.sign(asked.subject, asked.public_key(), now)
    chain = pem(top.certificate, outside.certificate)
    assert refused_code(waiting, pem(signed), chain, now) == "chain_constraints"

    inside = Elsewhere(
        top.sign(
            name("Between"), key.public_key(), now, length=1,
            permitted=("a.example.test", "elsewhere.test"),
        ),
        key,
    )  # fmt: skip
    signed = inside.sign(asked.subject, asked.public_key(), now)
    done = authorities.accept(
        issuer=waiting, certificate=pem(inside.certificate, signed, top.certificate), by=owner,
        at=now,
    )  # fmt: skip
    assert done.permitted == ["a.example.test"]
    assert [each.name for each in done.path()] == ["Console Issuing", "Between", "Vault Root"]
    assert done.path()[1].key_kept == Issuer.ELSEWHERE


def test_limits_above_are_enforced_as_they_stand(waiting, owner, now) -> None:  # type: ignore[no-untyped-def]
    """What the root's own certificate excludes is not among what is stored."""
    top, key = root_elsewhere(now), ec.generate_private_key(ec.SECP256R1())
    between = Elsewhere(
        top.sign(name("Between"), key.public_key(), now, length=1, excluded=("hr.example.test",)),
        key,
    )
    asked = request_of(waiting)
    signed = between.sign(asked.subject, asked.public_key(), now)
    done = authorities.accept(
        issuer=waiting, certificate=pem(signed), chain=pem(between.certificate, top.certificate),
        by=owner, at=now,
    )  # fmt: skip
    assert done.permitted == ["example.test"]
    for host, fits in (("a.example.test", True), ("a.hr.example.test", False)):
        try:
            issuance.request(
                profile="host", names=[host], issuer=done, csr_pem=request_for(), by=owner, at=now
            )
            assert fits, host
        except issuance.NamesRefused as refusal:
            assert refusal.code == "names_outside" and not fits


def test_two_uploads_at_once(waiting, vault, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = request_of(waiting)
    first, second = (vault.sign(asked.subject, asked.public_key(), now, length=0) for _ in range(2))
    late = Issuer.objects.get(pk=waiting.pk)
    for issuer, certificate in ((waiting, first), (late, second)):
        try:
            authorities.accept(
                issuer=issuer, certificate=pem(certificate), chain=pem(vault.certificate),
                by=owner, at=now,
            )  # fmt: skip
        except authorities.NotMade as refusal:
            assert refusal.code == "not_waiting_for_certificate" and issuer is late
    late.refresh_from_db()
    assert late.certificate.parsed == first
    assert Certificate.objects.filter(profile="subordinate").count() == 1


def test_a_waiting_key_is_given_up(waiting, issuing, owner, now, signed_in) -> None:  # type: ignore[no-untyped-def]
    ceremony = Ceremony.objects.get(kind=Ceremony.REQUEST)
    with pytest.raises(authorities.NotMade) as refused:
        offline.withdraw(issuer=issuing, by=owner, at=now)
    assert refused.value.code == "not_waiting_for_certificate"
    assert Issuer.objects.filter(pk=issuing.pk).exists()
    page = reverse("ca:withdraw", args=[waiting.pk])
    assert signed_in.get(page).status_code == 405
    assert "are erased" in signed_in.post(page, follow=True).content.decode()
    assert not Issuer.objects.filter(pk=waiting.pk).exists()
    assert signed_in.post(page).status_code == 404
    assert signed_in.get(reverse("ca:ceremony", args=[ceremony.pk])).status_code == 200
    assert AuditEvent.objects.filter(action="ca.authority.withdrawn").count() == 1


# -- the other way: a request from elsewhere


def csr_of(key: Any, text: str = "Branch Office CA") -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(text))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def subordinate(csr: str, **more: Any) -> Wish:
    part = AuthorityWish("Branch Office CA", "", 900, organisation="Branch", **more)
    return Wish(issuing=part, permitted=("branch.example.test",), csr=csr)


def test_a_request_from_elsewhere_is_signed(issuing, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    root, key = issuing.parent, ec.generate_private_key(ec.SECP384R1())
    ceremony = authorities.request_subordinate(
        root=root, wish=subordinate(csr_of(key)), passphrase=PASSPHRASE, by=owner, at=now
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    made = ceremony.made
    assert made is not None and made.parent == root and made.key_kept == Issuer.ELSEWHERE
    assert made.algorithm == "p384" and not made.key_sealed and not made.able_to_issue(now)
    parsed = made.parsed
    assert parsed.public_key() == key.public_key()
    limits = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits == x509.BasicConstraints(True, 0)
    assert "leaf.pem: OK" in openssl_verify(made.certificate.pem, "", root.certificate.pem)
    revocation.revoke(certificate=made.certificate, reason="cessationOfOperation", by=owner, at=now)
    listed = authorities.request_list(root=root, passphrase=PASSPHRASE, by=owner, at=now)
    tasks.make_authority(listed.pk)
    crl = x509.load_der_x509_crl(bytes(RevocationList.objects.get(issuer=root).der))
    assert crl.get_revoked_certificate_by_serial_number(parsed.serial_number) is not None


@pytest.mark.parametrize(
    ("csr", "code"),
    [("", "csr_empty"), ("nonsense", "csr_unreadable"), ("own", "csr_key_known")],
)
def test_a_request_that_is_not_signed(csr, code, issuing, waiting, owner, now) -> None:  # type: ignore[no-untyped-def]
    text = waiting.csr_pem if csr == "own" else csr
    before = Ceremony.objects.count()
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_subordinate(
            root=issuing.parent, wish=subordinate(text), passphrase=PASSPHRASE, by=owner, at=now
        )
    assert (refused.value.code, refused.value.field) == (code, "csr")
    assert Ceremony.objects.count() == before


# -- pages


def test_the_pages_of_a_root_elsewhere(signed_in, vault, owner, now) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:new_request")
    assert signed_in.get(page).status_code == 200
    fields = {
        "organisation": "Example",
        "issuing_name": "Console Issuing",
        "permitted": "example.test",
        "issuing_algorithm": "p256",
        "issuing_path_length": "0",
    }
    assert signed_in.post(page, fields | {"permitted": ""}).status_code == 422
    answer = signed_in.post(page, fields)
    ceremony = Ceremony.objects.get()
    assert answer.url == reverse("ca:ceremony", args=[ceremony.pk])
    tasks.make_authority(ceremony.pk)
    issuer = Issuer.objects.get()
    shown = signed_in.get(answer.url).content.decode()
    assert reverse("ca:authority", args=[issuer.pk]) in shown
    assert "waits for its certificate" in signed_in.get(reverse("ca:authorities")).content.decode()
    download = signed_in.get(reverse("ca:authority_csr", args=[issuer.pk]))
    asked = x509.load_pem_x509_csr(download.content)
    own = reverse("ca:authority", args=[issuer.pk])
    assert reverse("ca:accept", args=[issuer.pk]) in signed_in.get(own).content.decode()
    signed = vault.sign(asked.subject, asked.public_key(), now)
    accept = reverse("ca:accept", args=[issuer.pk])
    refused = signed_in.post(accept, {"certificate": pem(signed), "chain": ""})
    assert refused.status_code == 422 and "Vault Root" in refused.content.decode()
    taken = signed_in.post(
        accept, {"certificate": pem(signed), "chain": pem(vault.certificate)}, follow=True
    )
    assert "can issue now" in taken.content.decode()
    again = signed_in.post(accept, {"certificate": pem(signed)}, follow=True).content.decode()
    assert "is not waiting for a certificate" in again
    root = Issuer.objects.get(key_kept=Issuer.ELSEWHERE)
    shown = signed_in.get(reverse("ca:authority", args=[root.pk])).content.decode()
    assert "signed and published where the key is" in shown
    for act in ("new_issuing", "reissue", "renew_list", "new_subordinate"):
        assert reverse(f"ca:{act}", args=[root.pk]) not in shown


def test_the_page_that_signs_a_request(issuing, signed_in) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:new_subordinate", args=[issuing.parent_id])
    assert signed_in.get(page).status_code == 200
    fields = {
        "csr": csr_of(ec.generate_private_key(ec.SECP256R1())),
        "organisation": "Branch",
        "issuing_name": "Branch Office CA",
        "permitted": "branch.example.test",
        "issuing_life": "1096",
        "issuing_path_length": "0",
    }
    preview = signed_in.post(page, fields | {"preview": "yes"})
    said = preview.content.decode()
    assert preview.status_code == 200 and "This would be signed" in said and "P-256" in said
    assert Ceremony.objects.count() == 1, "a preview signs nothing"
    assert signed_in.post(page, fields).status_code == 422, "the passphrase is missing"
    broken = signed_in.post(page, fields | {"csr": "x", "passphrase": PASSPHRASE})
    assert "csr" in broken.context["form"].errors
    answer = signed_in.post(page, fields | {"passphrase": PASSPHRASE})
    ceremony = Ceremony.objects.latest("pk")
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    shown = signed_in.get(answer.url).content.decode()
    assert reverse("ca:download", args=[ceremony.made.certificate_id, "fullchain"]) in shown
