"""From what was asked for to a linted certificate, or to the refusal that says what to change.

Nothing here signs or writes: the verbs of `ca.issuance` and the preview page call it, the verbs
before they take an order, and once more right before the signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ca import csr, lints, names, profiles, template, wording
from ca.models import Issuer
from core.errors import Refusal


class IssuanceRefused(Refusal):
    """`code` is stable and goes to the API; `detail` holds the values in the sentence."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(wording.sentence(code, detail))
        self.code = code
        self.detail = detail


class RequestUnreadable(IssuanceRefused):
    """The CSR, or its key or names, is not accepted."""


class NamesRefused(IssuanceRefused):
    """A name is malformed, or outside what the issuer may sign for."""


class LifeRefused(IssuanceRefused):
    """The certificate would live too long."""


class IssuerUnable(IssuanceRefused):
    """The issuing authority cannot sign now."""


def read_csr(source: str | bytes) -> csr.Csr:
    """`csr.parse` with an operator's sentence."""
    try:
        return csr.parse(source)
    except csr.BadRequest as error:
        raise RequestUnreadable(error.code, **error.detail) from error


def split_names(text: str) -> list[str]:
    """The names of a text area."""
    return names.split(text)


def read_names(texts: Sequence[str]) -> tuple[names.Name, ...]:
    try:
        return names.parse_all(texts)
    except names.BadName as error:
        raise NamesRefused(error.code, value=error.value) from error


def prepare(
    *,
    profile: profiles.Profile,
    issuer: Issuer,
    wanted: Sequence[names.Name],
    public_key: CertificatePublicKeyTypes | None,
    days: int | None,
    subject: Mapping[str, str] | None,
    at: datetime,
) -> tuple[template.ToBeSigned, lints.Linted]:
    """The certificate as it would be signed, linted; or the refusal. Signs and writes nothing.

    Without a public key (it is still to be made) one of the same strength stands in for it.
    """
    if not issuer.able_to_issue(at):
        raise IssuerUnable("issuer_unable", issuer=issuer.name)
    above = issuer.parsed
    most = min(profile.most_days, template.most_days_under(above, at=at))
    if days is not None and not 1 <= days <= profile.most_days:
        raise LifeRefused("days_out_of_range", most=profile.most_days)
    if most < 1 or (days is not None and days > most):
        end = f"{above.not_valid_after_utc:%Y-%m-%d}"
        raise LifeRefused("issuer_too_short", issuer=issuer.name, end=end, most=most)
    outside = names.outside(issuer.subtrees, wanted)
    if outside:
        raise NamesRefused(
            "names_outside",
            issuer=issuer.name,
            permitted=", ".join(issuer.permitted),
            names=", ".join(name.value for name in outside),
        )
    try:
        template.subject_name(subject or {})
    except template.BadSubject as error:
        raise IssuanceRefused(error.code, value=error.value) from error
    tbs = template.prepare(
        profile=profile,
        names=wanted,
        public_key=public_key or ec.generate_private_key(ec.SECP256R1()).public_key(),
        issuer=above,
        days=days if days is not None else min(profile.days, most),
        at=at,
        serial=template.random_serial(),
        subject=subject,
        addresses=issuer.addresses,
    )
    try:
        return tbs, lints.require(tbs, issuer=above)
    except lints.LintFailed as error:
        findings = [[each.lint, each.section, each.detail] for each in error.findings]
        raise IssuanceRefused("lints", findings=findings) from error


def read_profile(profile_id: str) -> profiles.Profile:
    try:
        return profiles.by_id(profile_id)
    except KeyError:
        raise IssuanceRefused("profile_unknown", value=profile_id) from None
