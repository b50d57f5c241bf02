"""A bundle: the files of one generation, as relative path → bytes.

    bundle = Bundle({"sendmail/sendmail.mc": b"...", "tls/chain.pem": b"..."})
    bundle.digest        # what host and console compare
    bundle.tar()         # what `hostctl stage` reads after its header

A host has one MTA, and its bundle the files of that one only: `sendmail/` or `postfix/`.

A bundle never holds a private key, a compiled file or account data: the key is on the host already
and named in the request's header, m4 and makemap run on the host, and accounts have a database of
their own.  Which paths exist, and whose they are, is decided by the host's helper; the table here
repeats only their names, so that a mistake is refused before it travels.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

SENDMAIL_MC: Final = "sendmail/sendmail.mc"
SENDMAIL_SASL: Final = "sendmail/Sendmail.conf"
POSTFIX_MAIN: Final = "postfix/main.cf"
POSTFIX_MASTER: Final = "postfix/master.cf"
DOVECOT_23: Final = "dovecot/dovecot23.conf"
DOVECOT_23_SQL: Final = "dovecot/sql23.ext"
DOVECOT_23_APP: Final = "dovecot/app23.ext"
DOVECOT_23_LASTLOGIN: Final = "dovecot/lastlogin23.ext"
DOVECOT_24: Final = "dovecot/dovecot24.conf"
TLS_CHAIN: Final = "tls/chain.pem"
TLS_CA: Final = "tls/ca.pem"

PATHS: Final = frozenset(
    {
        SENDMAIL_MC,
        SENDMAIL_SASL,
        POSTFIX_MAIN,
        POSTFIX_MASTER,
        DOVECOT_23,
        DOVECOT_23_SQL,
        DOVECOT_23_APP,
        DOVECOT_23_LASTLOGIN,
        DOVECOT_24,
        TLS_CHAIN,
        TLS_CA,
    }
)
_PEM_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----"
)


class UnknownBundlePath(ValueError):
    """A path that no generation may hold."""


@dataclass(frozen=True, slots=True)
class Bundle:
    files: Mapping[str, bytes] = field(hash=False)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.files) - PATHS)
        if unknown:
            raise UnknownBundlePath(f"not a file of a generation: {', '.join(unknown)}")
        ordered = {path: bytes(self.files[path]) for path in sorted(self.files)}
        object.__setattr__(self, "files", MappingProxyType(ordered))

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    @property
    def digest(self) -> str:
        """SHA-256 in hex over every path and content, each preceded by its length in 8 bytes."""
        total = hashlib.sha256()
        for path, content in self.files.items():
            for part in (path.encode(), content):
                total.update(len(part).to_bytes(8, "big"))
                total.update(part)
        return total.hexdigest()

    @property
    def fingerprint_sha256(self) -> str:
        """The SHA-256 of the served certificate's DER in hex; empty when there is none."""
        return fingerprint(self.files.get(TLS_CHAIN, b""))

    def tar(self) -> bytes:
        """A plain ustar archive, the same bytes for the same bundle."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path, content in self.files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                member.mode = 0o644
                archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()


def fingerprint(chain_pem: bytes) -> str:
    """The SHA-256 in hex of the first certificate in a PEM file; empty when it holds none."""
    found = _PEM_CERTIFICATE.search(chain_pem)
    if found is None:
        return ""
    return hashlib.sha256(base64.b64decode(found.group(1))).hexdigest()
