"""An authority that was really made (a small Argon2id), and requests made by a client's tools."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from ca import authorities, issuance, keystore, rollover, tasks
from ca.models import Ceremony, Certificate, Issuer
from ca.wishes import AuthorityWish, Wish

PASSPHRASE = "six honest serving men"


@pytest.fixture(autouse=True)
def quick_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal's costs are in its header, so that a small one is as good for a test."""
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)


@pytest.fixture(autouse=True)
def no_loaded_keys() -> None:
    keystore.forget()


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def wish(
    root: str = "Example Root",
    issuing: str = "Example Issuing",
    *,
    root_key: str = "p384",
    issuing_key: str = "p256",
    permitted: Sequence[str] = ("example.test", "192.0.2.0/24"),
    origin: str = "http://pki.example.test",
) -> Wish:
    return Wish(
        root=AuthorityWish(root, root_key, 7305, organisation="Example", country="tw"),
        issuing=AuthorityWish(issuing, issuing_key, 1826, organisation="Example", country="TW"),
        permitted=tuple(permitted),
        origin=origin,
    )


def make(
    by, at: datetime, the_wish: Wish | None = None, *, unconstrained: bool = False
) -> Ceremony:  # type: ignore[no-untyped-def]
    """Ask for a hierarchy and let the signer's task carry it out."""
    ceremony = authorities.request_hierarchy(
        wish=the_wish or wish(), unconstrained=unconstrained, passphrase=PASSPHRASE, by=by, at=at
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    return ceremony


@pytest.fixture
def issuing(owner, now: datetime) -> Issuer:  # type: ignore[no-untyped-def]
    ceremony = make(owner, now)
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.made is not None
    return ceremony.made


@pytest.fixture
def root(owner, now) -> Issuer:  # type: ignore[no-untyped-def]
    only = replace(wish(root_key="p256"), issuing=None, permitted=())
    ceremony = authorities.request_root(wish=only, passphrase=PASSPHRASE, by=owner, at=now)
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.root is not None and ceremony.made is None
    return ceremony.root


@pytest.fixture
def successor(issuing, owner, now) -> Issuer:  # type: ignore[no-untyped-def]
    """Of `issuing`, which still signs."""
    part = AuthorityWish("Second", "p256", 1000, organisation="Example")
    ceremony = rollover.request_successor(
        issuer=issuing,
        wish=Wish(issuing=part, permitted=("example.test",)),
        passphrase=PASSPHRASE,
        by=owner,
        at=now,
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    issuing.refresh_from_db()
    assert issuing.successor == ceremony.made and ceremony.made.parent == issuing.parent
    return ceremony.made


def request_for(
    *dns: str, key: object = None, algorithm: object = None, common_name: str | None = None
) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if dns:
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns])
        builder = builder.add_extension(san, critical=False)
    signed = builder.sign(key, algorithm or hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(Encoding.PEM).decode()


def leaf_of(
    issuing: Issuer, owner: object, at: datetime, name: str = "mail1.example.test"
) -> Certificate:
    """A host's certificate, asked for and signed."""
    order = issuance.request(
        profile="host",
        names=[name],
        issuer=issuing,
        csr_pem=request_for(name),
        by=owner,  # type: ignore[arg-type]
        at=at,
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None, order.reason
    return order.certificate


@pytest.fixture
def openssl_verify(tmp_path: Path) -> Callable[..., str]:
    """`openssl verify` as a strict TLS client would; returns its words, "OK" included."""

    def verify(leaf: str, chain: str, root: str, *options: str) -> str:
        for name, text in (("leaf", leaf), ("chain", chain), ("root", root)):
            (tmp_path / f"{name}.pem").write_text(text)
        command = ["openssl", "verify", "-x509_strict", "-auth_level", "2", *options]
        command += ["-CAfile", "root.pem"]
        command += ["-untrusted", "chain.pem"] if chain else []
        command += ["leaf.pem"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return verify
