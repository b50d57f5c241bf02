"""An authority made by hand with the openssl command, as in 2004, for every test that wants one.

by_hand().key                     the root's key: traditional PEM under DES3
by_hand().sign("old.example.test", "-md5", serial=7)     another certificate, in PEM
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

PASSPHRASE = "fc1-passphrase"
CONFIG = """
[req]
distinguished_name = dn
prompt = no
string_mask = nombstr
[dn]
C = TW
O = Example Ltd
CN = My Root CA
[v3_ca]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer:always
basicConstraints = CA:true
[v3_modern]
subjectKeyIdentifier = hash
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
[v3_req]
basicConstraints = CA:FALSE
keyUsage = nonRepudiation, digitalSignature, keyEncipherment
[v3_serial]
basicConstraints = CA:FALSE
authorityKeyIdentifier = issuer:always
"""


# Until the tests end.
_FOLDER = tempfile.TemporaryDirectory(prefix="mailadmin-byhand-", ignore_cleanup_errors=True)


def openssl(*arguments: str, cwd: Path, given: bytes | None = None) -> bytes:
    return subprocess.run(
        ["openssl", *arguments], cwd=cwd, input=given, capture_output=True, check=True
    ).stdout


@dataclass
class ByHand:
    """The files, as bytes. `key_plain` is the same key without its passphrase."""

    folder: Path
    key: bytes = b""
    key_plain: bytes = b""
    root: bytes = b""
    host: bytes = b""
    v1: bytes = b""
    serial: bytes = b""
    others: dict[str, bytes] = field(default_factory=dict)

    def issued(self) -> list[tuple[str, bytes]]:
        return [("certs/myhost.crt", self.host), ("certs/v1.crt", self.v1)]

    def self_signed(self, *options: str, key: str = "root.plain", config: str = "ca.cnf") -> bytes:
        """A root; `options` such as "-sha1", "-extensions", "v3_ca"."""
        return openssl(
            "req", "-new", "-x509", "-config", config, "-key", key, "-days", "7305", *options,
            cwd=self.folder,
        )  # fmt: skip

    def sign(
        self, subject: str | bytes, *options: str, serial: int, root: str = "root.crt"
    ) -> bytes:
        """A certificate of the hosts' key, without extensions unless `options` name some."""
        config = CONFIG.replace("C = TW\nO = Example Ltd\nCN = My Root CA", "CN = @").encode()
        name = subject.encode() if isinstance(subject, str) else subject
        (self.folder / "leaf.cnf").write_bytes(config.replace(b"@", name))
        openssl("req", "-new", "-config", "leaf.cnf", "-key", "host.key", "-out", "leaf.csr",
                cwd=self.folder)  # fmt: skip
        return openssl(
            "x509", "-req", "-in", "leaf.csr", "-days", "3650", "-CA", root, "-CAkey",
            "root.plain", "-set_serial", str(serial), *options, cwd=self.folder,
        )  # fmt: skip


@functools.cache
def by_hand() -> ByHand:
    folder = Path(_FOLDER.name)
    made = ByHand(folder)
    (folder / "ca.cnf").write_text(CONFIG)
    secret = f"pass:{PASSPHRASE}"
    openssl("genrsa", "-des3", "-traditional", "-passout", secret, "-out", "root.key", "2048",
            cwd=folder)  # fmt: skip
    openssl("rsa", "-traditional", "-in", "root.key", "-passin", secret, "-out", "root.plain",
            cwd=folder)  # fmt: skip
    openssl("genrsa", "-traditional", "-out", "host.key", "2048", cwd=folder)
    made.root = made.self_signed("-sha1", "-extensions", "v3_ca")
    (folder / "root.crt").write_bytes(made.root)
    made.key = (folder / "root.key").read_bytes()
    made.key_plain = (folder / "root.plain").read_bytes()
    extended = ("-extfile", "ca.cnf", "-extensions", "v3_req")
    made.host = made.sign("mail.example.test", "-sha1", *extended, serial=0x3940)
    made.v1 = made.sign("old.example.test", "-sha1", serial=0x3941)
    made.serial = b"3941\n"
    return made
