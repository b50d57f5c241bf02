"""Every profile with every algorithm, before the judges: OpenSSL, GnuTLS and NSS.

A judge that is not installed skips its tests; with CI=true it fails them. `test_pkilint.py` has the
one that runs in this process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ca import keys, keystore, lints, names, profiles, template
from tests.ca.conformance import AT, AUTHORITIES, LEAVES, PERMITTED, hierarchy, key_of


def needs(command: str) -> None:
    if shutil.which(command) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {command}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every certificate as a PEM file: `<algorithm>/root.pem`, `host.rsa2048.pem`, …"""
    found = {}
    for algorithm in AUTHORITIES:
        folder = tmp_path_factory.mktemp(algorithm)
        made = hierarchy(algorithm)
        issuing = made.issuing.public_bytes(Encoding.PEM)
        (folder / "root.pem").write_bytes(made.root.public_bytes(Encoding.PEM))
        (folder / "issuing.pem").write_bytes(issuing)
        for (name, leaf), each in made.leaves.items():
            pem = each.public_bytes(Encoding.PEM)
            (folder / f"{name}.{leaf}.pem").write_bytes(pem)
            (folder / f"{name}.{leaf}.chain.pem").write_bytes(pem + issuing)
        found[algorithm] = folder
    return found


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


OPENSSL_PURPOSES = {
    "host": ("sslserver", "sslclient"),
    "host-long": ("sslserver", "sslclient"),
    "person": ("smimesign", "smimeencrypt"),
    "person-named": ("smimesign", "smimeencrypt"),
    "client": ("sslclient",),
    "ocsp": ("ocsphelper",),
}
# It wants keyEncipherment of whom mail is encrypted to, which an EC key must not have (RFC 5480 3):
# `openssl cms -encrypt` takes the certificate all the same.
ONLY_RSA = {"smimeencrypt"}


@pytest.mark.parametrize("algorithm", AUTHORITIES)
def test_openssl(algorithm: str, folders: dict[str, Path]) -> None:
    needs("openssl")
    strict = ("openssl", "verify", "-x509_strict", "-auth_level", "2", "-CAfile", "root.pem")
    for name, purposes in OPENSSL_PURPOSES.items():
        for purpose in purposes:
            leaves = [each for each in LEAVES if each.startswith("rsa") or purpose not in ONLY_RSA]
            files = [f"{name}.{leaf}.pem" for leaf in leaves]
            options = ("-purpose", purpose, "-untrusted", "issuing.pem")
            done = run(folders[algorithm], *strict, *options, *files)
            assert done.stdout.splitlines() == [f"{each}: OK" for each in files], done.stderr
    done = run(folders[algorithm], *strict, "issuing.pem")
    assert done.stdout == "issuing.pem: OK\n", done.stderr
    wrong = run(
        folders[algorithm], *strict, "-purpose", "sslserver", "-untrusted", "issuing.pem",
        "person.p256.pem",
    )  # fmt: skip
    assert "unsuitable certificate purpose" in wrong.stdout + wrong.stderr


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root, a level between, an issuing authority and a host, each with another kind of key."""
    folder = tmp_path_factory.mktemp("levels")
    above: tuple[keystore.SigningKey, x509.Certificate] | None = None
    steps = (("root", "rsa2048", 2), ("between", "p384", 1), ("issuing", "p256", 0))
    for name, algorithm, length in steps:
        key = key_of(algorithm, name)
        tbs = template.prepare_authority(
            profile=profiles.SUBORDINATE if above else profiles.ROOT,
            subject={"CN": f"Example {name}"},
            public_key=key.public_key,
            issuer=above[1] if above else None,
            days=1000,
            at=AT,
            serial=template.random_serial(),
            permitted=PERMITTED if above else names.Subtrees(),
            path_length=length,
        )
        linted = lints.require(tbs, issuer=above[1] if above else None)
        above = (key, (above[0] if above else key).issue(linted))
        (folder / f"{name}.pem").write_bytes(above[1].public_bytes(Encoding.PEM))
    assert above is not None
    tbs = template.prepare(
        profile=profiles.HOST,
        names=[names.parse("mail.example.com")],
        public_key=key_of("p256", "leaf").public_key,
        issuer=above[1],
        days=90,
        at=AT,
        serial=template.random_serial(),
    )
    leaf = above[0].issue(lints.require(tbs, issuer=above[1]))
    (folder / "host.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    pems = [(folder / f"{each}.pem").read_bytes() for each in ("host", "issuing", "between")]
    (folder / "chain.pem").write_bytes(b"".join(pems))
    return folder


def test_levels_below_a_root(levels: Path, tmp_path: Path) -> None:
    for command in ("openssl", "certtool", "certutil"):
        needs(command)
    strict = ("openssl", "verify", "-x509_strict", "-auth_level", "2", "-CAfile", "root.pem")
    done = run(levels, *strict, "-purpose", "sslserver", "-untrusted", "chain.pem", "host.pem")
    assert done.stdout == "host.pem: OK\n", done.stderr
    gnutls = ("certtool", "--verify", "--load-ca-certificate=root.pem", "--infile=chain.pem")
    assert run(levels, *gnutls).returncode == 0
    store = ("-d", f"sql:{tmp_path}")
    run(levels, "certutil", "-N", *store, "--empty-password")
    for name in ("root", "between", "issuing", "host"):
        trust = "CT,C,C" if name == "root" else ",,"
        run(levels, "certutil", "-A", *store, "-n", name, "-t", trust, "-a", "-i", f"{name}.pem")
    done = run(levels, "certutil", "-V", "-e", *store, "-n", "host", "-u", "V")
    assert "certificate is valid" in done.stdout, done.stderr


@pytest.mark.parametrize("algorithm", ["p256", "rsa2048"])
def test_mail_is_signed_and_encrypted(
    algorithm: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """With the keys a person may have, by the openssl command, as a mail program would."""
    needs("openssl")
    private = keys.ALGORITHMS[algorithm]()
    made = hierarchy("p256")
    tbs = template.prepare(
        profile=profiles.PERSON,
        names=[names.parse("wang@example.com")],
        public_key=private.public_key(),
        issuer=made.issuing,
        days=90,
        at=AT,
        serial=template.random_serial(),
        subject={"CN": "王大明"},
    )
    signed = key_of("p256", "issuing").issue(lints.require(tbs, issuer=made.issuing))
    (tmp_path / "wang.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (tmp_path / "wang.key").write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "mail").write_text("Meet me at noon.\n")
    issuing, root = folders["p256"] / "issuing.pem", folders["p256"] / "root.pem"

    def cms(*options: str) -> None:
        done = run(tmp_path, "openssl", "cms", *options)
        assert done.returncode == 0, done.stderr

    own = ("-signer", "wang.pem", "-inkey", "wang.key", "-certfile", str(issuing))
    cms("-sign", "-text", "-in", "mail", "-out", "signed", *own)
    cms(
        "-verify", "-text", "-in", "signed", "-out", "read", "-CAfile", str(root), "-purpose",
        "smimesign", "-x509_strict", "-auth_level", "2",
    )  # fmt: skip
    assert "Meet me at noon." in (tmp_path / "read").read_text()
    cms("-encrypt", "-aes-256-cbc", "-in", "mail", "-out", "secret", "wang.pem")
    assert "noon" not in (tmp_path / "secret").read_text()
    cms("-decrypt", "-in", "secret", "-out", "read", "-recip", "wang.pem", "-inkey", "wang.key")
    assert "Meet me at noon." in (tmp_path / "read").read_text()


GNUTLS_PURPOSES = {
    "host": ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"),
    "host-long": ("1.3.6.1.5.5.7.3.1",),
    "person": ("1.3.6.1.5.5.7.3.4",),
    "person-named": ("1.3.6.1.5.5.7.3.4",),
    "client": ("1.3.6.1.5.5.7.3.2",),
    "ocsp": ("1.3.6.1.5.5.7.3.9",),
}


@pytest.mark.parametrize("algorithm", AUTHORITIES)
def test_gnutls(algorithm: str, folders: dict[str, Path]) -> None:
    needs("certtool")
    verify = ("certtool", "--verify", "--verify-profile=medium", "--load-ca-certificate=root.pem")
    for name, purposes in GNUTLS_PURPOSES.items():
        for purpose in purposes:
            for leaf in LEAVES:
                file = f"--infile={name}.{leaf}.chain.pem"
                done = run(folders[algorithm], *verify, f"--verify-purpose={purpose}", file)
                assert done.returncode == 0, (name, leaf, done.stdout, done.stderr)
                assert "Chain verification output: Verified." in done.stdout
    code_signing = "--verify-purpose=1.3.6.1.5.5.7.3.3"
    wrong = run(folders[algorithm], *verify, code_signing, "--infile=host.p256.chain.pem")
    assert wrong.returncode != 0


# TLS server and client, signer and recipient of mail, responder. The NSS of Debian 12 cannot read a
# certificate with an Ed25519 key, which is what the page warns of; so it has no test.
NSS_USAGES = {
    "host": "VC",
    "host-long": "VC",
    "person": "SR",
    "person-named": "SR",
    "client": "C",
    "ocsp": "O",
}


@pytest.mark.parametrize("algorithm", [each for each in AUTHORITIES if each != "ed25519"])
def test_nss(algorithm: str, folders: dict[str, Path], tmp_path: Path) -> None:
    needs("certutil")
    folder, store = folders[algorithm], ("-d", f"sql:{tmp_path}")

    def add(name: str, trust: str) -> None:
        done = run(
            folder, "certutil", "-A", *store, "-n", name, "-t", trust, "-a", "-i", f"{name}.pem"
        )
        assert done.returncode == 0, done.stderr

    assert run(folder, "certutil", "-N", *store, "--empty-password").returncode == 0
    add("root", "CT,C,C")
    add("issuing", ",,")
    assert run(folder, "certutil", "-V", "-e", *store, "-n", "issuing", "-u", "L").returncode == 0
    for name, usages in NSS_USAGES.items():
        for leaf in LEAVES:
            add(f"{name}.{leaf}", ",,")
            for usage in usages:
                done = run(
                    folder, "certutil", "-V", "-e", *store, "-n", f"{name}.{leaf}", "-u", usage
                )
                assert "certificate is valid" in done.stdout, (name, leaf, usage, done.stderr)
    wrong = run(folder, "certutil", "-V", "-e", *store, "-n", "person.p256", "-u", "V")
    assert "certificate is valid" not in wrong.stdout
