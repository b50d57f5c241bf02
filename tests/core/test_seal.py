"""Envelopes: they open for the right ring and context only, and each role holds its own rings."""

from pathlib import Path

import pytest

from core import seal


@pytest.fixture
def data(tmp_path: Path):
    seal.ensure_keys(tmp_path)
    yield tmp_path
    import os

    seal.load("all", Path(os.environ["MAILADMIN_DATA"]))


def test_a_sealed_secret_opens_with_its_context_only(data: Path) -> None:
    seal.load("all", data)
    blob = seal.seal("ssh", b"secret", context="host:1")
    assert b"secret" not in blob
    assert seal.unseal("ssh", blob, context="host:1") == b"secret"
    with pytest.raises(seal.SealBroken):
        seal.unseal("ssh", blob, context="host:2")
    with pytest.raises(seal.SealBroken):
        seal.unseal("secrets", blob, context="host:1")


@pytest.mark.parametrize("position", [0, 1, 5, 20, 65, 70, -1])
def test_a_changed_byte_is_noticed(data: Path, position: int) -> None:
    seal.load("all", data)
    blob = bytearray(seal.seal("authority", b"key", context="issuer:1"))
    blob[position] ^= 1
    with pytest.raises(seal.SealBroken):
        seal.unseal("authority", bytes(blob), context="issuer:1")


def test_the_web_process_cannot_unseal_an_authoritys_key_nor_a_passphrase(data: Path) -> None:
    seal.load("sign", data)
    blob = seal.seal("authority", b"key", context="issuer:1")
    seal.load("web", data)
    passphrase = seal.seal_for_signer(b"opensesame", context="order:1")
    for attempt in (
        lambda: seal.unseal("authority", blob, context="issuer:1"),
        lambda: seal.open_as_signer(passphrase, context="order:1"),
        lambda: seal.mac("audit", b"x"),
    ):
        with pytest.raises(seal.KeyNotHeld):
            attempt()
    seal.load("sign", data)
    assert seal.open_as_signer(passphrase, context="order:1") == b"opensesame"
    with pytest.raises(seal.SealBroken):
        seal.open_as_signer(passphrase, context="order:2")


def test_an_added_key_seals_and_the_old_one_still_opens(data: Path) -> None:
    seal.load("all", data)
    old = seal.seal("secrets", b"before", context="x")
    path = data / "keys" / "secrets.key"
    other = data / "other"
    seal.ensure_keys(other)
    path.write_text((other / "keys" / "secrets.key").read_text() + path.read_text())
    seal.load("all", data)
    new = seal.seal("secrets", b"after", context="x")
    assert new[1:5] != old[1:5]
    assert seal.unseal("secrets", old, context="x") == b"before"
    assert seal.unseal("secrets", new, context="x") == b"after"


def test_key_files_are_private_and_made_once(data: Path) -> None:
    before = {p.name: p.read_text() for p in (data / "keys").iterdir()}
    seal.ensure_keys(data)
    assert {p.name: p.read_text() for p in (data / "keys").iterdir()} == before
    assert all(p.stat().st_mode & 0o077 == 0 for p in (data / "keys").iterdir())
    assert (data / "keys").stat().st_mode & 0o077 == 0


def test_the_pin_of_a_token_is_the_signers(data: Path) -> None:
    pin = data / "keys" / "pkcs11.pin"
    seal.load("sign", data)
    assert seal.token_pin() == ""
    pin.write_text("271828\n")
    seal.load("sign", data)
    assert seal.token_pin() == "271828"
    for role in ("web", "work"):
        seal.load(role, data)
        with pytest.raises(seal.KeyNotHeld):
            seal.token_pin()
    pin.write_bytes(b"\xff\n")  # not a reason for the signer not to start
    seal.load("sign", data)
    assert seal.token_pin()


def test_a_command_holds_what_its_user_may_read(data: Path) -> None:
    (data / "keys" / "authority.key").unlink()
    with pytest.raises(FileNotFoundError):
        seal.load("all", data)
    seal.load_readable(data)
    assert "signer" in seal.held() and "authority" not in seal.held()
    seal.load_readable(data.parent)
    assert not list(seal.held())
    with pytest.raises(seal.KeyNotHeld):
        seal.seal_for_signer(b"a passphrase", context="anything")


def test_what_the_web_takes_for_the_worker_only_the_worker_opens(data: Path) -> None:
    seal.load("web", data)
    blob = seal.seal_for_worker(b"a file with passwords", context="import 1")
    with pytest.raises(seal.KeyNotHeld):
        seal.open_as_worker(blob, context="import 1")
    seal.load("work", data)
    assert seal.open_as_worker(blob, context="import 1") == b"a file with passwords"
    with pytest.raises(seal.SealBroken):
        seal.open_as_worker(blob, context="import 2")
    seal.load("sign", data)
    with pytest.raises(seal.KeyNotHeld):
        seal.open_as_worker(blob, context="import 1")
