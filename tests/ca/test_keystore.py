"""Private keys: sealed, opened by their own passphrase and identity, and never shown."""

from __future__ import annotations

import copy
import pickle

import pytest

from ca import keys, keystore
from core import seal


@pytest.fixture(scope="module")
def key() -> keystore.SigningKey:
    return keystore.generate("p256")


@pytest.mark.parametrize("algorithm", list(keys.ALGORITHMS))
def test_every_kind_survives_both_seals(algorithm: str) -> None:
    made = keystore.generate(algorithm)
    blob = keystore.seal_with_passphrase(made, "six honest men", identity="me")
    opened = keystore.open_with_passphrase(blob, "six honest men", identity="me")
    assert opened.key_id == made.key_id
    assert keystore.load(keystore.seal_with_ring(made), key_id=made.key_id).key_id == made.key_id


def test_wrong_passphrase_and_wrong_owner(key: keystore.SigningKey) -> None:
    blob = keystore.seal_with_passphrase(key, "six honest men", identity="me")
    for phrase, identity in (("Six honest men", "me"), ("", "me"), ("six honest men", "you")):
        with pytest.raises(keystore.WrongPassphrase):
            keystore.open_with_passphrase(blob, phrase, identity=identity)


def test_the_same_phrase_from_another_keyboard(key: keystore.SigningKey) -> None:
    blob = keystore.seal_with_passphrase(key, "café 密語 ＡＢＣ", identity="me")
    assert keystore.open_with_passphrase(blob, "cafe\u0301 密語 ABC", identity="me")


@pytest.mark.parametrize("at", [0, 4, 5, 8, 12, 30, 60, -1])
def test_a_changed_seal_does_not_open(at: int, key: keystore.SigningKey) -> None:
    blob = bytearray(keystore.seal_with_passphrase(key, "six honest men", identity="me"))
    blob[at] ^= 0x01
    with pytest.raises((keystore.WrongPassphrase, keystore.KeyUnusable)):
        keystore.open_with_passphrase(bytes(blob), "six honest men", identity="me")


def test_costs_from_elsewhere_are_bounded(key: keystore.SigningKey) -> None:
    blob = bytearray(keystore.seal_with_passphrase(key, "six honest men", identity="me"))
    blob[6:10] = b"\xff\xff\xff\xff"
    with pytest.raises(keystore.KeyUnusable):
        keystore.open_with_passphrase(bytes(blob), "six honest men", identity="me")
    with pytest.raises(keystore.KeyUnusable):
        keystore.open_with_passphrase(b"MLR1", "six honest men", identity="me")


def test_a_key_is_bound_to_its_id(key: keystore.SigningKey) -> None:
    other = keystore.generate("p256")
    with pytest.raises(keystore.KeyUnusable):
        keystore.load(keystore.seal_with_ring(other), key_id=key.key_id)


def test_a_loaded_key_is_kept(key: keystore.SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = keystore.seal_with_ring(key)
    first = keystore.load(blob, key_id=key.key_id)
    monkeypatch.delitem(seal._held, seal.AUTHORITY)
    assert keystore.load(blob, key_id=key.key_id) is first
    keystore.forget()
    with pytest.raises(seal.KeyNotHeld):
        keystore.load(blob, key_id=key.key_id)


def test_it_shows_nothing(key: keystore.SigningKey) -> None:
    assert "PRIVATE" not in repr(key) and not hasattr(key, "__dict__")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(key)
    blob = keystore.seal_with_passphrase(key, "six honest men", identity="me")
    assert key._pkcs8()[20:40] not in blob
