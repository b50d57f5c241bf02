"""What a rollout would do: facts about a host and two bundles in, steps and their cost out.

    plan(facts, live, wanted)      → which files change, what happens to which service, what is
                                     probed afterwards, how long a port refuses connections
    describe(live, wanted)         → the same for people: "certificate a1b2… → c3d4…"

Restart only what changed: an unchanged service is not touched, a changed one is reloaded, and only
what a daemon reads once at its start costs a restart.

| change | Sendmail or Postfix | Dovecot |
|---|---|---|
| `sendmail/sendmail.mc` | reload (HUP) | |
| `sendmail/Sendmail.conf` (read at start only) | restart | |
| `postfix/main.cf` | reload | |
| `postfix/master.cf` (its listeners are opened at start only) | restart | |
| `tls/*` | reload | reload |
| the `dovecot/` files of the version that runs there | | reload |
| first deployment | restart | restart |
| daemon not running | start | start |
| a file changed on the host itself | as if it differed | as if it differed |

A host has one MTA: its plan speaks of that one alone.
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
    POSTFIX_MAIN,
    POSTFIX_MASTER,
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
Service = Literal["sendmail", "postfix", "dovecot", "bridge"]
Kind = Literal["added", "changed", "removed"]

SERVICES_OF: Final[Mapping[str, tuple[Service, ...]]] = {
    SENDMAIL_MC: ("sendmail",),
    SENDMAIL_SASL: ("sendmail",),
    POSTFIX_MAIN: ("postfix",),
    POSTFIX_MASTER: ("postfix",),
    DOVECOT_23: ("dovecot",),
    DOVECOT_23_SQL: ("dovecot",),
    DOVECOT_23_APP: ("dovecot",),
    DOVECOT_23_LASTLOGIN: ("dovecot",),
    DOVECOT_24: ("dovecot",),
    TLS_CHAIN: ("sendmail", "postfix", "dovecot"),
    TLS_CA: ("sendmail", "postfix", "dovecot"),
}
NAMES: Final[Mapping[str, str]] = {"sendmail": "Sendmail", "postfix": "Postfix"}
OLDEST_POSTFIX: Final = (3, 7)
DOVECOT: Final[Service] = "dovecot"
MTAS: Final[tuple[Service, ...]] = ("sendmail", "postfix")
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
    ("postfix", "reload"): 0.0,
    ("postfix", "restart"): 2.0,
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


Protocol = Literal["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"]
PORTS: Final[Mapping[Protocol, int]] = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
}
IMPLICIT: Final[frozenset[Protocol]] = frozenset(("submissions", "imaps", "pop3s"))
"""TLS from the first byte."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the running daemons.  `expect` is a fingerprint, or what must come back.

    Kinds: `starttls` and `tls` (fingerprint served), `old_tls` and `weak_tls` (refused),
    `auth_right`, `auth_wrong`, `auth_in_clear` (neither offered nor taken), `unknown_recipient`
    (550 at RCPT), `relay` (refused), `postmaster` (accepted), `delivery` (handed in, read back).
    """

    kind: str
    protocol: Protocol
    port: int
    expect: str


@dataclass(frozen=True, slots=True)
class Objection:
    """A reason not to start at all.  Codes: `fqdn`, `no_sendmail`, `no_postfix`, `wrong_mta`,
    `postfix_version`, `no_dovecot`, `dovecot_version`, `no_certificate`."""

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
    mta = mta_of(wanted)
    changes = _changes(live, wanted, facts.dovecot_branch, mta)
    services = _services(facts, live, changes, mta)
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


_SETTINGS: Final = ("fqdn", "mta", "family", "message_size_mb", "listen_inet", "listen_inet6")


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
    for name in _SETTINGS:
        before, after = _shown(live.host, name), _shown(wanted.host, name)
        if before != after:
            found.append(SettingChanged(name, before, after))
    for service in (*MTAS, DOVECOT):
        if getattr(live.host, f"snippet_{service}") != getattr(wanted.host, f"snippet_{service}"):
            found.append(SnippetChanged(service))
    return tuple(found)


def _shown(host: HostConfig, name: str) -> str:
    value = getattr(host, name)
    if name == "mta":
        return NAMES[value]
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _changes(
    live: Bundle | None, wanted: Bundle, branch: str, mta: Service
) -> tuple[FileChange, ...]:
    before: Mapping[str, bytes] = live.files if live is not None else {}
    found = []
    for path in sorted(set(before) | set(wanted.files)):
        old, new = before.get(path), wanted.files.get(path)
        if old == new:
            continue
        kind: Kind = "added" if old is None else "removed" if new is None else "changed"
        read_here = _ONLY_FOR_BRANCH.get(path, branch) == branch
        services = tuple(s for s in SERVICES_OF[path] if read_here and s in (mta, "dovecot"))
        found.append(FileChange(path, kind, _diff(path, old, new), services))
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


def mta_of(bundle: Bundle) -> Service:
    """Whose configuration a bundle holds."""
    return "postfix" if POSTFIX_MAIN in bundle.files else "sendmail"


def _services(
    facts: Facts, live: Bundle | None, changes: tuple[FileChange, ...], mta: Service
) -> dict[Service, Action]:
    first = live is None or not facts.generation
    begin: Action = "restart" if first else "unchanged"
    services: dict[Service, Action] = {mta: begin, "dovecot": begin, "bridge": "unchanged"}
    needs = [(service, _needs(each.path)) for each in changes for service in each.services]
    needs += [need for path in facts.drift for need in _of_drift(path, facts.dovecot_branch)]
    for service, needed in needs:
        if service in services and _STRENGTH[needed] > _STRENGTH[services[service]]:
            services[service] = needed
    running: Mapping[Service, bool] = {
        "sendmail": facts.sendmail_running,
        "postfix": facts.postfix_running,
        "dovecot": facts.dovecot_running,
        "bridge": facts.bridge_running,
    }
    return {name: act if running[name] else "start" for name, act in services.items()}


def _needs(name: str) -> Action:
    return "restart" if name in paths.READ_AT_START else "reload"


def _of_drift(path: str, branch: str) -> Iterator[tuple[Service, Action]]:
    """What a daemon may have read of a file that was changed there is taken out of it again."""
    if path == paths.CURRENT:  # all of it may be different
        yield from ((service, "reload") for service in (*MTAS, DOVECOT))
        return
    name = paths.WELL_KNOWN.get(path, "/".join(path.split("/")[-2:]))
    if _ONLY_FOR_BRANCH.get(name, branch) != branch:
        return
    readers = paths.READ_BY.get(name, ())
    for service in (*MTAS, DOVECOT):
        if service in readers:
            yield service, _needs(name)  # type: ignore[misc]


def _steps(services: Mapping[Service, Action]) -> tuple[Step, ...]:
    acts: tuple[tuple[str, str], ...] = tuple(
        (service, action) for service, action in services.items() if action != "unchanged"
    )
    return (Step("stage"), Step("validate"), Step("switch", acts), Step("probe"), Step("confirm"))


def _probes(wanted: Bundle) -> tuple[Probe, ...]:
    served = wanted.fingerprint_sha256
    return (
        Probe("auth_wrong", "submission", 587, "535"),
        Probe("delivery", "submission", 587, "read back"),
        *(Probe("tls" if p in IMPLICIT else "starttls", p, PORTS[p], served) for p in PORTS),
        *(Probe("auth_right", p, PORTS[p], "taken") for p in ("submission", "imaps", "pop3s")),
        Probe("unknown_recipient", "smtp", 25, "550"),
        Probe("postmaster", "smtp", 25, "250"),
        Probe("relay", "smtp", 25, "550"),
        *(Probe("auth_in_clear", p, PORTS[p], "refused") for p in PORTS if p not in IMPLICIT),
        *(Probe("old_tls", p, PORTS[p], "refused") for p in PORTS),
        *(Probe("weak_tls", p, PORTS[p], "refused") for p in PORTS),
    )


def objections_to(facts: Facts, mta: Service) -> list[Objection]:
    """What on the host itself stands in the way of a configuration for this MTA."""
    found = []
    if not facts.fqdn_ok and mta == "sendmail":
        found.append(Objection("fqdn"))
    found += _objections_to_mta(facts, mta)
    if not facts.dovecot_version:
        found.append(Objection("no_dovecot"))
    elif not facts.dovecot_branch:
        found.append(Objection("dovecot_version", facts.dovecot_version))
    return found


def _objections(facts: Facts, wanted: Bundle) -> tuple[Objection, ...]:
    found = objections_to(facts, mta_of(wanted))
    if not wanted.fingerprint_sha256:
        found.append(Objection("no_certificate"))
    return tuple(found)


def _objections_to_mta(facts: Facts, mta: Service) -> list[Objection]:
    """The host has the other one, or none, or one that is too old for what is rendered."""
    if facts.mta and facts.mta != mta:
        return [Objection("wrong_mta", NAMES[facts.mta])]
    version = facts.postfix_version if mta == "postfix" else facts.sendmail_version
    if not version:
        return [Objection(f"no_{mta}")]
    if mta == "postfix" and _numbers(version) < OLDEST_POSTFIX:
        return [Objection("postfix_version", version)]
    return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
