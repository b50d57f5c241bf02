"""From what was asked for to a linted certificate, or to the refusal that says what to change.

Nothing here signs or writes: the verbs of `ca.issuance` and the preview page call it, the verbs
before they take an order, and once more right before the signature.

    rails = read_profile("host")                # a built-in profile, or an operator's copy
    read_profile("inside", retired=True)        # also one that takes no new orders
    choices()                                   # [("host", "Mail host (TLS)"), …] for forms
    profile_label("inside")                     # what people call it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ca import csr, keys, lints, names, profiles, template, wording
from ca.models import Issuer, ProfileCopy
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


class ProfileRefused(IssuanceRefused):
    """There is no such kind of certificate, or none any more."""


def read_csr(source: str | bytes) -> csr.Csr:
    """`csr.parse` with an operator's sentence."""
    try:
        return csr.parse(source)
    except csr.BadRequest as error:
        raise RequestUnreadable(error.code, **error.detail) from error


def split_names(text: str) -> list[str]:
    """The names of a text area."""
    return names.split(text)


def read_names(
    texts: Sequence[str], *, profile: profiles.Profile | None = None
) -> tuple[names.Name, ...]:
    """`names.parse_all` with an operator's sentence. No name is needed where the profile has
    none."""
    if not texts and profile is not None and not profile.needs_names:
        return ()
    try:
        return names.parse_all(texts)
    except names.BadName as error:
        raise NamesRefused(error.code, value=error.value) from error


@cache
def _stand_in(algorithm: str) -> CertificatePublicKeyTypes:
    return keys.ALGORITHMS[algorithm]().public_key()


# A kind of name that a profile does not carry has a sentence that says where it belongs.
_NOT_CARRIED = {
    "dns": "profile_without_dns",
    "ip": "profile_without_ip",
    "email": "profile_without_email",
}


def _judge_names(profile: profiles.Profile, wanted: Sequence[names.Name]) -> None:
    if not wanted and profile.needs_names:
        raise NamesRefused("names_missing")
    for name in wanted:
        if not profile.needs_names:
            raise NamesRefused("profile_without_names", value=name.value)
        if name.kind not in profile.name_kinds:
            raise NamesRefused(_NOT_CARRIED[name.kind], value=name.value)
        if name.value.startswith("*.") and not profile.wildcards:
            raise NamesRefused("profile_without_wildcards", value=name.value)


def _judge_subject(
    profile: profiles.Profile, wanted: Sequence[names.Name], subject: Mapping[str, str]
) -> None:
    try:
        template.subject_name(subject)
    except template.BadSubject as error:
        raise IssuanceRefused(error.code, value=error.value) from error
    common_name = subject.get("CN", "")
    if not common_name:
        if not wanted:
            raise IssuanceRefused("common_name_missing")
    elif common_name not in {name.value for name in wanted} and (
        not profile.own_common_name or names.looks_like_a_name(common_name)
    ):
        raise IssuanceRefused("common_name_foreign", value=common_name)


def life(*, profile: profiles.Profile, issuer: Issuer, days: int | None, at: datetime) -> int:
    """How many days a certificate will live: as asked, or the profile's life, shortened to the
    issuer's when that ends earlier. Refuses an issuer that cannot sign, or not so long a life."""
    if not issuer.able_to_issue(at):
        raise IssuerUnable("issuer_unable", issuer=issuer.name)
    above = issuer.parsed
    most = min(profile.most_days, template.most_days_under(above, at=at))
    if days is not None and not 1 <= days <= profile.most_days:
        raise LifeRefused("days_out_of_range", most=profile.most_days)
    if most < 1 or (days is not None and days > most):
        end = f"{above.not_valid_after_utc:%Y-%m-%d}"
        raise LifeRefused("issuer_too_short", issuer=issuer.name, end=end, most=most)
    return days if days is not None else min(profile.days, most)


@dataclass(frozen=True)
class Ground:
    """What certificates of one profile under one issuer have in common at a moment."""

    profile: profiles.Profile
    issuer: Issuer
    above: x509.Certificate
    addresses: template.Addresses
    limits: names.Limits
    serial_floor: int
    days: int
    at: datetime


def ground(*, profile: profiles.Profile, issuer: Issuer, days: int | None, at: datetime) -> Ground:
    """Where `prepare_on` stands; refuses what `life` refuses."""
    return Ground(
        profile=profile,
        issuer=issuer,
        days=life(profile=profile, issuer=issuer, days=days, at=at),
        above=issuer.parsed,
        addresses=issuer.addresses,
        limits=issuer.limits,
        serial_floor=int(issuer.serial_floor or "0", 16),
        at=at,
    )


def prepare(
    *,
    profile: profiles.Profile,
    issuer: Issuer,
    wanted: Sequence[names.Name],
    public_key: CertificatePublicKeyTypes | None,
    days: int | None,
    subject: Mapping[str, str] | None,
    at: datetime,
    key_algorithm: str = "p256",
) -> tuple[template.ToBeSigned, lints.Linted]:
    """The certificate as it would be signed, linted; or the refusal. Signs and writes nothing.

    Without a public key (it is still to be made) one of `key_algorithm` (of `keys.ALGORITHMS`)
    stands in for it. `subject` may have C, O and CN: one of the names, or any other where the
    profile leaves that open.
    """
    return prepare_on(
        ground(profile=profile, issuer=issuer, days=days, at=at),
        wanted=wanted,
        public_key=public_key or _stand_in(key_algorithm),
        subject=subject,
    )


def prepare_on(
    ground: Ground,
    *,
    wanted: Sequence[names.Name],
    public_key: CertificatePublicKeyTypes,
    subject: Mapping[str, str] | None,
) -> tuple[template.ToBeSigned, lints.Linted]:
    """`prepare` for one of many that have their ground in common."""
    _judge_names(ground.profile, wanted)
    outside = ground.limits.outside(wanted)
    if outside:
        raise NamesRefused(
            "names_outside",
            issuer=ground.issuer.name,
            permitted=", ".join(ground.issuer.permitted),
            names=", ".join(name.value for name in outside),
        )
    _judge_subject(ground.profile, wanted, subject or {})
    tbs = template.prepare(
        profile=ground.profile,
        names=wanted,
        public_key=public_key,
        issuer=ground.above,
        days=ground.days,
        at=ground.at,
        serial=template.random_serial(above=ground.serial_floor),
        subject=subject,
        addresses=ground.addresses,
    )
    try:
        return tbs, lints.require(tbs, issuer=ground.above)
    except lints.LintFailed as error:
        findings = [[each.lint, each.section, each.detail] for each in error.findings]
        raise IssuanceRefused("lints", findings=findings) from error


def rails_of(copy: ProfileCopy) -> profiles.Profile:
    """What a copy's row says, within the rails of its base; or `profiles.OutsideRails`."""
    base = profiles.PROFILES.get(copy.base)
    if base is None:
        raise profiles.OutsideRails("copy_base", "base", base=copy.base)
    return base.copied(
        id=copy.slug,
        days=copy.days,
        most_days=copy.most_days,
        name_kinds=copy.name_kinds,
        wildcards=copy.wildcards,
        purposes=copy.purposes,
    )


def read_profile(profile_id: str, *, retired: bool = False) -> profiles.Profile:
    """A built-in profile or an operator's copy; a retired copy only where `retired` says so."""
    if profile_id in profiles.PROFILES:
        return profiles.by_id(profile_id)
    # PostgreSQL takes neither NUL nor half a character, not even to look for it.
    plain = profile_id.isascii() and profile_id.isprintable()
    copy = ProfileCopy.objects.filter(slug=profile_id).first() if plain else None
    if copy is None:
        raise ProfileRefused("profile_unknown", value=profile_id)
    if copy.retired_at is not None and not retired:
        raise ProfileRefused("profile_retired", value=copy.name)
    try:
        return rails_of(copy)
    except profiles.OutsideRails as error:
        raise ProfileRefused("profile_broken", value=copy.name) from error


def choices() -> list[tuple[str, str]]:
    """The profiles a certificate can be asked for in a form, with what people call them.

    Not the responders': their certificates let their holder say "not revoked" of any other.
    """
    built_in = [(each, str(wording.PROFILES[each])) for each in profiles.COPYABLE]
    copies = ProfileCopy.objects.filter(retired_at=None).values_list("slug", "name")
    return [*built_in, *copies]


def profile_label(profile_id: str) -> str:
    """What people call a profile, also an authority's and a retired copy's; else its id."""
    known = wording.PROFILES.get(profile_id)
    if known is not None:
        return str(known)
    name = ProfileCopy.objects.filter(slug=profile_id).values_list("name", flat=True).first()
    return name or profile_id


def profile_labels() -> dict[str, str]:
    """Every profile's id and what people call it: for lists, in one query."""
    found = {each: str(label) for each, label in wording.PROFILES.items()}
    return found | dict(ProfileCopy.objects.values_list("slug", "name"))


def permission(profile_id: str) -> str:
    """What an operator needs for a certificate of this profile."""
    built_in = profiles.PROFILES.get(profile_id)
    return "ca.manage" if built_in is not None and built_in.unchecked else "ca.issue"
