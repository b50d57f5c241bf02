"""The frozen values that rendering and planning work on.

A `Snapshot` is everything the configuration of one host depends on; `deploy.snapshot` is the only
place that reads it from the database.  `Facts` is what the host said about itself.  Both are plain
values: two equal snapshots render to byte-identical bundles on any machine and at any time.

A snapshot is kept beside the generation it was rendered to, as JSON:

    >>> record = to_record(snapshot)            # {"host": {...}, "tls": {...}}
    >>> from_record(json.loads(json.dumps(record))) == snapshot
    True
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

GENERATION: Final = "@GENERATION@"
"""Stands for the generation's own directory; hostctl puts the real path in when it stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """What an operator decides about one mail host.

    `listen_inet` and `listen_inet6` are the addresses every public port listens on; an empty tuple
    leaves the family out.  `"::"` is for hosts that have IPv6 and listen on all of IPv4 as well:
    where the family is missing, Sendmail would not start its listeners.
    `snippet_*` is the operator's own text, appended last so that it can override; it is as powerful
    as root on the host, so only an owner may set it (see `lines.sendmail_snippet`).
    `mta` and `family` are what the host is: `"sendmail"` or `"postfix"`, `"debian"` or `"fedora"`.
    """

    fqdn: str
    message_size_mb: int = 50
    listen_inet: tuple[str, ...] = ("0.0.0.0",)  # noqa: S104 (a mail host answers the world)
    listen_inet6: tuple[str, ...] = ()
    snippet_sendmail: str = ""
    snippet_dovecot: str = ""
    snippet_postfix: str = ""
    mta: str = "sendmail"
    family: str = "debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The certificate a host serves.  The private key never leaves the host: `key_id` names it.

    `chain_pem` is the leaf followed by its intermediates, `ca_pem` the authorities that clients
    trust, `fingerprint_sha256` the SHA-256 of the leaf's DER in lower-case hex, `key_id` the first
    32 hex digits of the SHA-256 of the public key's SubjectPublicKeyInfo.
    """

    chain_pem: bytes
    ca_pem: bytes
    key_id: str
    fingerprint_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    host: HostConfig
    tls: TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What `hostctl facts` reports, reduced to what a plan depends on.

    `host` is its UUID, empty before a helper knew it.
    `drift_marks` says of each path of `drift` what is there: another mark, another content.
    `mta` is the one that is installed, empty when none is; an old helper knows Sendmail alone.
    `generation` is None on a host that was never deployed to and 0 after leaving the console.
    """

    sendmail_version: str = ""
    dovecot_version: str = ""
    postfix_version: str = ""
    mta: str = ""
    family: str = "debian"
    generation: int | None = None
    sendmail_running: bool = False
    postfix_running: bool = False
    dovecot_running: bool = False
    bridge_running: bool = False
    fqdn_ok: bool = True
    drift: tuple[str, ...] = ()
    drift_marks: tuple[str, ...] = ()
    host: str = ""

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> Facts:
        """The facts in hostctl's result; what is missing there counts as not running."""
        services = report.get("services") or {}
        drift = tuple(str(path) for path in report.get("drift") or ())
        marks = report.get("drift_marks") or {}

        def running(name: str) -> bool:
            return bool((services.get(name) or {}).get("running"))

        return cls(
            sendmail_version=str(report.get("sendmail") or ""),
            dovecot_version=str(report.get("dovecot") or ""),
            postfix_version=str(report.get("postfix") or ""),
            mta=str(report.get("mta", "sendmail" if report.get("sendmail") else "") or ""),
            family=str(report.get("family") or "debian"),
            generation=report.get("generation"),
            sendmail_running=running("sendmail"),
            postfix_running=running("postfix"),
            dovecot_running=running("dovecot"),
            bridge_running=running("bridge"),
            fqdn_ok=bool(report.get("fqdn_ok", True)),
            drift=drift,
            drift_marks=tuple(str(marks.get(path, "")) for path in drift),
            host=str(report.get("host") or ""),
        )

    @property
    def drifted(self) -> dict[str, str]:
        """Path to mark."""
        return dict(zip(self.drift, self.drift_marks, strict=False))

    @property
    def drift_mark(self) -> str:
        """All of it in one: who names it has seen exactly this, and there.  Empty where nothing
        drifted."""
        if not self.drift:
            return ""
        files = (f"{path}\0{mark}" for path, mark in sorted(self.drifted.items()))
        said = "\0".join((self.host, *files))
        return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()

    @property
    def dovecot_branch(self) -> str:
        """`"2.3"` or `"2.4"`; empty when the host has no Dovecot or one we cannot configure."""
        branch = ".".join(self.dovecot_version.split(".")[:2])
        return branch if branch in ("2.3", "2.4") else ""


def to_record(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """The snapshot as JSON-ready values, with the PEM files as text."""
    host = {f.name: getattr(snapshot.host, f.name) for f in fields(HostConfig)}
    host["listen_inet"] = list(snapshot.host.listen_inet)
    host["listen_inet6"] = list(snapshot.host.listen_inet6)
    tls = {f.name: getattr(snapshot.tls, f.name) for f in fields(TlsFiles)}
    tls["chain_pem"] = snapshot.tls.chain_pem.decode("ascii")
    tls["ca_pem"] = snapshot.tls.ca_pem.decode("ascii")
    return {"host": host, "tls": tls}


def from_record(record: Mapping[str, Mapping[str, Any]]) -> Snapshot:
    """The inverse of `to_record`; settings that a newer release added get their defaults."""
    known = {f.name for f in fields(HostConfig)}
    host = {name: value for name, value in record["host"].items() if name in known}
    for name in ("listen_inet", "listen_inet6"):
        if name in host:
            host[name] = tuple(host[name])
    tls = record["tls"]
    return Snapshot(
        host=HostConfig(**host),
        tls=TlsFiles(
            chain_pem=tls["chain_pem"].encode("ascii"),
            ca_pem=tls["ca_pem"].encode("ascii"),
            key_id=tls["key_id"],
            fingerprint_sha256=tls["fingerprint_sha256"],
        ),
    )
