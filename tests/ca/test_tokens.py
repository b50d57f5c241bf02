"""Keys on a real token (SoftHSM): what they sign, that they stay there, and what goes wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.urls import reverse
from django.utils import timezone

from ca import authorities, issuance, keys, keystore, revocation, tasks, tokens, wording
from ca.models import Ceremony, Issuer, Responder, RevocationList
from ca.rehearsal import NotMade
from core import leases, seal
from tests.ca.conftest import PASSPHRASE, make, request_for, wish

LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
LIBRARY = next((path for path in LIBRARIES if Path(path).exists()), "")
PIN = "271828"
KINDS = ("p256", "p384", "rsa2048")

pytestmark = pytest.mark.skipif(
    not (LIBRARY and shutil.which("softhsm2-util")) and os.environ.get("CI") != "true",
    reason="SoftHSM is not installed",
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
    with monkeypatch.context() as patched:
        patched.setattr(tokens, "find", None)
        assert keystore.load(b"", key_id=key_id, token=where) is first
    keystore.forget()
    with pytest.raises(keystore.KeyUnusable, match="another authority's"):
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


# An authority whose key is on the token


def on_token(owner, now, *, algorithm: str = "p256"):  # type: ignore[no-untyped-def]
    the_wish = replace(wish(issuing_key=algorithm), on_token=True)
    return make(owner, now, the_wish)


@pytest.mark.django_db
def test_an_authority_on_the_token_signs_certificates_lists_and_responders(
    owner, now, openssl_verify, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    ceremony = on_token(owner, now)
    assert ceremony.state == "done", ceremony.reason
    issuer = ceremony.made
    assert issuer.key_kept == Issuer.ON_TOKEN and not issuer.key_sealed
    assert issuer.token["token"] == "mailadmin" and issuer.able_to_issue(now)
    order = ordered(issuer, owner, now)
    assert order.state == "issued", order.reason
    leaf = order.certificate
    assert "OK" in openssl_verify(leaf.pem, leaf.chain_pem, leaf.root_pem)
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=now)
    listed = RevocationList.objects.get(issuer=issuer)
    tasks.sign_list(listed.pk)
    listed.refresh_from_db()
    assert listed.stale_at is None and listed.entries == 1
    (tmp_path / "list.der").write_bytes(bytes(listed.der))
    (tmp_path / "issuer.pem").write_text(leaf.chain_pem)
    command = "openssl crl -inform DER -in list.der -CAfile issuer.pem -noout"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
    assert "verify OK" in done.stderr
    tasks.renew_responder(issuer.pk)
    responder = Responder.objects.get(issuer=issuer)
    assert responder.certificate is not None
    responder.certificate.parsed.verify_directly_issued_by(issuer.parsed)


@pytest.mark.django_db
def test_without_the_token_an_order_is_refused_and_a_list_waits(owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    issuer = on_token(owner, now).made
    for gone_later in (False, True):
        keystore.forget()
        if gone_later:  # the key was loaded, and then the token was pulled out
            keystore.load(b"", key_id=issuer.key_id, token=issuer.token)
            tokens._let_go()
        with monkeypatch.context() as patched:
            patched.setenv(tokens.MODULE, "/nonexistent.so")
            order = ordered(issuer, owner, now)
            assert (order.state, order.reason_code) == ("refused", "token_module")
            assert "/nonexistent.so" in order.reason
            listed = RevocationList.objects.get(issuer=issuer)
            RevocationList.objects.filter(pk=listed.pk).update(stale_at=now, lease_until=None)
            with refused("token_module"):
                tasks.sign_list(listed.pk)
            listed.refresh_from_db()
            assert listed.stale_at is not None
            assert listed.lease_until < timezone.now() + timedelta(seconds=leases.SECONDS + 1)
        assert ordered(issuer, owner, now).state == "issued"


@pytest.mark.django_db
def test_what_is_not_made_leaves_no_key_on_the_token(owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def keys_there() -> int:
        import pkcs11

        session = tokens._session("mailadmin").session
        kind = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
        return len(list(session.get_objects(kind)))

    before = keys_there()

    def fails(*args: object, **options: object) -> None:
        raise NotMade("root_ended", root="Example")

    with monkeypatch.context() as patched:
        patched.setattr(authorities, "signed_list", fails)
        assert on_token(owner, now).state == "refused"
    assert keys_there() == before
    with monkeypatch.context() as patched:
        patched.setattr(seal, "_token_pin", "")
        tokens.forget()
        ceremony = on_token(owner, now)
        assert (ceremony.state, ceremony.reason_code) == ("refused", "token_pin_missing")
    assert not Issuer.objects.exists()


@pytest.mark.django_db
def test_the_page_offers_the_token_that_is_set_up(signed_in, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:new_hierarchy")
    assert b'name="issuing_on_token"' in signed_in.get(page).content
    form = {
        "organisation": "Example",
        "root_name": "Example Root",
        "root_algorithm": "p384",
        "root_life": "7305",
        "passphrase": PASSPHRASE,
        "passphrase_again": PASSPHRASE,
        "issuing_name": "Example Issuing",
        "issuing_algorithm": "ed25519",
        "issuing_life": "1826",
        "issuing_path_length": "0",
        "permitted": "example.test",
        "issuing_on_token": "on",
    }
    answer = signed_in.post(page, form)
    assert answer.status_code == 422 and b"cannot make this kind of key" in answer.content
    answer = signed_in.post(page, form | {"issuing_algorithm": "p256"})
    assert answer.status_code == 302, answer.content
    ceremony = Ceremony.objects.get()
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.made is not None and ceremony.made.key_kept == Issuer.ON_TOKEN
    shown = signed_in.get(reverse("ca:authority", args=[ceremony.made.pk])).content
    assert b"on a token (PKCS#11)" in shown
    monkeypatch.delenv(tokens.TOKEN)
    assert b'name="issuing_on_token"' not in signed_in.get(page).content


def ordered(issuer, owner, now):  # type: ignore[no-untyped-def]
    name = "mail1.example.test"
    order = issuance.request(
        profile="host", names=[name], issuer=issuer, csr_pem=request_for(name), by=owner, at=now
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    return order
