"""What a probe needs to know and what it answers.

    place = Place(address="192.0.2.2", fqdn="mail1.example.test", ca_pem=…, login=…, password=…)
    run(plan.probes, place)      # → [Result(kind="tls", protocol="imaps", port=993, ok=True, …), …]

`evidence` is language-neutral: the daemon's own words, or a TLS version and a fingerprint.
"""

from dataclasses import dataclass, field
from datetime import datetime

FOREIGN_RECIPIENT = "somebody@relay-probe.invalid"


@dataclass(frozen=True, slots=True)
class Place:
    """A host as its users reach it, what they trust, and a login made for this probe alone.

    `seconds` limits one attempt; `patience` is how long a daemon may take to come back after a
    switch before a refused connection or an old certificate counts as a failure. `catch_all`: the
    host's own name is a domain that takes mail for any name.
    """

    address: str
    fqdn: str
    ca_pem: bytes
    login: str = ""
    password: str = field(default="", repr=False)
    seconds: float = 10.0
    patience: float = 10.0
    catch_all: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    kind: str
    protocol: str
    port: int
    ok: bool
    evidence: str = ""
    fingerprint: str = ""
    ms: int = 0
    not_after: datetime | None = None

    @property
    def name(self) -> str:
        """The name of its line in a rollout's log: `probe.tls.imaps`."""
        return f"probe.{self.kind}.{self.protocol}"


class ProbeFailed(Exception):
    """The daemon did something else than what must be so. Carries the evidence."""

    def __init__(self, evidence: str, fingerprint: str = "") -> None:
        super().__init__(evidence)
        self.evidence = evidence
        self.fingerprint = fingerprint


class NotYet(ProbeFailed):
    """May be the daemon on its way up: worth another attempt."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe saw when all was well."""

    evidence: str
    fingerprint: str = ""
    not_after: datetime | None = None
