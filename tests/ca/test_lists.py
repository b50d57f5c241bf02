"""Full and delta lists: what they hold, when they are signed, how they are served, what openssl and
pkilint say of them."""

from __future__ import annotations

import random
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ca import columns, crl, revocation, tasks
from ca.models import Certificate, Issuer, RevocationList
from core import leases
from tests.ca.conftest import leaf_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def leaf(issuing, owner, now) -> Certificate:  # type: ignore[no-untyped-def]
    return leaf_of(issuing, owner, now)


def sign(issuer: Issuer) -> RevocationList:
    """What the signer's task does, and the row after it."""
    listed = RevocationList.objects.get(issuer=issuer)
    tasks.sign_list(listed.pk)
    listed.refresh_from_db()
    return listed


def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every list were large."""
    monkeypatch.setattr(crl, "SMALL", -1)


def full_of(listed: RevocationList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(bytes(listed.der))


def delta_of(listed: RevocationList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(bytes(listed.delta_der))


def said_of(listed: x509.CertificateRevocationList) -> dict[int, str]:
    """Serial → reason ("" where none is given)."""
    said = {}
    for entry in listed:
        reasons = [each.value.reason.value for each in entry.extensions]
        said[entry.serial_number] = reasons[0] if reasons else ""
    return said


def number_of(listed: x509.CertificateRevocationList) -> int:
    return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def pkilint_of(der: bytes) -> list[str]:
    from pkilint import loader, pkix
    from pkilint.pkix import crl as crl_lints
    from pkilint.pkix import extension, name

    validator = crl_lints.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl_lints.create_issuer_validator_container([]),
            crl_lints.create_validity_validator_container([]),
            crl_lints.create_extensions_validator_container([]),
        ],
    )
    document = loader.RFC5280CertificateListDocumentLoader().load_der_document(der, "list")
    return [
        f"{found.finding.code} ({found.finding.severity.name}) {found.message}"
        for result in validator.validate(document.root)
        for found in result.finding_descriptions
    ]


def test_a_full_list_points_to_its_delta_and_the_delta_to_its_base(
    issuing, leaf, owner, now
) -> None:  # type: ignore[no-untyped-def]
    before = RevocationList.objects.get(issuer=issuing)
    where = f"http://pki.example.test/pki/{issuing.public_id}-delta.crl"
    freshest = full_of(before).extensions.get_extension_for_class(x509.FreshestCRL)
    assert [each.full_name[0].value for each in freshest.value] == [where]
    assert not freshest.critical

    revocation.revoke(certificate=leaf, reason="keyCompromise", by=owner, at=now)
    listed = sign(issuing)
    delta = delta_of(listed)
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical and indicator.value.crl_number == before.number
    # signed together, so they have one number (RFC 5280 5.2.3)
    assert number_of(delta) == number_of(full_of(listed)) == before.number + 1
    assert said_of(delta) == said_of(full_of(listed)) == {int(leaf.serial, 16): "keyCompromise"}
    # RFC 5280 5.2.6
    with pytest.raises(x509.ExtensionNotFound):
        delta.extensions.get_extension_for_class(x509.FreshestCRL)
    for each in (delta, full_of(listed)):
        assert each.is_signature_valid(issuing.parsed.public_key())


def test_a_roots_list_has_no_delta(issuing, now) -> None:  # type: ignore[no-untyped-def]
    listed = RevocationList.objects.get(issuer=issuing.parent)
    with pytest.raises(x509.ExtensionNotFound):
        full_of(listed).extensions.get_extension_for_class(x509.FreshestCRL)
    assert not RevocationList.objects.due(now + timedelta(days=300)).filter(pk=listed.pk)
    assert issuing.parent.addresses.ocsp == ""


def test_a_release_takes_off_what_an_older_list_says(issuing, leaf, owner, now) -> None:  # type: ignore[no-untyped-def]
    serial = int(leaf.serial, 16)
    revocation.hold(certificate=leaf, by=owner, at=now)
    held = sign(issuing)
    assert said_of(delta_of(held)) == {serial: "certificateHold"}
    revocation.release(certificate=leaf, by=owner, at=timezone.now())
    listed = sign(issuing)
    assert said_of(full_of(listed)) == {}
    assert said_of(delta_of(listed)) == {serial: "removeFromCRL"}
    # a client that still has the list that says "on hold" can use this delta
    base = delta_of(listed).extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert base.value.crl_number <= held.number < number_of(delta_of(listed))
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=timezone.now())
    assert said_of(delta_of(sign(issuing))) == {serial: "superseded"}


def test_a_large_list_waits_and_the_delta_does_not(issuing, leaf, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    large(monkeypatch)
    first = RevocationList.objects.get(issuer=issuing)
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=now)
    listed = sign(issuing)
    assert listed.number == first.number and bytes(listed.der) == bytes(first.der)
    assert said_of(delta_of(listed)) == {int(leaf.serial, 16): "superseded"}
    assert listed.delta_number == first.number + 1 and listed.stale_at is None
    # and the full one follows when it may
    then = listed.this_update + crl.LARGE_EVERY
    assert listed.renew_at == then
    assert not RevocationList.objects.due(then - timedelta(seconds=1)).exists()
    RevocationList.objects.filter(pk=listed.pk).update(
        this_update=now - crl.LARGE_EVERY - timedelta(seconds=1), renew_at=now
    )
    listed = sign(issuing)
    assert listed.number == listed.delta_number == first.number + 2
    assert said_of(full_of(listed)) == {int(leaf.serial, 16): "superseded"}
    assert listed.renew_at == listed.delta_this_update + timedelta(days=1)


def test_both_are_renewed_at_half_their_life(issuing, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    large(monkeypatch)
    listed = RevocationList.objects.get(issuer=issuing)
    assert not RevocationList.objects.due(now).exists()
    # the first delta comes by itself
    RevocationList.objects.update(this_update=listed.this_update - timedelta(minutes=2))
    listed = sign(issuing)
    assert (listed.number, listed.delta_number) == (1, 2)
    assert listed.renew_at == listed.delta_this_update + timedelta(days=1)
    day = RevocationList.objects.due(listed.renew_at)
    assert day.get() == listed
    # half of the full list's life is over
    RevocationList.objects.update(
        this_update=now - timedelta(days=4), next_update=now + timedelta(days=3), renew_at=now
    )
    assert sign(issuing).number == 3


def test_the_base_moves_when_no_client_has_an_older_list(
    issuing, leaf, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    for verb in (revocation.hold, revocation.release, revocation.hold):
        verb(certificate=leaf, by=owner, at=timezone.now())
        listed = sign(issuing)
    assert (listed.number, listed.delta_base) == (4, 1)
    RevocationList.objects.update(delta_base_at=now - timedelta(days=7), renew_at=now)
    listed = sign(issuing)
    assert (listed.number, listed.delta_base) == (5, 4)
    # and when there is too much to say
    monkeypatch.setattr(crl, "SMALL", 0)
    RevocationList.objects.update(renew_at=now)
    assert sign(issuing).delta_base == 5


def test_a_list_that_was_never_signed_yet(issuing, now, stranger) -> None:  # type: ignore[no-untyped-def]
    """An authority whose certificate came from a root elsewhere."""
    RevocationList.objects.filter(issuer=issuing).update(
        number=0, this_update=now, next_update=now, renew_at=now, der=b""
    )
    assert stranger.get(f"/pki/{issuing.public_id}.crl").status_code == 404
    listed = sign(issuing)
    assert (listed.number, listed.delta_number, listed.delta_base) == (1, 1, 1)
    assert said_of(delta_of(listed)) == {}
    assert stranger.get(f"/pki/{issuing.public_id}.crl").status_code == 200


def test_a_revocation_stored_late_is_on_the_delta(issuing, leaf, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """It bears a time before the list was signed, and was committed after the list was read."""
    RevocationList.objects.update(renew_at=now)
    sign(issuing)
    large(monkeypatch)
    revocation.revoke(
        certificate=leaf, reason="superseded", by=owner, at=now - timedelta(seconds=5)
    )
    listed = sign(issuing)
    assert int(leaf.serial, 16) in said_of(delta_of(listed))
    assert int(leaf.serial, 16) not in said_of(full_of(listed))
    # and does not wait for half of the full list's life
    assert listed.renew_at == listed.this_update + crl.LARGE_EVERY


def test_what_has_expired_is_on_one_more_list(issuing, leaf, owner, now) -> None:  # type: ignore[no-untyped-def]
    serial = int(leaf.serial, 16)
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=now)
    Certificate.objects.filter(pk=leaf.pk).update(not_after=now - timedelta(hours=1))
    assert serial in said_of(full_of(sign(issuing)))
    Certificate.objects.filter(pk=leaf.pk).update(not_after=now - timedelta(days=8))
    RevocationList.objects.update(stale_at=now)
    assert said_of(full_of(sign(issuing))) == {}


def test_an_issuer_without_a_key_identifier_and_a_serial_of_zero(now: datetime) -> None:
    """A root made by hand in 2004."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Old Root")])
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3))
        .sign(key, hashes.SHA256())
    )
    at = columns.second(now)
    revoked = [crl.Revoked(0, at, None), crl.Revoked(2, at, x509.ReasonFlags.unspecified)]
    prepared = crl.prepare(issuer=root, number=1, revoked=revoked, at=now, days=7)
    signed = prepared.builder().sign(key, hashes.SHA256())
    identifier = signed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    expected = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    assert identifier.key_identifier == expected.digest
    assert said_of(signed) == {0: "", 2: ""}
    assert signed.next_update_utc == root.not_valid_after_utc


def test_a_delta_is_not_older_than_its_base(issuing, now) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="older"):
        crl.prepare_delta(issuer=issuing.parsed, number=3, base=4, changed=[], at=now)


def run(folder: Path, command: str) -> str:
    done = subprocess.run(
        command.split(), cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout + done.stderr


def test_openssl_joins_the_old_full_list_with_the_delta(
    issuing, leaf, owner, now, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    other = leaf_of(issuing, owner, now, "mail2.example.test")
    old = RevocationList.objects.get(issuer=issuing)
    revocation.revoke(certificate=leaf, reason="keyCompromise", by=owner, at=now)
    listed = sign(issuing)
    pems = {
        "leaf": leaf.pem,
        "other": other.pem,
        "chain": leaf.chain_pem,
        "root": leaf.root_pem,
        "old": full_of(old).public_bytes(Encoding.PEM).decode(),
        "delta": delta_of(listed).public_bytes(Encoding.PEM).decode(),
    }
    for name, pem in pems.items():
        (tmp_path / f"{name}.pem").write_text(pem)
    for name in ("old", "delta"):
        assert "verify OK" in run(tmp_path, f"openssl crl -in {name}.pem -CAfile chain.pem -noout")
        gnutls = f"certtool --verify-crl --load-ca-certificate chain.pem --infile {name}.pem"
        assert "Verified" in run(tmp_path, gnutls) or "verified" in run(tmp_path, gnutls)
    assert "X509v3 Delta CRL Indicator: critical" in run(
        tmp_path, "openssl crl -in delta.pem -noout -text"
    )
    check = "openssl verify -crl_check -extended_crl -CAfile root.pem -untrusted chain.pem"
    lists = "-CRLfile old.pem -CRLfile delta.pem"
    assert "leaf.pem: OK" in run(tmp_path, f"{check} {lists} leaf.pem")
    assert "certificate revoked" in run(tmp_path, f"{check} -use_deltas {lists} leaf.pem")
    assert "other.pem: OK" in run(tmp_path, f"{check} -use_deltas {lists} other.pem")


def test_a_list_is_written_without_reading_certificates(issuing, now) -> None:  # type: ignore[no-untyped-def]
    """An issuer may have a million certificates, a few of them revoked."""
    certificate = issuing.parsed
    with CaptureQueriesContext(connection) as queries:
        revocation.prepare_list(issuer=issuing, certificate=certificate, number=2, at=now, days=7)
    (query,) = [each["sql"] for each in queries]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "COVERING INDEX ca_cert_revoked" in plan


def joined(full: x509.CertificateRevocationList, delta: x509.CertificateRevocationList) -> set[int]:
    """What a client that has both refuses (RFC 5280 5.2.4 and 6.3.3)."""
    refused = set(said_of(full))
    base = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
    if base <= number_of(full) < number_of(delta):
        for serial, reason in said_of(delta).items():
            (refused.discard if reason == "removeFromCRL" else refused.add)(serial)
    return refused


@pytest.mark.parametrize("small", [crl.SMALL, 0])
def test_any_full_list_since_the_base_and_the_newest_delta_say_the_truth(
    small, issuing, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    """Holds, releases and revocations in any order, signed now and then."""
    monkeypatch.setattr(crl, "SMALL", small)
    draw = random.Random(11)
    leaves = [leaf_of(issuing, owner, now, f"mail{n}.example.test") for n in range(4)]
    fulls = [full_of(RevocationList.objects.get(issuer=issuing))]
    used = 0
    for step in range(60):
        at = now + timedelta(minutes=3 * step)
        leaf = draw.choice(leaves)
        leaf.refresh_from_db()
        if leaf.state == Certificate.VALID:
            revocation.hold(certificate=leaf, by=owner, at=at)
        elif leaf.state == Certificate.HELD and draw.random() < 0.9:
            revocation.release(certificate=leaf, by=owner, at=at)
        elif leaf.state == Certificate.HELD:
            revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=at)
        if draw.random() < 0.4:
            continue
        row = RevocationList.objects.get(issuer=issuing)
        held = leases.claim(RevocationList, row.pk, worker="test", at=at)
        assert held is not None
        revocation.renew_list(listed=held, by=None, at=at)
        listed = RevocationList.objects.get(issuer=issuing)
        if listed.number != number_of(fulls[-1]):
            fulls.append(full_of(listed))
        truth = {
            int(each.serial, 16)
            for each in Certificate.objects.filter(state__in=["held", "revoked"])
        }
        assert listed.delta_base is not None and listed.stale_at is None
        for full in fulls:
            if listed.delta_base <= number_of(full) < listed.delta_number:
                assert joined(full, delta_of(listed)) == truth
                used += 1
        if listed.number == listed.delta_number:
            assert joined(full_of(listed), delta_of(listed)) == truth
    assert used > 20


def test_pkilint_finds_nothing(issuing, leaf, owner, now) -> None:  # type: ignore[no-untyped-def]
    other = leaf_of(issuing, owner, now, "mail2.example.test")
    revocation.revoke(certificate=leaf, reason="unspecified", by=owner, at=now)
    revocation.hold(certificate=other, by=owner, at=now)
    sign(issuing)
    revocation.release(certificate=other, by=owner, at=timezone.now())
    listed = sign(issuing)
    root = RevocationList.objects.get(issuer=issuing.parent)
    for der in (listed.der, listed.delta_der, root.der):
        assert pkilint_of(bytes(der)) == []


def test_nss_refuses_what_is_on_a_list(issuing, leaf, owner, now, tmp_path) -> None:  # type: ignore[no-untyped-def]
    other = leaf_of(issuing, owner, now, "mail2.example.test")
    revocation.revoke(certificate=leaf, reason="keyCompromise", by=owner, at=now)
    (tmp_path / "list.der").write_bytes(bytes(sign(issuing).der))
    pems = {"root": leaf.root_pem, "issuer": leaf.chain_pem, "leaf": leaf.pem, "other": other.pem}
    database = f"sql:{tmp_path}"
    run(tmp_path, f"certutil -N -d {database} --empty-password")
    for name, pem in pems.items():
        (tmp_path / f"{name}.pem").write_text(pem)
        trust = "CT,C,C" if name == "root" else ",,"
        run(tmp_path, f"certutil -A -d {database} -n {name} -t {trust} -i {name}.pem")
    check = f"certutil -V -d {database} -u V -n"
    assert "certificate is valid" in run(tmp_path, f"{check} leaf")
    run(tmp_path, f"crlutil -I -d {database} -t 1 -i list.der")
    assert "has been revoked" in run(tmp_path, f"{check} leaf")
    assert "certificate is valid" in run(tmp_path, f"{check} other")


@pytest.fixture
def stranger() -> Client:
    """A client that checks a certificate: no cookie, any name of the host, plain http."""
    return Client(SERVER_NAME="pki.example.test")


def test_everybody_may_fetch_them_without_anything(issuing, stranger, now, settings) -> None:  # type: ignore[no-untyped-def]
    settings.SECURE_SSL_REDIRECT = True
    sign(issuing)
    RevocationList.objects.filter(issuer=issuing).update(renew_at=now)
    listed = sign(issuing)
    assert listed.delta_number is not None
    kinds = {
        ".crt": ("application/pkix-cert", issuing.certificate.der),
        ".crl": ("application/pkix-crl", bytes(listed.der)),
        "-delta.crl": ("application/pkix-crl", bytes(listed.delta_der)),
    }
    for end, (kind, content) in kinds.items():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = stranger.get(f"/pki/{issuing.public_id}{end}")
        assert (answer.status_code, answer["Content-Type"]) == (200, kind)
        assert answer.content == content and answer["Content-Length"] == str(len(content))
        assert not answer.cookies and "Vary" not in answer and len(queries) <= 2
        seconds = int(answer["Cache-Control"].removeprefix("public, max-age="))
        assert 0 < seconds <= {".crt": 86400, ".crl": 3600, "-delta.crl": 300}[end]

        head = stranger.head(f"/pki/{issuing.public_id}{end}")
        assert head.content == b"" and head["Content-Length"] == str(len(content))
        for condition in (
            {"If-None-Match": answer["ETag"]},
            {"If-Modified-Since": answer["Last-Modified"]},
        ):
            unchanged = stranger.get(f"/pki/{issuing.public_id}{end}", headers=condition)
            assert unchanged.status_code == 304 and unchanged.content == b""
            assert unchanged["ETag"] == answer["ETag"]
        other = stranger.get(f"/pki/{issuing.public_id}{end}", headers={"If-None-Match": '"no"'})
        assert other.status_code == 200
        refused = stranger.post(f"/pki/{issuing.public_id}{end}", {"a": "b"})
        assert refused.status_code == 405 and refused["Allow"] == "GET, HEAD"


def test_a_new_list_is_not_taken_for_the_old_one(issuing, leaf, owner, now, stranger) -> None:  # type: ignore[no-untyped-def]
    address = f"/pki/{issuing.public_id}.crl"
    tag = stranger.get(address)["ETag"]
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=now)
    sign(issuing)
    assert stranger.get(address, headers={"If-None-Match": tag}).status_code == 200


def test_what_is_not_there_is_not_found(issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    for address in (
        "/pki/0123456789abcdef.crt",
        "/pki/0123456789abcdef.crl",
        "/pki/0123456789abcdef-delta.crl",
        f"/pki/{issuing.public_id}-delta.crl",
        f"/pki/{issuing.parent.public_id}-delta.crl",
    ):
        answer = stranger.get(address)
        assert answer.status_code == 404 and answer["Content-Type"].startswith("text/plain")


def test_other_addresses_go_on_to_the_rest(issuing, client) -> None:  # type: ignore[no-untyped-def]
    assert client.get(f"/pki/{issuing.public_id}.exe").status_code in (302, 404)
    assert client.get("/healthz").status_code == 200
