"""The process beside the signer answers what the signer's own would, or the signer's own does."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from ca import csr, keys, verifier
from tests.ca.conftest import request_for

KEY = ec.generate_private_key(ec.SECP256R1())
TEXTS = [
    request_for("one.example.test", key=KEY),
    "garbage",
    request_for("müller.example.test".encode("idna").decode(), "10.0.0.1", key=KEY),
    request_for("one.example.test", key=KEY).replace("A", "B", 40),
]


def plain(found: csr.Csr | csr.BadRequest) -> object:
    if isinstance(found, csr.BadRequest):
        return found.code, found.detail
    return dataclasses.replace(found, public_key=keys.key_id(found.public_key))  # type: ignore[arg-type]


def test_a_request_reads_the_same_beside() -> None:
    here = [plain(found) for found in verifier.read(TEXTS)]
    with verifier.Verifier() as beside:
        beside.ask_requests(TEXTS)
        process = beside._process
        assert process is not None
        assert [plain(found) for found in beside.requests()] == here
        assert beside._process is process, "it answered itself"
        beside.ask_requests([])
        assert beside.requests() == []
    assert process.returncode is not None, "it does not outlive its use"
    assert [type(each) for each in verifier.read(TEXTS)] == [
        csr.Csr, csr.BadRequest, csr.Csr, csr.BadRequest,
    ]  # fmt: skip


@pytest.mark.parametrize("when", ["never", "before", "meanwhile"])
def test_without_the_process_the_callers_own_does_it(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [plain(found) for found in verifier.read(TEXTS)]
    with verifier.Verifier() as beside:
        if when == "never":
            monkeypatch.setattr(sys, "executable", "/nowhere/python")
        else:
            beside.ask_requests([])
            beside.requests()
            assert beside._process is not None
            if when == "before":
                beside._process.kill()
        beside.ask_requests(TEXTS)
        if when == "meanwhile" and beside._process is not None:
            beside._process.kill()
        assert [plain(found) for found in beside.requests()] == here


@pytest.mark.parametrize("issuer", ["p256", "p384", "rsa2048", "ed25519"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_certificate_that_is_not_as_it_should_be(issuer: str, beside: bool) -> None:
    private = keys.ALGORITHMS[issuer]()
    other = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Issuing")])

    def signed(by: Any) -> bytes:
        builder = x509.CertificateBuilder(name, name, KEY.public_key(), 7)
        builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        builder = builder.not_valid_after(datetime(2026, 2, 1, tzinfo=UTC))
        certificate = builder.sign(by, keys.signing_hash(by.public_key()))
        return certificate.public_bytes(Encoding.DER)

    good, above = signed(private), private.public_key()
    broken = good[:-1] + bytes([good[-1] ^ 1])
    key_id = keys.key_id(KEY.public_key())
    with verifier.Verifier(beside=beside) as other_process:
        other_process.ask_certificates([good, good], key_ids=[key_id, key_id], issuer=above)
        other_process.certificates()
        for ders, key_ids, said in (
            ([good, broken], [key_id, key_id], "signature"),
            ([signed(other)], [key_id], "signature"),
            ([good], [keys.key_id(above)], "another key"),
        ):
            other_process.ask_certificates(ders, key_ids=key_ids, issuer=above)
            with pytest.raises(verifier.NotVerified, match=said):
                other_process.certificates()


def test_the_process_is_given_nothing_of_the_signers(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Process:
        def __init__(self, command: list[str], **rest: Any) -> None:
            given.update(rest, command=command)
            raise OSError

    monkeypatch.setattr(verifier.subprocess, "Popen", Process)
    with verifier.Verifier() as beside:
        beside.ask_requests(TEXTS[:1])
        assert isinstance(beside.requests()[0], csr.Csr)
    assert given["env"] == {}
    assert json.dumps(given["command"][1:]) == '["-m", "ca.verifier"]'
