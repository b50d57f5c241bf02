"""Reading an authority made by hand: each file, each way it can be wrong."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ca import keys, legacy
from ca.legacy import rawnames
from ca.legacy.files import BadImport
from ca.legacy.index import read_index
from tests.ca.byhand import PASSPHRASE, by_hand, openssl

NOW = datetime.now(UTC)
MAKE = Path(__file__).parents[3] / "shared" / "legacy-ca" / "make.sh"


@pytest.fixture(scope="module")
def files():  # type: ignore[no-untyped-def]
    return by_hand()


@pytest.fixture(scope="module")
def root(files) -> legacy.Root:  # type: ignore[no-untyped-def]
    return legacy.read_root(files.root, at=NOW)


def refusal(call, *arguments, **options) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(BadImport) as refused:
        call(*arguments, **options)
    return refused.value.code


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def der(text: bytes) -> bytes:
    return x509.load_pem_x509_certificate(text).public_bytes(Encoding.DER)


def test_the_key_of_2004_opens(files, root) -> None:  # type: ignore[no-untyped-def]
    assert b"DEK-Info: DES-EDE3-CBC" in files.key
    assert legacy.key_form(files.key) == legacy.KeyForm(pem=True, encrypted=True)
    private = legacy.read_key(files.key, PASSPHRASE)
    assert keys.key_id(private.public_key()) == keys.key_id(root.public_key)


def test_every_form_of_a_key(files) -> None:  # type: ignore[no-untyped-def]
    private = load_pem_private_key(files.key, PASSPHRASE.encode())
    for encoding in (Encoding.PEM, Encoding.DER):
        for form, seal in (
            (PrivateFormat.PKCS8, BestAvailableEncryption(b"another one")),
            (PrivateFormat.PKCS8, NoEncryption()),
            (PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ):
            source = private.private_bytes(encoding, form, seal)
            encrypted = not isinstance(seal, NoEncryption)
            assert legacy.key_form(source).encrypted is encrypted
            read = legacy.read_key(source, "another one" if encrypted else "")
            assert read.public_key() == private.public_key()
            if encrypted:
                assert refusal(legacy.read_key, source, "wrong one") == "import_passphrase_wrong"
                assert refusal(legacy.read_key, source, "") == "import_passphrase_missing"
            else:
                assert refusal(legacy.read_key, source, "x") == "import_passphrase_superfluous"
    with_parameters = (
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        + ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
    )
    assert isinstance(legacy.read_key(with_parameters, ""), ec.EllipticCurvePrivateKey)


def test_each_wrong_key_has_its_own_error(files, tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert refusal(legacy.read_key, files.key, "fc1-passphrasE") == "import_passphrase_wrong"
    assert refusal(legacy.read_key, files.key, "") == "import_passphrase_missing"
    assert refusal(legacy.read_key, files.key_plain, "x") == "import_passphrase_superfluous"
    for content, code in (
        (b"", "import_key_missing"),
        (b"  \n", "import_key_missing"),
        (b"garbage", "import_key_unreadable"),
        (b"\x30\x03\x02\x01\x00", "import_key_unreadable"),
        (b"x" * (64 * 1024 + 1), "import_key_unreadable"),
        (files.key[:600], "import_key_unreadable"),
        (files.root, "import_key_is_certificate"),
        (der(files.root), "import_key_is_certificate"),
        (files.key + files.key_plain, "import_key_several"),
    ):
        assert refusal(legacy.read_key, content, "") == code, content[:40]
    openssl("genrsa", "-traditional", "-out", "small.key", "1024", cwd=tmp_path)
    small = (tmp_path / "small.key").read_bytes()
    assert refusal(legacy.read_key, small, "") == "import_key_rsa_small"
    curve = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    assert refusal(legacy.read_key, curve, "") == "import_key_curve"


def test_the_root_of_2004_is_accepted_with_notes(files, root) -> None:  # type: ignore[no-untyped-def]
    assert root.shown == "CN=My Root CA,O=Example Ltd,C=TW"
    assert root.notes == ("root_sha1", "root_constraints", "root_usage")
    assert root.needs_crossing
    assert legacy.read_root(der(files.root), at=NOW) == root
    ended = legacy.read_root(files.root, at=NOW + timedelta(days=7306))
    assert ended.notes == ("root_ended", *root.notes), "signed anew it gets another life"
    modern = files.self_signed("-sha256", "-extensions", "v3_modern", "-set_serial", "0")
    found = legacy.read_root(modern, at=NOW)
    assert found.notes == ("root_serial_zero",) and not found.needs_crossing


def test_roots_that_are_refused(files, tmp_path) -> None:  # type: ignore[no-untyped-def]
    def read(source: bytes) -> str:
        return refusal(legacy.read_root, source, at=NOW)

    assert read(files.self_signed("-md5", "-extensions", "v3_ca")) == "import_root_hash"
    assert read(files.self_signed("-sha256")) == "import_root_no_authority"
    assert read(files.self_signed("-sha256", "-extensions", "v3_req")) == "import_root_no_authority"
    assert read(files.host) == "import_root_not_root"
    broken = bytearray(der(files.root))
    broken[-1] ^= 1
    assert read(bytes(broken)) == "import_root_signature"
    assert read(b"") == "import_certificate_missing"
    assert read(b"garbage") == "import_certificate_unreadable"
    assert read(b"\x30\x82garbage") == "import_certificate_unreadable"
    assert read(files.key_plain) == "import_certificate_is_key"
    assert read(files.root + files.host) == "import_certificate_several"
    openssl("genrsa", "-out", str(tmp_path / "small.key"), "1024", cwd=tmp_path)
    small = files.self_signed("-sha1", "-extensions", "v3_ca", key=str(tmp_path / "small.key"))
    assert read(small) == "import_key_rsa_small"


def test_a_root_named_in_latin_1_is_refused_by_its_name(files) -> None:  # type: ignore[no-untyped-def]
    config = (
        (files.folder / "ca.cnf")
        .read_bytes()
        .replace(b"My Root CA", "Müllers CA".encode("latin-1"))
    )
    (files.folder / "latin.cnf").write_bytes(config)
    source = files.self_signed("-sha1", "-extensions", "v3_ca", config="latin.cnf")
    with pytest.raises(BadImport) as refused:
        legacy.read_root(source, at=NOW)
    assert refused.value.code == "import_root_name"
    assert refused.value.detail["name"] == "CN=Müllers CA,O=Example Ltd,C=TW"


@pytest.mark.parametrize(
    ("content", "number"),
    [(b"01\n", "1"), (b"00AB\r\n", "ab"), (b"394053CD659E94FA9EF04F9EED5F621DA9ADB2DA", None)],
)
def test_serial_files(content: bytes, number: str | None) -> None:
    assert legacy.read_serial(content) == (number or content.decode().lower())


@pytest.mark.parametrize("content", [b"", b"xyz", b"1" * 41, b"01 02", "١".encode()])
def test_serial_files_that_are_none(content: bytes) -> None:
    assert refusal(legacy.read_serial, content) == "import_serial_unreadable"


def verdicts(found) -> list[tuple[str, str, str]]:  # type: ignore[no-untyped-def]
    return [(each.source, each.verdict, each.code) for each in found]


def test_issued_certificates_are_taken_over(files, root) -> None:  # type: ignore[no-untyped-def]
    found = legacy.examine(files.issued(), root)
    assert verdicts(found) == [
        ("certs/myhost.crt", "taken", ""),
        ("certs/v1.crt", "noted", "note_version_1"),
    ]
    assert [each.serial for each in found] == ["3940", "3941"]
    assert found[1].subject == "CN=old.example.test"
    bundle = b"a comment\n" + files.host + files.v1
    assert verdicts(legacy.examine([("all.pem", bundle), ("a.der", der(files.v1))], root)) == [
        ("all.pem #1", "taken", ""),
        ("all.pem #2", "noted", "note_version_1"),
        ("a.der", "left", "left_twice"),
    ]


def test_one_bad_file_does_not_harm_the_others(files, root) -> None:  # type: ignore[no-untyped-def]
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "elsewhere")])
    other = files.self_signed("-sha256", "-extensions", "v3_ca", "-subj", "/CN=Other CA")
    forged = bytearray(der(files.v1))
    forged[-1] ^= 1
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .sign(key, legacy.hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    upload = [
        ("root.crt", files.root),
        ("other.crt", other),
        ("forged.der", bytes(forged)),
        ("host.key", files.key_plain),
        ("host.csr", request),
        ("openssl.cnf", b"[req]\n"),
        ("cut.der", der(files.v1)[:200]),
        ("empty", b""),
        ("zero.crt", files.sign("zero.example.test", "-sha1", serial=0)),
        ("one.crt", files.sign("one.example.test", "-sha1", serial=7)),
        ("two.crt", files.sign("two.example.test", "-sha1", serial=7)),
        ("good.crt", files.host),
    ]
    found = legacy.examine(upload, root)
    assert verdicts(found) == [
        ("root.crt", "left", "left_is_root"),
        ("other.crt", "left", "left_other_issuer"),
        ("forged.der", "left", "left_signature"),
        ("host.key", "left", "left_is_key"),
        ("host.csr", "left", "left_is_request"),
        ("openssl.cnf", "left", "left_no_certificate"),
        ("cut.der", "left", "left_unreadable"),
        ("empty", "left", "left_no_certificate"),
        ("zero.crt", "left", "left_serial_zero"),
        ("one.crt", "noted", "note_version_1"),
        ("two.crt", "left", "left_serial_seen"),
        ("good.crt", "taken", ""),
    ]
    assert found[10].detail == {"other": "one.crt"}
    assert b"PRIVATE" not in repr(found).encode()


def test_hostile_files_cost_no_time(root) -> None:  # type: ignore[no-untyped-def]
    for line in (b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN A", b"-----END CERTIFICATE-----\n"):
        before = time.monotonic()
        found = legacy.examine([("x", line * 200_000)], root)
        assert verdicts(found) == [("x", "left", "left_no_certificate")]
        assert time.monotonic() - before < 20, "one pass takes a tenth of a second, many take hours"


def test_what_its_owner_should_know(files, root) -> None:  # type: ignore[no-untyped-def]
    serial = ("-extfile", "ca.cnf", "-extensions", "v3_serial")
    latin = files.sign("Grüße".encode("latin-1"), "-md5", *serial, serial=9)
    with pytest.raises(ValueError):
        x509.load_pem_x509_certificate(latin).subject  # noqa: B018
    (found,) = legacy.examine([("latin.crt", latin)], root)
    assert (found.verdict, found.code) == ("noted", "note_name")
    assert found.also == ("note_md5", "note_issuer_serial")
    assert found.subject == "CN=Grüße"


def test_names_are_always_text_that_parses(files) -> None:  # type: ignore[no-untyped-def]
    for source in (files.root, files.host, files.v1):
        certificate = x509.load_pem_x509_certificate(source)
        assert rawnames.subject_der(certificate) == certificate.subject.public_bytes()
        assert rawnames.issuer_der(certificate) == certificate.issuer.public_bytes()
        assert rawnames._lenient(rawnames.subject_der(certificate)) == certificate.subject
    for value in ("x" * 500, "a,b+c=\\d\x00", "#", " "):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, value, _validate=False)])
        text = rawnames.text(name)
        assert len(text) <= rawnames.LONGEST and "\x00" not in text
        x509.Name.from_rfc4514_string(text)
    for hostile in (b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x05\x31\x03\x30\x01\x06"):
        assert rawnames._lenient(hostile) == x509.Name([])


INDEX = (
    b"V\t360101000000Z\t\t3940\tunknown\t/C=TW/CN=mail.example.test\n"
    b"R\t360101000000Z\t120501093000Z,keyCompromise\t3941\tunknown\t/C=TW/CN=old.example.test\n"
    b"R\t20360101000000Z\t20120501093000Z,CACompromise\t0B\tunknown\t/CN=lost\n"
    b"a line that makes no sense\n"
)


def test_an_index_says_what_was_revoked(files, root) -> None:  # type: ignore[no-untyped-def]
    entries = read_index(INDEX)
    assert sorted(entries) == [0x0B, 0x3940, 0x3941]
    assert entries[0x0B].reason == "cACompromise"
    found = legacy.examine([*files.issued(), ("index.txt", INDEX)], root)
    assert verdicts(found) == [
        ("certs/myhost.crt", "taken", ""),
        ("certs/v1.crt", "noted", "note_version_1"),
        ("index.txt", "left", "left_missing"),
    ]
    assert found[0].entry is None
    assert found[1].entry is not None
    assert found[1].entry.revoked_at == datetime(2012, 5, 1, 9, 30, tzinfo=UTC)
    assert found[1].entry.reason == "keyCompromise"
    assert found[2].serial == "b"


def test_too_many_are_refused_at_once(files, root, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(legacy, "MOST_CERTIFICATES", 3)
    assert refusal(legacy.examine, [("all.pem", files.v1 * 4)], root) == "import_too_many"


def test_what_it_was_for(files) -> None:  # type: ignore[no-untyped-def]
    profiles = {
        "v3_ca": "subordinate",
        "v3_req": "host",
        "emailProtection": "person",
        "clientAuth": "client",
        "serverAuth,clientAuth": "host",
    }
    for number, (what, profile) in enumerate(profiles.items(), start=20):
        section = what
        if not what.startswith("v3"):
            (files.folder / "eku.cnf").write_text(f"[e]\nextendedKeyUsage={what}\n")
            options = ("-extfile", "eku.cnf", "-extensions", "e")
        else:
            options = ("-extfile", "ca.cnf", "-extensions", section)
        made = x509.load_pem_x509_certificate(files.sign("x.example.test", *options, serial=number))
        assert legacy.profile_of(made) == profile, what


@pytest.mark.skipif(not MAKE.exists(), reason="the folder made as in 2004 is not here")
def test_the_folder_made_as_in_2004(tmp_path: Path) -> None:
    subprocess.run([str(MAKE), str(tmp_path)], check=True, capture_output=True)
    root = legacy.read_root((tmp_path / "certs/myrootca.crt").read_bytes(), at=NOW)
    private = legacy.read_key((tmp_path / "private/myrootca.key").read_bytes(), "fc1-passphrase")
    assert private.public_key() == root.public_key
    assert legacy.read_serial((tmp_path / "serial").read_bytes())
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    found = legacy.examine([(path.name, path.read_bytes()) for path in paths], root)
    assert {each.source: each.verdict for each in found if each.verdict != "left"} == {
        "myhost.crt": "taken",
        "v1.crt": "noted",
    }
