"""Every form of a download, read by somebody else's program."""

from __future__ import annotations

import plistlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.urls import reverse

from ca import export, issuance, tasks
from core.models import AuditEvent
from tests.ca.conftest import request_for

pytestmark = pytest.mark.django_db
NAME = "mail1.example.test"
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def leaf(issuing, owner, now):  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host",
        names=[NAME],
        issuer=issuing,
        csr_pem=request_for(NAME, key=KEY),
        by=owner,
        at=now,
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None
    return order.certificate


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def do(*command: str, ok: bool = True) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, said
        return said

    return do


def pem_of(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    kept = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept)


def test_the_chain_in_each_form_is_the_same(leaf, tmp_path, run: Run) -> None:  # type: ignore[no-untyped-def]
    assert export.content_of(leaf, "pem").decode() == leaf.pem
    assert export.content_of(leaf, "fullchain").decode() == leaf.fullchain_pem
    assert export.content_of(leaf, "chain").decode() == leaf.chain_pem
    assert export.content_of(leaf, "root").decode() == leaf.root_pem
    (tmp_path / "leaf.cer").write_bytes(export.content_of(leaf, "der"))
    assert NAME in run("openssl", "x509", "-inform", "DER", "-in", "leaf.cer", "-noout", "-text")
    assert NAME in export.content_of(leaf, "text").decode()
    root = leaf.issuer.parent.certificate
    assert export.content_of(root, "root").decode() == root.pem
    assert export.content_of(root, "chain") == b""


@pytest.mark.parametrize(("form", "inform"), [("p7b", "DER"), ("p7b-pem", "PEM")])
def test_pkcs7_holds_the_whole_chain(form, inform, leaf, tmp_path, run: Run) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "all.p7b").write_bytes(export.content_of(leaf, form))
    said = run(
        "openssl", "pkcs7", "-inform", inform, "-in", "all.p7b", "-print_certs", "-out", "all.pem"
    )
    held = x509.load_pem_x509_certificates((tmp_path / "all.pem").read_bytes())
    assert {each.serial_number for each in held} == {
        each.parsed.serial_number for each in [leaf, *leaf.authorities()]
    }, said
    options = ["--inder"] if inform == "DER" else []
    said = run("certtool", "--p7-info", *options, "--infile", "all.p7b")
    assert said.count("-----BEGIN CERTIFICATE-----") == 3


@pytest.mark.parametrize(
    ("form", "options", "mac"),
    [("p12", [], "sha256"), ("p12-compatible", ["-legacy"], "sha1")],
)
def test_a_pkcs12_without_a_key_is_a_trust_store(form, options, mac, leaf, tmp_path, run: Run):  # type: ignore[no-untyped-def]
    (tmp_path / "store.p12").write_bytes(export.content_of(leaf, form))
    said = run(
        "openssl", "pkcs12", *options, "-in", "store.p12", "-info", "-passin", "pass:changeit"
    )
    assert said.count("-----BEGIN CERTIFICATE-----") == 3 and "PRIVATE KEY" not in said
    assert f"MAC: {mac}," in said and "2.16.840.1.113894.746875.1.1" in said
    said = run(
        "certtool", "--p12-info", "--inder", "--password", "changeit", "--infile", "store.p12"
    )
    assert said.count("-----BEGIN CERTIFICATE-----") == 3


@pytest.mark.parametrize(
    ("form", "options", "sign"),
    [("p12", [], "AES-256-CBC"), ("p12-compatible", ["-legacy"], "pbeWithSHA1And3-KeyTripleDES")],
)
def test_a_pkcs12_with_its_owners_key_opens_elsewhere(  # type: ignore[no-untyped-def]
    form, options, sign, leaf, tmp_path, run: Run
) -> None:
    (tmp_path / "id.p12").write_bytes(export.with_key(leaf, KEY, b"travel safely", form))
    said = run(
        "openssl", "pkcs12", *options, "-in", "id.p12", "-info", "-noenc",
        "-passin", "pass:travel safely",
    )  # fmt: skip
    assert "BEGIN PRIVATE KEY" in said and said.count("BEGIN CERTIFICATE") == 3 and sign in said
    assert "friendlyName: mail1.example.test" in said
    run("openssl", "pkcs12", *options, "-in", "id.p12", "-passin", "pass:wrong", ok=False)
    # NSS reads it the way Thunderbird does.
    (tmp_path / "db").mkdir()
    run("certutil", "-N", "-d", "sql:db", "--empty-password")
    run("pk12util", "-i", "id.p12", "-d", "sql:db", "-W", "travel safely", "-K", "")
    assert NAME in run("certutil", "-L", "-d", "sql:db")


def test_a_mobileconfig_is_what_apple_documents(leaf, tmp_path) -> None:  # type: ignore[no-untyped-def]
    root = leaf.issuer.parent.certificate
    raw = export.content_of(root, "mobileconfig")
    profile = plistlib.loads(raw)
    assert profile["PayloadType"] == "Configuration"
    (payload,) = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert payload["PayloadContent"] == root.der
    assert raw == export.content_of(root, "mobileconfig"), "installed again, it replaces itself"
    of_leaf = plistlib.loads(export.content_of(leaf, "mobileconfig"))["PayloadContent"]
    assert [each["PayloadType"] for each in of_leaf] == [
        "com.apple.security.root",
        "com.apple.security.pkcs1",
    ]
    assert of_leaf[0]["PayloadUUID"] == payload["PayloadUUID"]

    raw = export.with_key(leaf, KEY, b"travel safely", "mobileconfig")
    identity = plistlib.loads(raw)["PayloadContent"][-1]
    assert identity["PayloadType"] == "com.apple.security.pkcs12"
    assert "Password" not in identity and b"travel safely" not in raw


def test_keys_are_read_as_people_have_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem_of(KEY))
    run(
        "openssl", "ec", "-in", "key.pem", "-des3", "-passout", "pass:old", "-out", "old.pem"
    )  # the form of 2004: DEK-Info
    old = (tmp_path / "old.pem").read_bytes()
    der = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for source, passphrase in [
        (pem_of(KEY), None),
        (pem_of(KEY), b"not needed"),
        (pem_of(KEY, b"secret"), b"secret"),
        (old, b"old"),
        (der, None),
    ]:
        assert export.read_key(source, passphrase).private_numbers() == KEY.private_numbers()  # type: ignore[union-attr]


def test_keys_that_are_none_say_why() -> None:
    unusable = dsa.generate_private_key(1024).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for source, passphrase, code in [
        (b"", None, "key_unreadable"),
        (b"\x30\x03\x02\x01\x00", None, "key_unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", None, "key_unreadable"),
        (pem_of(KEY, b"secret"), None, "key_passphrase"),
        (pem_of(KEY, b"secret"), b"wrong", "key_passphrase"),
        (unusable, None, "key_unreadable"),
        (b"-----BEGIN" + b"x" * export.MOST_KEY_BYTES, None, "key_large"),
    ]:
        with pytest.raises(export.BadKey) as refusal:
            export.read_key(source, passphrase)
        assert refusal.value.code == code, source[:40]


def test_another_key_is_refused(leaf) -> None:  # type: ignore[no-untyped-def]
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(export.BadKey) as refusal:
        export.with_key(leaf, other, b"travel safely", "p12")
    assert refusal.value.code == "key_differs_from_certificate"


def test_every_form_is_on_the_page_and_in_the_call(leaf, signed_in) -> None:  # type: ignore[no-untyped-def]
    page = signed_in.get(reverse("ca:certificate", args=[leaf.pk])).content.decode()
    for form, (ending, kind) in export.FORMS.items():
        address = reverse("ca:download", args=[leaf.pk, form])
        assert f'href="{address}"' in page, form
        answer = signed_in.get(address)
        assert answer.content and answer["Content-Type"] == kind
        assert answer["Content-Disposition"].endswith(f'.{ending}"')
    assert signed_in.get(reverse("ca:download", args=[leaf.pk, "pfx"])).status_code == 404


def bundled(client, leaf, **changed):  # type: ignore[no-untyped-def]
    data = {
        "key": pem_of(KEY, b"secret").decode(),
        "key_passphrase": "secret",
        "form": "p12",
        "passphrase": "travel safely then",
        "passphrase_again": "travel safely then",
    }
    return client.post(reverse("ca:bundle", args=[leaf.pk]), data | changed)


def test_the_page_puts_key_and_certificate_together(leaf, signed_in, tmp_path, run: Run):  # type: ignore[no-untyped-def]
    assert signed_in.get(reverse("ca:bundle", args=[leaf.pk])).status_code == 200
    answer = bundled(signed_in, leaf)
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"] == 'attachment; filename="mail1.example.test.p12"'
    (tmp_path / "id.p12").write_bytes(answer.content)
    said = run("openssl", "pkcs12", "-in", "id.p12", "-noenc", "-passin", "pass:travel safely then")
    assert "BEGIN PRIVATE KEY" in said
    event = AuditEvent.objects.get(action="ca.certificate.bundled")
    assert event.detail == {"serial": leaf.serial, "form": "p12"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key_passphrase": "wrong"}, "does not open the key"),
        ({"key": "rubbish"}, "This is no private key"),
        ({"key": ""}, "This is no private key"),
        ({"passphrase_again": "another"}, "differ"),
        ({"passphrase": "short", "passphrase_again": "short"}, "at least 12"),
        ({"form": "pem"}, "Select a valid choice"),
    ],
)
def test_the_page_refuses_and_shows_no_secret(changed, said, leaf, signed_in) -> None:  # type: ignore[no-untyped-def]
    answer = bundled(signed_in, leaf, **changed)
    assert answer.status_code == 422 and said in answer.content.decode()
    assert b"ENCRYPTED PRIVATE KEY" not in answer.content and b"travel safely" not in answer.content
    assert not AuditEvent.objects.filter(action="ca.certificate.bundled").exists()
