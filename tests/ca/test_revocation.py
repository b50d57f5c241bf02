"""A certificate that must not be trusted any more, up to what openssl says of the list."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from django.urls import reverse
from django.utils import timezone

from ca import authorities, keystore, revocation, tasks
from ca.models import Certificate, RevocationList
from core.models import AuditEvent
from tests.ca.conftest import PASSPHRASE, leaf_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def leaf(issuing, owner, now) -> Certificate:  # type: ignore[no-untyped-def]
    return leaf_of(issuing, owner, now)


def signed_list(issuer) -> x509.CertificateRevocationList:  # type: ignore[no-untyped-def]
    """The list after the signer has come to it."""
    listed = RevocationList.objects.get(issuer=issuer)
    tasks.sign_list(listed.pk)
    listed.refresh_from_db()
    assert listed.stale_at is None
    return x509.load_der_x509_crl(bytes(listed.der))


def test_a_revoked_certificate_is_on_the_next_list_with_its_reason(
    leaf, issuing, owner, now, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    number = RevocationList.objects.get(issuer=issuing).number
    revocation.revoke(certificate=leaf, reason="keyCompromise", by=owner, at=now)
    assert leaf.state == Certificate.REVOKED
    crl = signed_list(issuing)
    entry = crl.get_revoked_certificate_by_serial_number(int(leaf.serial, 16))
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.key_compromise
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number + 1
    event = AuditEvent.objects.get(action="ca.certificate.revoked")
    assert event.detail["serial"] == leaf.serial and event.detail["reason"] == "keyCompromise"

    (tmp_path / "leaf.pem").write_text(leaf.pem)
    (tmp_path / "chain.pem").write_text(leaf.chain_pem)
    (tmp_path / "root.pem").write_text(leaf.root_pem)
    (tmp_path / "list.der").write_bytes(bytes(RevocationList.objects.get(issuer=issuing).der))
    check = "openssl crl -inform DER -in list.der -CAfile chain.pem -out list.pem"
    done = subprocess.run(check.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "verify OK" in done.stdout + done.stderr
    check = "openssl verify -crl_check -CRLfile list.pem -CAfile root.pem -untrusted chain.pem"
    done = subprocess.run(
        [*check.split(), "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "certificate revoked" in done.stdout + done.stderr


def test_a_hold_is_listed_until_it_is_released(leaf, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    serial = int(leaf.serial, 16)
    revocation.hold(certificate=leaf, by=owner, at=now)
    entry = signed_list(issuing).get_revoked_certificate_by_serial_number(serial)
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.certificate_hold
    revocation.release(certificate=leaf, by=owner, at=now)
    assert leaf.state == Certificate.VALID and leaf.revoked_at is None
    assert signed_list(issuing).get_revoked_certificate_by_serial_number(serial) is None


@pytest.mark.parametrize("reason", revocation.REASONS)
def test_every_reason_of_the_form_can_be_signed(reason, leaf, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    revocation.revoke(certificate=leaf, reason=reason, by=owner, at=now)
    entry = signed_list(issuing).get_revoked_certificate_by_serial_number(int(leaf.serial, 16))
    assert entry is not None
    # RFC 5280 5.3.1: "unspecified" is said by leaving the reason out
    said = [extension.value.reason.value for extension in entry.extensions]
    assert said == ([] if reason == "unspecified" else [reason])


def test_what_cannot_be_revoked_says_why_and_nothing_changes(leaf, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    def refused(code: str, verb, **options) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(revocation.NotRevocable) as refusal:
            verb(by=owner, **options)
        assert refusal.value.code == code and str(refusal.value) != code

    for reason in ("certificateHold", "removeFromCRL", "because", ""):
        refused("reason_unknown", revocation.revoke, certificate=leaf, reason=reason, at=now)
    refused("not_in_state", revocation.release, certificate=leaf, at=now)
    later = leaf.not_after + timedelta(seconds=1)
    refused("ended_already", revocation.hold, certificate=leaf, at=later)
    root = issuing.parent.certificate
    refused("root_not_revocable", revocation.revoke, certificate=root, reason="unspecified", at=now)
    assert RevocationList.objects.get(issuer=issuing).stale_at is None
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=now)
    refused("not_in_state", revocation.revoke, certificate=leaf, reason="unspecified", at=now)
    refused("not_in_state", revocation.release, certificate=leaf, at=now)
    leaf.refresh_from_db()
    assert leaf.revocation_reason == "superseded"
    assert not AuditEvent.objects.filter(action="ca.certificate.held").exists()


def test_a_revocation_while_a_list_is_signed_is_not_forgotten(
    leaf, issuing, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    """The signer has read the rows; then somebody revokes; then it stores the list."""
    listed = RevocationList.objects.get(issuer=issuing)
    RevocationList.objects.filter(pk=listed.pk).update(stale_at=now)
    load, later = keystore.load, timezone.now()

    def revoked_meanwhile(*args, **options):  # type: ignore[no-untyped-def]
        revocation.revoke(certificate=leaf, reason="unspecified", by=owner, at=later)
        return load(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(keystore, "load", revoked_meanwhile)
        tasks.sign_list(listed.pk)
    listed.refresh_from_db()
    assert (listed.entries, listed.stale_at) == (0, later)
    serial = int(leaf.serial, 16)
    assert signed_list(issuing).get_revoked_certificate_by_serial_number(serial) is not None


def test_the_list_is_due_at_once_after_a_revocation(leaf, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    assert not RevocationList.objects.due(now).exists()
    revocation.hold(certificate=leaf, by=owner, at=now)
    assert RevocationList.objects.due(now).get().issuer == issuing


def test_a_revoked_issuing_authority_is_on_its_roots_next_list(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    revocation.revoke(certificate=issuing.certificate, reason="cACompromise", by=owner, at=now)
    issuing.refresh_from_db()
    assert not issuing.able_to_issue(now)
    # The root's list needs the passphrase: the signer does not come to it by itself.
    assert not RevocationList.objects.due(now).exists()
    ceremony = authorities.request_list(
        root=issuing.parent, passphrase=PASSPHRASE, by=owner, at=now
    )
    tasks.make_authority(ceremony.pk)
    listed = RevocationList.objects.get(issuer=issuing.parent)
    assert listed.stale_at is None
    crl = x509.load_der_x509_crl(bytes(listed.der))
    serial = int(issuing.certificate.serial, 16)
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None


def test_the_page_revokes_holds_and_releases(leaf, signed_in) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:certificate", args=[leaf.pk])
    assert b'data-dialog="revoke"' in signed_in.get(page).content
    said = signed_in.post(reverse("ca:hold", args=[leaf.pk]), follow=True)
    assert b"On hold." in said.content and b"Take off hold" in said.content
    said = signed_in.post(reverse("ca:release", args=[leaf.pk]), follow=True)
    assert b"Taken off hold." in said.content
    said = signed_in.post(reverse("ca:revoke", args=[leaf.pk]), {"reason": "no"}, follow=True)
    assert b"is no reason to revoke" in said.content
    said = signed_in.post(
        reverse("ca:revoke", args=[leaf.pk]), {"reason": "keyCompromise"}, follow=True
    )
    assert b"its key may be in other hands" in said.content
    assert b'data-dialog="revoke"' not in said.content
    leaf.refresh_from_db()
    assert leaf.state == Certificate.REVOKED


def test_a_viewer_cannot_revoke_nor_an_operator_an_authority(
    leaf, issuing, viewer, owner, client
) -> None:  # type: ignore[no-untyped-def]
    client.force_login(viewer)
    assert client.post(reverse("ca:hold", args=[leaf.pk])).status_code == 403
    assert (
        b'data-dialog="revoke"' not in client.get(reverse("ca:certificate", args=[leaf.pk])).content
    )
    owner.role = "administrator"
    owner.save()
    client.force_login(owner)
    answer = client.post(
        reverse("ca:revoke", args=[issuing.certificate_id]), {"reason": "unspecified"}
    )
    assert answer.status_code == 403
    issuing.certificate.refresh_from_db()
    assert issuing.certificate.is_valid(timezone.now())
