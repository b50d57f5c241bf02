"""What a rollout would do: facts about a host and two bundles in, steps and their cost out.

    plan(facts, live, wanted)      → which files change, what happens to which service, what is
                                     probed afterwards, how long a port refuses connections
    describe(live, wanted)         → the same for people: "certificate a1b2… → c3d4…"

Restart only what changed: an unchanged service is not touched, a changed one is reloaded, and only
what a daemon reads once at its start costs a restart.

| change | Sendmail | Dovecot |
|---|---|---|
| `sendmail/sendmail.mc` | reload (HUP) | |
| `sendmail/Sendmail.conf` (read at start only) | restart | |
| `tls/*` | reload | reload |
| the `dovecot/` files of the version that runs there | | reload |
| first deployment | restart | restart |
| daemon not running | start | start |
| a file changed on the host itself | as if it differed | as if it differed |
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from deploy.bundle import (
    DOVECOT_23,
    DOVECOT_23_APP,
    DOVECOT_23_LASTLOGIN,
    DOVECOT_23_SQL,
    DOVECOT_24,
    SENDMAIL_MC,
    SENDMAIL_SASL,
    TLS_CA,
    TLS_CHAIN,
    Bundle,
    fingerprint,
)
from deploy.hostctl import paths
from deploy.render.values import Facts, HostConfig, Snapshot

Action = Literal["unchanged", "reload", "restart", "start"]
Service = Literal["sendmail", "dovecot", "bridge"]
Kind = Literal["added", "changed", "removed"]

SERVICES_OF: Final[Mapping[str, tuple[Service, ...]]] = {
    SENDMAIL_MC: ("sendmail",),
    SENDMAIL_SASL: ("sendmail",),
    DOVECOT_23: ("dovecot",),
    DOVECOT_23_SQL: ("dovecot",),
    DOVECOT_23_APP: ("dovecot",),
    DOVECOT_23_LASTLOGIN: ("dovecot",),
    DOVECOT_24: ("dovecot",),
    TLS_CHAIN: ("sendmail", "dovecot"),
    TLS_CA: ("sendmail", "dovecot"),
}
SERVICES: Final[tuple[Service, ...]] = ("sendmail", "dovecot")
_ONLY_FOR_BRANCH: Final[Mapping[str, str]] = {
    DOVECOT_23: "2.3",
    DOVECOT_23_SQL: "2.3",
    DOVECOT_23_APP: "2.3",
    DOVECOT_23_LASTLOGIN: "2.3",
    DOVECOT_24: "2.4",
}
# Seconds during which the service's ports refuse connections, measured on Debian 12 and 13.
PORT_REFUSED: Final[Mapping[tuple[Service, Action], float]] = {
    ("sendmail", "reload"): 0.05,
    ("sendmail", "restart"): 2.2,
    ("dovecot", "reload"): 0.0,
    ("dovecot", "restart"): 3.0,
}
_STRENGTH: Final[Mapping[Action, int]] = {"unchanged": 0, "reload": 1, "restart": 2, "start": 3}


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that differs.  `services` is empty for a file this host's daemons do not read."""

    path: str
    kind: Kind
    unified_diff: str
    services: tuple[Service, ...]

    @property
    def service(self) -> str:
        """The services for a table cell: `"sendmail, dovecot"`."""
        return ", ".join(self.services)


@dataclass(frozen=True, slots=True)
class Step:
    """One hostctl verb or console act, in order: stage, validate, switch, probe, confirm."""

    verb: str
    detail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the running daemons.  `expect` is a fingerprint, or what must come back.

    Kinds: `starttls` and `tls` (fingerprint served), `auth_right`, `auth_wrong`, `auth_in_clear`
    (must not be offered), `unknown_recipient` (550 at RCPT), `relay` (refused), `postmaster`
    (accepted).
    """

    kind: str
    protocol: Literal["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"]
    port: int
    expect: str


@dataclass(frozen=True, slots=True)
class Objection:
    """A reason not to start at all.  Codes: `fqdn`, `no_sendmail`, `no_dovecot`,
    `dovecot_version`, `no_certificate`."""

    code: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    changes: tuple[FileChange, ...]
    services: Mapping[Service, Action]
    port_refused: Mapping[Service, float]
    steps: tuple[Step, ...]
    probes: tuple[Probe, ...]
    drift: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing to put live: same files, here and on the host, and every service up."""
        still = all(act == "unchanged" for act in self.services.values())
        return still and not self.changes and not self.drift


@dataclass(frozen=True, slots=True)
class FirstDeployment:
    fqdn: str


@dataclass(frozen=True, slots=True)
class CertificateChanged:
    old_fingerprint: str
    new_fingerprint: str


@dataclass(frozen=True, slots=True)
class AuthoritiesChanged:
    """The certificates of the authorities handed out with it, not the host's own."""


@dataclass(frozen=True, slots=True)
class SettingChanged:
    """`name` is a field of HostConfig; values as the operator knows them."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SnippetChanged:
    service: Service


@dataclass(frozen=True, slots=True)
class TemplatesChanged:
    """Same settings, other text: this release of the console renders differently."""

    service: Service


Change = (
    FirstDeployment
    | CertificateChanged
    | AuthoritiesChanged
    | SettingChanged
    | SnippetChanged
    | TemplatesChanged
)


def plan(facts: Facts, live: Bundle | None, wanted: Bundle) -> Plan:
    """The whole of a rollout before anything is touched.  `live` is None before the first one."""
    changes = _changes(live, wanted, facts.dovecot_branch)
    services = _services(facts, live, changes)
    refused = {
        service: PORT_REFUSED[service, action]
        for service, action in services.items()
        if (service, action) in PORT_REFUSED
    }
    return Plan(
        changes=changes,
        services=services,
        port_refused=refused,
        steps=_steps(services),
        probes=_probes(wanted),
        drift=facts.drift,
        objections=_objections(facts, wanted),
    )


def describe(live: Snapshot | None, wanted: Snapshot) -> tuple[Change, ...]:
    """The operator's view of the difference, shortest first; empty when nothing differs."""
    if live is None:
        return (FirstDeployment(wanted.host.fqdn),)
    found: list[Change] = []
    old, new = live.tls, wanted.tls
    if old.fingerprint_sha256 != new.fingerprint_sha256:
        found.append(CertificateChanged(old.fingerprint_sha256, new.fingerprint_sha256))
    elif (old.chain_pem, old.ca_pem) != (new.chain_pem, new.ca_pem):
        found.append(AuthoritiesChanged())
    for name in ("fqdn", "message_size_mb", "listen_inet", "listen_inet6"):
        before, after = _shown(live.host, name), _shown(wanted.host, name)
        if before != after:
            found.append(SettingChanged(name, before, after))
    if live.host.snippet_sendmail != wanted.host.snippet_sendmail:
        found.append(SnippetChanged("sendmail"))
    if live.host.snippet_dovecot != wanted.host.snippet_dovecot:
        found.append(SnippetChanged("dovecot"))
    return tuple(found)


def _shown(host: HostConfig, name: str) -> str:
    value = getattr(host, name)
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _changes(live: Bundle | None, wanted: Bundle, branch: str) -> tuple[FileChange, ...]:
    before: Mapping[str, bytes] = live.files if live is not None else {}
    found = []
    for path in sorted(set(before) | set(wanted.files)):
        old, new = before.get(path), wanted.files.get(path)
        if old == new:
            continue
        kind: Kind = "added" if old is None else "removed" if new is None else "changed"
        read_here = _ONLY_FOR_BRANCH.get(path, branch) == branch
        found.append(
            FileChange(path, kind, _diff(path, old, new), SERVICES_OF[path] if read_here else ())
        )
    return tuple(found)


def _diff(path: str, old: bytes | None, new: bytes | None) -> str:
    lines = difflib.unified_diff(
        lines_of(path, old), lines_of(path, new), f"live/{path}", f"wanted/{path}", lineterm=""
    )
    return "\n".join(lines)


def lines_of(path: str, content: bytes | None) -> list[str]:
    """A file's lines as a difference shows them."""
    if content is None:
        return []
    if path.startswith("tls/"):
        # Base64 tells nobody anything: a certificate is shown by its fingerprint.
        blocks = content.split(b"-----END CERTIFICATE-----")[:-1]
        return [f"SHA-256 {fingerprint(b + b'-----END CERTIFICATE-----')}" for b in blocks]
    return content.decode("utf-8", "replace").splitlines()


def _services(
    facts: Facts, live: Bundle | None, changes: tuple[FileChange, ...]
) -> dict[Service, Action]:
    first = live is None or not facts.generation
    services: dict[Service, Action] = {
        "sendmail": "restart" if first else "unchanged",
        "dovecot": "restart" if first else "unchanged",
        "bridge": "unchanged",
    }
    for change in changes:
        needed: Action = "restart" if change.path == SENDMAIL_SASL else "reload"
        for service in change.services:
            if _STRENGTH[needed] > _STRENGTH[services[service]]:
                services[service] = needed
    for path in facts.drift:
        for service, needed in _of_drift(path, facts.dovecot_branch):
            if _STRENGTH[needed] > _STRENGTH[services[service]]:
                services[service] = needed
    if not facts.sendmail_running:
        services["sendmail"] = "start"
    if not facts.dovecot_running:
        services["dovecot"] = "start"
    if not facts.bridge_running:
        services["bridge"] = "start"
    return services


def _of_drift(path: str, branch: str) -> Iterator[tuple[Service, Action]]:
    """What a daemon may have read of a file that was changed there is taken out of it again."""
    name = paths.WELL_KNOWN.get(path, "/".join(path.split("/")[-2:]))
    if _ONLY_FOR_BRANCH.get(name, branch) != branch:
        return
    for service in SERVICES:
        if service in paths.READ_BY.get(name, ()):
            yield service, "restart" if name == SENDMAIL_SASL else "reload"


def _steps(services: Mapping[Service, Action]) -> tuple[Step, ...]:
    acts: tuple[tuple[str, str], ...] = tuple(
        (service, action) for service, action in services.items() if action != "unchanged"
    )
    return (Step("stage"), Step("validate"), Step("switch", acts), Step("probe"), Step("confirm"))


def _probes(wanted: Bundle) -> tuple[Probe, ...]:
    served = wanted.fingerprint_sha256
    return (
        Probe("starttls", "smtp", 25, served),
        Probe("starttls", "submission", 587, served),
        Probe("tls", "submissions", 465, served),
        Probe("tls", "imaps", 993, served),
        Probe("tls", "pop3s", 995, served),
        Probe("auth_in_clear", "smtp", 25, "not offered"),
        Probe("auth_in_clear", "submission", 587, "not offered"),
        Probe("auth_wrong", "submission", 587, "535"),
        Probe("auth_right", "submission", 587, "235"),
        Probe("unknown_recipient", "smtp", 25, "550"),
        Probe("postmaster", "smtp", 25, "250"),
        Probe("relay", "smtp", 25, "550"),
    )


def _objections(facts: Facts, wanted: Bundle) -> tuple[Objection, ...]:
    found = []
    if not facts.fqdn_ok:
        found.append(Objection("fqdn"))
    if not facts.sendmail_version:
        found.append(Objection("no_sendmail"))
    if not facts.dovecot_version:
        found.append(Objection("no_dovecot"))
    elif not facts.dovecot_branch:
        found.append(Objection("dovecot_version", facts.dovecot_version))
    if not wanted.fingerprint_sha256:
        found.append(Objection("no_certificate"))
    return tuple(found)
