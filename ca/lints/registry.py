"""Rules, what they find, and the certificate that met them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ca import keys
from ca.profiles import AuthorityProfile
from ca.template import ToBeSigned

Issuer = x509.Certificate | None
Rule = Callable[[ToBeSigned, Issuer], Iterator[str]]


@dataclass(frozen=True)
class Lint:
    id: str
    section: str
    rule: Rule


@dataclass(frozen=True)
class Finding:
    """A broken rule: `lint` is its id, `detail` the value that breaks it."""

    lint: str
    section: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """A rule and what it found in one certificate: nothing, where it is met."""

    lint: str
    section: str
    findings: tuple[Finding, ...]

    @property
    def met(self) -> bool:
        return not self.findings


class LintFailed(Exception):
    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{each.lint}: {each.detail}" for each in findings))
        self.findings = tuple(findings)


@dataclass
class Linted:
    """A certificate that met every rule. `take` hands it out once, for one signature."""

    _tbs: ToBeSigned
    _taken: bool = field(default=False, init=False)

    def take(self) -> ToBeSigned:
        if self._taken:
            raise RuntimeError("a linted certificate is signed once")
        self._taken = True
        return self._tbs

    @property
    def public_key_id(self) -> str:
        return keys.key_id(self._tbs.public_key)


ALL: list[Lint] = []


def lint(section: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        ALL.append(Lint(rule.__name__, section, rule))
        return rule

    return register


def run(tbs: ToBeSigned, *, issuer: Issuer) -> list[Finding]:
    """Every finding of every rule."""
    return [
        Finding(each.id, each.section, detail) for each in ALL for detail in each.rule(tbs, issuer)
    ]


def verdicts(tbs: ToBeSigned, issuer: Issuer) -> list[Verdict]:
    """Every rule in turn with its section and its findings, the met ones too."""
    return [
        Verdict(
            each.id,
            each.section,
            tuple(Finding(each.id, each.section, detail) for detail in each.rule(tbs, issuer)),
        )
        for each in ALL
    ]


def require(tbs: ToBeSigned, *, issuer: Issuer) -> Linted:
    findings = run(tbs, issuer=issuer)
    if findings:
        raise LintFailed(findings)
    return Linted(tbs)


@lru_cache(maxsize=64)
def public_key_of(issuer: x509.Certificate) -> CertificatePublicKeyTypes:
    """Decoded once: an issuer signs many."""
    return issuer.public_key()


def text_of(name: x509.GeneralName) -> str:
    return str(name.value)


def is_authority(tbs: ToBeSigned) -> bool:
    return isinstance(tbs.profile, AuthorityProfile)


def alternative_names(tbs: ToBeSigned) -> tuple[x509.GeneralName, ...]:
    return tbs.alternative_names
