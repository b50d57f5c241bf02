"""Keys on a real token (SoftHSM): what they sign, that they stay there, and what goes wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca import keys, keystore, tokens, wording
from core import seal

LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
LIBRARY = next((path for path in LIBRARIES if Path(path).exists()), "")
PIN = "271828"
KINDS = ("p256", "p384", "rsa2048")

pytestmark = pytest.mark.skipif(
    not (LIBRARY and shutil.which("softhsm2-util")), reason="SoftHSM is not installed"
)


def make_token(label: str) -> None:
    command = ["softhsm2-util", "--init-token", "--free", "--label", label]
    command += ["--so-pin", "31415926", "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A token called "mailadmin" in a folder of its own."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SOFTHSM2_CONF", str(conf))
        make_token("mailadmin")
        yield folder
        tokens.forget()


@pytest.fixture(autouse=True)
def token(softhsm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The console is set up for it."""
    tokens.forget()
    monkeypatch.setenv(tokens.MODULE, LIBRARY)
    monkeypatch.setenv(tokens.TOKEN, "mailadmin")
    monkeypatch.setattr(seal, "_token_pin", PIN)
    yield
    tokens.forget()


@pytest.fixture(scope="module")
def made(softhsm: Path) -> dict[str, tokens.TokenKey]:
    """A key of each kind, made once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(tokens.MODULE, LIBRARY)
        patched.setenv(tokens.TOKEN, "mailadmin")
        patched.setattr(seal, "_token_pin", PIN)
        return {kind: tokens.generate(kind, label=f"Example {kind}") for kind in KINDS}


def refused(code: str, **options: object) -> pytest.RaisesContext[tokens.TokenUnusable]:
    return pytest.raises(tokens.TokenUnusable, match=f"^{code}$")


def says(error: tokens.KeyUnusable) -> str:
    text = wording.sentence(error.code, error.detail)
    assert text != error.code and "%(" not in text
    return text


def verified(key: tokens.TokenKey, data: bytes, signature: bytes) -> None:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        from cryptography.hazmat.primitives.asymmetric import padding

        public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        public.verify(signature, data, ec.ECDSA(keys.signing_hash(public)))


def sign(key: tokens.TokenKey, data: bytes) -> bytes:
    if isinstance(key, tokens.RsaKey):
        from cryptography.hazmat.primitives.asymmetric import padding

        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data, ec.ECDSA(keys.signing_hash(key.public_key())))


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_signs_openssl_verifies(kind: str, made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """pyca's builders take the key as one of theirs: a certificate, a list, a request."""
    key = made[kind]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, kind)])
    now, how = datetime.now(UTC), keys.signing_hash(key.public_key())
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, how)
    )
    listed = x509.CertificateRevocationListBuilder(name, now, now + timedelta(days=1)).sign(
        key, how
    )
    request = x509.CertificateSigningRequestBuilder(name).sign(key, how)
    for file, text in (("ca", certificate), ("crl", listed), ("csr", request)):
        (tmp_path / f"{file}.pem").write_bytes(text.public_bytes(Encoding.PEM))
    for command in (
        "openssl verify -CAfile ca.pem -check_ss_sig ca.pem",
        "openssl crl -in crl.pem -CAfile ca.pem -noout",
        "openssl req -in csr.pem -verify -noout",
    ):
        done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "OK" in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_found_again_and_cannot_leave(kind: str, made) -> None:  # type: ignore[no-untyped-def]
    import pkcs11

    key = tokens.find(made[kind].where)
    assert keys.key_id(key.public_key()) == keys.key_id(made[kind].public_key())
    verified(key, b"hello", sign(key, b"hello"))
    handle = tokens._session("mailadmin").private(key.where)
    assert handle[pkcs11.Attribute.NEVER_EXTRACTABLE] and handle[pkcs11.Attribute.ALWAYS_SENSITIVE]
    for leaves in (key.private_numbers, key.private_bytes, key.__copy__, key.__reduce__):
        with pytest.raises(TypeError):
            leaves()
    with pytest.raises(TypeError):
        keystore.seal_with_ring(keystore.SigningKey(key))


def test_the_keystore_loads_it_once_and_knows_whose_it_is(made, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    where = made["p256"].where
    key_id = keys.key_id(made["p256"].public_key())
    first = keystore.load(b"", key_id=key_id, token=where)
    monkeypatch.setattr(tokens, "find", None)
    assert keystore.load(b"", key_id=key_id, token=where) is first
    monkeypatch.undo()
    keystore.forget()
    with pytest.raises(keystore.KeyUnusable):
        keystore.load(b"", key_id="0" * 64, token=where)


def test_a_key_at_hand_is_made_where_it_was_asked_for() -> None:
    made = keystore.generate_at_hand("p256", label="Example", on_token=True)
    assert made.sealed == b"" and made.token["token"] == "mailadmin"
    assert keystore.load(b"", key_id=made.key.key_id, token=made.token).key_id == made.key.key_id
    made.discard()
    with refused("token_key_gone"):
        tokens.find(made.token)
    under_ring = keystore.generate_at_hand("p256", label="Example")
    assert under_ring.token == {} and under_ring.sealed
    under_ring.discard()


def test_an_ended_session_is_opened_anew(made) -> None:  # type: ignore[no-untyped-def]
    key = made["p256"]
    sign(key, b"first")
    before = tokens._open
    tokens._open.session.close()  # type: ignore[union-attr]
    verified(key, b"second", sign(key, b"second"))
    assert tokens._open is not before
    tokens._open.library.finalize()  # type: ignore[union-attr]
    verified(key, b"third", sign(key, b"third"))


def test_a_fork_opens_its_own_session(made) -> None:  # type: ignore[no-untyped-def]
    key = made["p256"]
    sign(key, b"parent")
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            inherited = tokens._open
            signature = sign(key, b"child")
            assert tokens._open is not inherited
            os.write(writer, signature)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        verified(key, b"child", answer.read())
    os.waitpid(pid, 0)
    verified(key, b"parent again", sign(key, b"parent again"))


def test_a_wrong_pin_is_tried_once(made, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A token locks itself after a few: the next order must not be the one that does it."""
    key = made["p256"]
    monkeypatch.setattr(seal, "_token_pin", "000000")
    with refused("token_pin_wrong") as first:
        sign(key, b"data")
    assert "is not tried again" in says(first.value)
    import pkcs11

    monkeypatch.setattr(pkcs11, "lib", None)
    with refused("token_pin_wrong"):
        sign(key, b"data")
    monkeypatch.undo()


def test_what_is_not_set_up_says_so(made, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    key = made["p256"]
    with monkeypatch.context() as patched:
        patched.setattr(seal, "_token_pin", "")
        with refused("token_pin_missing") as error:
            sign(key, b"data")
        assert "keys/pkcs11.pin" in says(error.value)
    with monkeypatch.context() as patched:
        patched.delenv(tokens.MODULE)
        assert tokens.label() == ""
        with refused("token_none") as error:
            tokens.generate("p256", label="Example")
        says(error.value)
    with monkeypatch.context() as patched:
        patched.setenv(tokens.MODULE, "/nonexistent.so")
        with refused("token_module") as error:
            sign(key, b"data")
        assert "/nonexistent.so" in says(error.value)
    with monkeypatch.context() as patched:
        patched.setenv(tokens.TOKEN, "another")
        with refused("token_other") as error:
            sign(key, b"data")
        assert "“another”" in says(error.value)
        with refused("token_missing") as error:
            tokens.generate("p256", label="Example")
        assert "plugged in" in says(error.value)
    with refused("token_algorithm") as error:
        tokens.generate("ed25519", label="Example")
    assert "P-256" in says(error.value)
    with monkeypatch.context() as patched:
        patched.delitem(seal._held, seal.AUTHORITY)
        with pytest.raises(seal.KeyNotHeld):
            sign(key, b"data")
    verified(key, b"data", sign(key, b"data"))


def test_a_token_that_is_pulled_out_and_put_back(softhsm: Path, made) -> None:  # type: ignore[no-untyped-def]
    key = made["p256"]
    sign(key, b"data")
    (softhsm / "tokens").rename(softhsm / "away")
    (softhsm / "tokens").mkdir()
    try:
        tokens._let_go()
        with refused("token_missing"):
            sign(key, b"data")
    finally:
        (softhsm / "tokens").rmdir()
        (softhsm / "away").rename(softhsm / "tokens")
    verified(key, b"data", sign(key, b"data"))


def test_a_deleted_key_is_named() -> None:
    key = tokens.generate("p256", label="Example")
    tokens.destroy(key.where)
    with refused("token_key_gone") as error:
        sign(key, b"data")
    assert "backup" in says(error.value)
    with refused("token_key_gone"):
        tokens.find({})


def test_only_what_authorities_sign_with_is_signed(made) -> None:  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric import padding

    with pytest.raises(TypeError):
        made["p256"].sign(b"data", ec.ECDSA(hashes.SHA1()))
    with pytest.raises(TypeError):
        made["rsa2048"].sign(b"data", padding.PKCS1v15(), hashes.SHA1())
    with pytest.raises(TypeError):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        made["rsa2048"].sign(b"data", pss, hashes.SHA256())


def test_the_pin_is_in_no_repr_and_no_error(made, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert PIN not in repr(made["p256"])
    spki = made["p256"].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert len(spki) == 91
    monkeypatch.setattr(seal, "_token_pin", "998877")
    with refused("token_pin_wrong") as error:
        sign(made["p256"], b"data")
    assert "998877" not in repr(error.value) + says(error.value)
