"""The host's own keys: made here, named by what they are, never sent anywhere.

`csr` makes a key with the host's `openssl` in a file that is 0600 before its first byte,
names it `<key id>.key` (the first 32 hex digits of the SHA-256 of its SubjectPublicKeyInfo)
and returns a certificate request (RFC 2986) whose names are all in subjectAltName.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, List

from . import durable
from .host import Host, Ran
from .wire import Refused

OPENSSL = "/usr/bin/openssl"
_NAME = re.compile(r"(?=.{1,253}\Z)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{1,63}")
_NAMES_MOST = 100
_KINDS = {
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa2048": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa3072": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
}


def csr(host: Host, *, names: Any, kind: str) -> Dict[str, str]:
    wanted = _names(names)
    if kind not in _KINDS:
        raise Refused("bad_request", f"Keys are of kind {', '.join(_KINDS)}.")
    made = host.layout.keys / ".new.key"
    durable.remove(made)
    durable.create(made, b"", 0o600, host.owner("root", "root"))
    _openssl(host, ["genpkey", *_KINDS[kind], "-out", str(made)])
    os.chmod(made, 0o600)
    spki = _openssl(host, ["pkey", "-in", str(made), "-pubout", "-outform", "DER"]).out
    key_id = hashlib.sha256(spki).hexdigest()[:32]
    request = _request(host, made, wanted)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    os.rename(made, host.layout.keys / f"{key_id}.key")
    durable.fsync_folder(host.layout.keys)
    return {"key_id": key_id, "csr": request}


def _names(names: Any) -> List[str]:
    if not isinstance(names, list) or not 0 < len(names) <= _NAMES_MOST:
        raise Refused("bad_request", f"A request needs 1 to {_NAMES_MOST} names.")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refused("bad_request", f"{str(name)[:80]!r} is not a host name.")
    return names


def _request(host: Host, key: Path, names: List[str]) -> str:
    subject = f"CN = {names[0]}" if len(names[0]) <= 64 else ""  # RFC 5280: ub-common-name
    lines = [
        "[req]", "prompt = no", "distinguished_name = dn", "req_extensions = ext", "utf8 = yes",
        "[dn]", subject,
        "[ext]", "subjectAltName = " + ", ".join(f"DNS:{name}" for name in names),
    ]  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
        config.write("\n".join(lines) + "\n")
        config.flush()
        argv = ["req", "-new", "-sha256", "-key", str(key), "-config", config.name]
        if not subject:
            argv += ["-subj", "/"]
        return _openssl(host, argv).out.decode("ascii")


def _openssl(host: Host, argv: List[str]) -> Ran:
    told = host.run([OPENSSL, *argv], timeout=60)
    if told.status != 0:
        raise Refused("openssl", f"openssl {argv[0]} failed: {told.words}")
    return told
