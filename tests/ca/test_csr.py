"""Requests that are read, and every reason for which one is not."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ca import csr, keys, lints, wording
from tests.ca.conftest import request_for

EC = ec.generate_private_key(ec.SECP256R1())
DER_OF = {"request": base64.b64decode("".join(request_for("a.example.test").splitlines()[1:-1]))}


def broken_signature() -> str:
    raw = bytearray(DER_OF["request"])
    raw[-5] ^= 0xFF
    body = base64.encodebytes(bytes(raw)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def exchanged_name() -> str:
    raw = DER_OF["request"].replace(b"a.example.test", b"b.example.test")
    body = base64.encodebytes(raw).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def with_san(*names: x509.GeneralName) -> str:
    san = x509.SubjectAlternativeName(list(names))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(san, critical=False).sign(EC, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def a_certificate() -> str:
    from datetime import UTC, datetime, timedelta

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example.test")])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder(name, name, EC.public_key(), 7, at, at + timedelta(days=1))
        .sign(EC, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


def private_key() -> str:
    pem = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem + request_for("a.example.test", key=EC)


CUT = request_for("a.example.test")[:200]


@pytest.mark.parametrize(
    ("code", "source"),
    [
        ("csr_empty", "  \n"),
        ("csr_too_big", "x" * 10_000_000),
        ("csr_unreadable", "garbage"),
        ("csr_unreadable", b"\x30\x82\xff\xff\x00"),
        ("csr_unreadable", "\x00\x01\udcff"),
        ("csr_unreadable", "\ud800"),
        ("csr_cut", CUT),
        ("csr_is_certificate", a_certificate()),
        ("csr_is_certificate", x509.load_pem_x509_certificate(
            a_certificate().encode()).public_bytes(Encoding.DER)),
        ("csr_is_private_key", private_key()),
        ("csr_not_request", "-----BEGIN PGP MESSAGE-----\nx\n-----END PGP MESSAGE-----"),
        ("csr_several", request_for("a.example.test") + request_for("b.example.test")),
        ("csr_signature", broken_signature()),
        ("csr_signature", exchanged_name()),
        ("key_rsa_small", request_for("a.example.test", key=rsa.generate_private_key(65537, 1024))),
        ("key_rsa_exponent", request_for("a.example.test", key=rsa.generate_private_key(3, 2048))),
        ("key_curve", request_for("a.example.test", key=ec.generate_private_key(ec.SECP521R1()))),
        ("key_curve", request_for("a.example.test", key=ec.generate_private_key(ec.SECP256K1()))),
        ("email_local", with_san(x509.RFC822Name("*@example.test"))),
        ("email_domain", with_san(x509.RFC822Name("a@mail"))),
        ("name_wildcard_wide", with_san(x509.DNSName("*.com.tw"))),
        ("name_wildcard_wide", request_for(common_name="*.co.uk")),
        ("csr_name_kind", with_san(x509.UniformResourceIdentifier("http://a.example.test"))),
        ("name_wildcard_place", with_san(x509.DNSName("a.*.example.test"))),
        ("name_wildcard_place", with_san(x509.DNSName("m*.example.test"))),
        ("name_wildcard_wide", with_san(x509.DNSName("*.test"))),
        ("name_control", with_san(x509.DNSName("a\x00.example.test"))),
        ("name_control", with_san(x509.DNSName("a b.example.test"))),
        ("name_label", with_san(x509.DNSName("a_b.example.test"))),
        ("name_label", with_san(x509.DNSName("-a.example.test"))),
        ("name_idn", with_san(x509.DNSName("xn--zzzzzz99999.example.test"))),
        ("name_too_long", with_san(x509.DNSName(".".join(["a" * 60] * 5)))),
        ("names_too_many", with_san(*(x509.DNSName(f"a{n}.example.test") for n in range(101)))),
    ],
)  # fmt: skip
def test_refused(code: str, source: str | bytes) -> None:
    with pytest.raises(csr.BadRequest) as refused:
        csr.parse(source)
    assert refused.value.code == code


def test_refused_key_kind() -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    with pytest.raises(csr.BadRequest) as refused:
        csr.parse(signed.public_bytes(Encoding.PEM))
    assert (refused.value.code, refused.value.detail) == ("key_kind", {"found": "Ed25519"})


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_refused_digest(digest: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """pyca does not sign with these any more; the openssl command still does."""
    import subprocess

    command = ["openssl", "req", "-new", f"-{digest}", "-newkey", "rsa:2048", "-nodes"]
    command += ["-subj", "/CN=a.example.test", "-keyout", str(tmp_path / "k")]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    with pytest.raises(csr.BadRequest) as refused:
        csr.parse(made)
    assert (refused.value.code, refused.value.detail) == ("csr_hash", {"found": digest.upper()})


RAISED = re.compile(
    r"(?:Bad\w+|Not\w+|\w+Refused|OutsideRails|IssuerUnable|RequestUnreadable|OrderEnded)"
    r'\(\s*"(\w+)"'
)
MODULES = sorted(path for path in Path(csr.__file__).parent.glob("*.py"))


def test_refusals_are_found() -> None:
    assert sum(len(RAISED.findall(path.read_text())) for path in MODULES) > 60


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_refusal_has_its_sentence(module: Path) -> None:
    """A code without a sentence would be shown to an operator as it is."""
    assert set(RAISED.findall(module.read_text())) <= set(wording.SENTENCES)


def test_every_rule_has_its_words() -> None:
    assert {each.id for each in lints.ALL} == set(wording.LINTS)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda pem: pem,
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: "Here is my request:\n\n" + pem + "\nThank you\n",
        lambda pem: pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
        lambda pem: base64.b64decode("".join(pem.splitlines()[1:-1])),
    ],
)
def test_read(wrap) -> None:  # type: ignore[no-untyped-def]
    pem = request_for("Mail.Example.TEST", "mail.example.test", "*.example.test", key=EC)
    read = csr.parse(wrap(pem))
    assert [name.value for name in read.names] == ["mail.example.test", "*.example.test"]
    assert read.public_key == EC.public_key()
    assert read.pem == pem and read.key_label == "P-256" and len(read.key_id) == 64


@pytest.mark.parametrize(
    ("common_name", "expected"),
    [("mail.example.test", ["mail.example.test"]), ("Mail server, 2nd floor", []), ("mail", [])],
)
def test_the_common_name_is_a_proposal(common_name: str, expected: list[str]) -> None:
    read = csr.parse(request_for(common_name=common_name))
    assert [name.value for name in read.names] == expected
    assert read.common_name == common_name


def test_its_extensions_are_not_believed() -> None:
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example.test")]), False)
    )
    read = csr.parse(builder.sign(EC, hashes.SHA256()).public_bytes(Encoding.PEM))
    assert [name.value for name in read.names] == ["a.example.test"]
    assert "ca" not in vars(read)


def subject_request(*attributes: tuple[x509.ObjectIdentifier, str]) -> bytes:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(EC, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


CN, MAIL = x509.NameOID.COMMON_NAME, x509.NameOID.EMAIL_ADDRESS


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (with_san(x509.RFC822Name("Wang@Example.TEST")), [("email", "Wang@example.test")]),
        (
            with_san(x509.RFC822Name("wang@example.test"), x509.DNSName("a.example.test")),
            [("email", "wang@example.test"), ("dns", "a.example.test")],
        ),
        # As `openssl req` asks for it: a name and a mail address in the subject
        (
            subject_request((CN, "王大明"), (MAIL, "wang@example.test")),
            [("email", "wang@example.test")],
        ),
        (subject_request((CN, "wang@example.test")), [("email", "wang@example.test")]),
        (
            subject_request((CN, "a.example.test"), (MAIL, "root@example.test")),
            [("dns", "a.example.test")],
        ),
        (subject_request((CN, "wang@home")), []),
        (subject_request((CN, "J. <wang@x>")), []),
    ],
)
def test_mail_addresses(source: str | bytes, expected: list[tuple[str, str]]) -> None:
    assert [(each.kind, each.value) for each in csr.parse(source).names] == expected


def test_an_authoritys_request_may_be_ed25519() -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(CN, "Example Issuing")])
    )
    pem = builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM)
    assert csr.parse(pem, authority=True).key_label == "Ed25519"
    raw = bytearray(base64.b64decode("".join(pem.decode().splitlines()[1:-1])))
    raw[-1] ^= 0x01
    with pytest.raises(csr.BadRequest) as refused:
        csr.parse(bytes(raw), authority=True)
    assert refused.value.code == "csr_signature"


# Every request among pyca's vectors, with what becomes of it: None is read. All the others are
# refused for the reason named, the first of them where a request has several faults.
VECTORS: dict[str, str | None] = {
    "bad-version.pem": "csr_unreadable",
    "basic_constraints.pem": "csr_hash",
    "challenge-invalid.der": "csr_signature",
    "challenge-multi-valued.der": "csr_signature",
    # a challenge password is an attribute, which is ignored; the signature is right
    "challenge-unstructured.pem": None,
    "challenge.pem": None,
    "dsa_sha1.der": "key_kind",
    "dsa_sha1.pem": "key_kind",
    "ec_sha256.der": None,
    "ec_sha256.pem": None,
    "ec_sha256_old_header.pem": None,  # "NEW CERTIFICATE REQUEST", as some software writes it
    "freeipa-bad-critical.pem": "csr_unreadable",
    "invalid_signature.pem": "key_rsa_small",
    "long-form-attribute.pem": "csr_signature",
    "rsa_md4.der": "csr_hash",
    "rsa_md4.pem": "csr_hash",
    "rsa_sha1.der": "csr_hash",
    "rsa_sha1.pem": "csr_hash",
    "rsa_sha256.der": None,
    "rsa_sha256.pem": None,
    "san_rsa_sha1.der": "csr_hash",
    "san_rsa_sha1.pem": "csr_hash",
    "two_basic_constraints.pem": "csr_hash",
    "unsupported_extension.pem": "csr_hash",
    "unsupported_extension_critical.pem": "csr_hash",
    "zero-element-attribute.pem": "csr_unreadable",
}


def vector(name: str) -> bytes:
    with cryptography_vectors.open_vector_file(f"x509/requests/{name}", "rb") as file:
        return bytes(file.read())


def test_the_vectors_are_these() -> None:
    folder = Path(cryptography_vectors.__file__).parent / "x509" / "requests"
    assert {path.name for path in folder.iterdir()} == set(VECTORS)


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str) -> None:
    if VECTORS[name] is None:
        csr.parse(vector(name))
        return
    with pytest.raises(csr.BadRequest) as refused:
        csr.parse(vector(name))
    assert refused.value.code == VECTORS[name]
    assert wording.sentence(refused.value.code, refused.value.detail) != refused.value.code


@pytest.mark.parametrize("name", ["invalid_signature.pem", "two_basic_constraints.pem"])
def test_faults_behind_the_first(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the key long and the hash strong enough, they were refused still."""
    monkeypatch.setattr(keys, "SMALLEST_RSA", 512)
    monkeypatch.setattr(csr, "_STRONG", (*csr._STRONG, hashes.SHA1))
    with pytest.raises(csr.BadRequest) as refused:
        csr.parse(vector(name))
    assert refused.value.code in {"csr_signature", "csr_unreadable"}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_hostile_bytes_are_refused_in_words(data: st.DataObject) -> None:
    """Whatever happens to a request's bytes, it is read or refused: nothing else is raised."""
    raw = bytearray(DER_OF["request"])
    for _change in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        csr.parse(bytes(raw))
    except csr.BadRequest as refused:
        assert refused.code in wording.SENTENCES
