"""The rehearsal of a ceremony: what would be refused at its end is refused before it begins.

`checked` gives a wish in its normal form, or raises `NotMade` with the field that is wrong. The
ceremony itself uses the same `root_to_be_signed` and `issuing_to_be_signed`, with the keys it has
made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ca import keys, keystore, lints, names, profiles, template, wishes, wording
from ca.models import Issuer
from ca.wishes import AuthorityWish, Wish
from core.errors import Refusal

# More levels than anybody needs; each is one more certificate in every handshake.
MOST_LEVELS = 5


class NotMade(Refusal):
    """`code` is stable, `field` is where the form shows it."""

    def __init__(self, code: str, *, field: str = "", **detail: Any) -> None:
        super().__init__(wording.sentence(code, detail))
        self.code = code
        self.field = field
        self.detail = detail


class PassphraseRefused(NotMade):
    """Every rule the passphrase breaks, in one sentence each."""

    def __init__(self, codes: list[str]) -> None:
        super().__init__(codes[0], field="passphrase")
        self.codes = tuple(codes)
        self.sentences = [wording.sentence(code) for code in codes]
        self._sentence = " ".join(self.sentences)


def checked(wish: Wish, *, unconstrained: bool, under: Issuer | None, at: datetime) -> Wish:
    """The wish in its normal form; what would be refused at the end is refused now."""
    return looked_at(wish, unconstrained=unconstrained, under=under, at=at)[0]


def looked_at(
    wish: Wish, *, unconstrained: bool, under: Issuer | None, at: datetime
) -> tuple[Wish, Rehearsed]:
    """`checked`, and every field that would be signed.

    A stand-in key takes the place of those that are not made yet, so that the rehearsal meets the
    very rules the ceremony will meet.
    """
    wish = normal(wish, unconstrained=unconstrained)
    if under is not None:
        usable_parent(under, at)
        _nested(wish, under)
    return wish, rehearse(wish, under=under, at=at)


def normal(wish: Wish, *, unconstrained: bool) -> Wish:
    """Names, domains and address in their normal form; nothing is taken that is there already."""
    try:
        permitted = wishes.normal_permitted(wish.permitted)
    except names.BadName as error:
        raise NotMade(error.code, field="permitted", value=error.value) from error
    if wish.issuing is not None and not permitted and not unconstrained:
        raise NotMade("constraints_missing", field="permitted")
    try:
        origin = wishes.normal_origin(wish.origin)
    except wishes.BadOrigin as error:
        raise NotMade(error.code, field="origin", value=error.value) from error
    if wish.root and wish.issuing and wish.root.name == wish.issuing.name:
        raise NotMade("names_equal", field="issuing_name")
    for prefix, each in (("root", wish.root), ("issuing", wish.issuing)):
        if each is None:
            continue
        try:
            template.subject_name(each.subject())
        except template.BadSubject as error:
            raise NotMade(error.code, field=f"{prefix}_name", value=error.value) from error
        if Issuer.objects.filter(name=each.name).exists():
            raise NotMade("name_taken", field=f"{prefix}_name", value=each.name)
        if not wish.csr and each.algorithm not in keys.ALGORITHMS:
            known = ", ".join(keys.ALGORITHMS)
            field = f"{prefix}_algorithm"
            raise NotMade("algorithm_unknown", field=field, value=each.algorithm, known=known)
        if each.path_length is not None and not 0 <= each.path_length <= MOST_LEVELS:
            raise NotMade("path_length_range", field=f"{prefix}_path_length", most=MOST_LEVELS)
    return replace(wish, permitted=() if unconstrained else permitted, origin=origin)


@dataclass(frozen=True)
class Rehearsed:
    """What would be signed with keys that are not made yet, for the preview."""

    root: template.ToBeSigned | None = None
    issuing: template.ToBeSigned | None = None


def rehearse(wish: Wish, *, under: Issuer | None, at: datetime) -> Rehearsed:
    """Every rule on every field, with stand-ins for the keys."""
    above = under.parsed if under is not None else None
    addresses = under.addresses if under is not None else template.NOWHERE
    root, issuing = None, None
    if wish.root is not None:
        stand_in = keystore.generate("p256")
        root, linted = root_to_be_signed(wish.root, stand_in.public_key, at)
        above = stand_in.issue(linted)
        if wish.issuing is not None:
            _levels_fit(wish.issuing, wish.root.path_length, wish.root.name)
        if wish.origin:
            # its id follows from the key that is not made yet
            base = f"{wish.origin}/pki/(id)"
            addresses = template.Addresses(issuer=f"{base}.crt", crl=f"{base}.crl")
    if wish.issuing is not None and above is not None:
        if under is not None:
            _levels_fit(wish.issuing, levels_below(under), under.name)
        public_key = keystore.generate("p256").public_key
        issuing, _linted = issuing_to_be_signed(wish, public_key, above, addresses, at)
    return Rehearsed(root, issuing)


def usable_parent(issuer: Issuer, at: datetime) -> None:
    """The issuer can sign authorities now: its key is here, and all above it still counts."""
    if issuer.certificate is None:
        raise NotMade("root_unknown")
    if issuer.key_kept == Issuer.ELSEWHERE:
        raise NotMade("key_elsewhere", root=issuer.name)
    if issuer.retired_at is not None:
        raise NotMade("parent_retired", root=issuer.name)
    for each in issuer.path():
        if each.certificate is None or not each.certificate.is_valid(at):
            raise NotMade("root_ended", root=each.name)


def path_length_of(certificate: x509.Certificate) -> int | None:
    """The certificate's own limit; 0 for one that is no authority at all."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return 0
    return found.path_length if found.ca else 0


def levels_below(issuer: Issuer) -> int | None:
    """How many levels of authorities may stand below it, by its own certificate and all above."""
    limits = [
        limit - depth
        for depth, each in enumerate(issuer.path())
        if (limit := path_length_of(each.parsed)) is not None
    ]
    return max(0, min(limits)) if limits else None


def _levels_fit(wish: AuthorityWish, most: int | None, name: str) -> None:
    if most is None:
        return
    if most < 1:
        raise NotMade("path_length_none", root=name)
    if (wish.path_length or 0) > most - 1:
        raise NotMade("path_length_long", field="issuing_path_length", root=name, most=most - 1)


def outside(above: names.Subtrees, below: names.Subtrees) -> list[str]:
    """What `below` permits and `above` does not: empty when it is nested (RFC 5280 4.2.1.10)."""
    if not above.limited:
        return []
    if not below.limited:
        return ["*"]
    domains = [
        domain
        for domain in below.domains
        if not any(domain == each or domain.endswith("." + each) for each in above.domains)
    ]
    networks = [
        str(network)
        for network in below.networks
        if not any(
            network.version == each.version and network.subnet_of(each)  # type: ignore[arg-type]
            for each in above.networks
        )
    ]
    return [*domains, *networks]


def _nested(wish: Wish, under: Issuer) -> None:
    """Each authority's limits are within those of every one above it."""
    for each in under.path():
        wider = outside(each.subtrees, wish.subtrees)
        if wider:
            detail = {"root": each.name, "permitted": ", ".join(each.permitted)}
            if wider == ["*"]:
                raise NotMade("constraints_dropped", field="permitted", **detail)
            wide = ", ".join(wider)
            raise NotMade("constraints_wider", field="permitted", names=wide, **detail)


def _require(tbs: template.ToBeSigned, above: x509.Certificate | None, field: str) -> lints.Linted:
    try:
        return lints.require(tbs, issuer=above)
    except lints.LintFailed as error:
        findings = [[each.lint, each.section, each.detail] for each in error.findings]
        raise NotMade("lints", field=field, findings=findings) from error


def _levels(profile: profiles.AuthorityProfile, wish: AuthorityWish) -> profiles.AuthorityProfile:
    if wish.path_length is None:
        return profile
    return replace(profile, path_length=wish.path_length)


def root_to_be_signed(
    wish: AuthorityWish, public_key: CertificatePublicKeyTypes, at: datetime
) -> tuple[template.ToBeSigned, lints.Linted]:
    if not 1 <= wish.days <= profiles.ROOT.most_days:
        raise NotMade("days_long", field="root_days", most=profiles.ROOT.most_days)
    tbs = template.prepare_authority(
        profile=_levels(profiles.ROOT, wish),
        subject=wish.subject(),
        public_key=public_key,
        issuer=None,
        days=wish.days,
        at=at,
        serial=template.random_serial(),
    )
    return tbs, _require(tbs, None, "root_name")


def issuing_to_be_signed(
    wish: Wish,
    public_key: CertificatePublicKeyTypes,
    above: x509.Certificate,
    addresses: template.Addresses,
    at: datetime,
    *,
    floor: str = "",
    rehearsed: bool = False,
) -> tuple[template.ToBeSigned, lints.Linted]:
    """`floor` is the issuer's `serial_floor`, in hexadecimal. `rehearsed`: it was asked for a while
    ago, and a life that just fitted then is a day too long now; it ends a day earlier."""
    if wish.issuing is None:
        raise ValueError("no issuing authority is wished for")
    most = min(profiles.SUBORDINATE.most_days, template.most_days_under(above, at=at))
    days = wish.issuing.days
    if rehearsed and days - most == 1:
        days = most
    if not 1 <= days <= most:
        raise NotMade("days_long", field="issuing_days", most=most)
    tbs = template.prepare_authority(
        profile=_levels(profiles.SUBORDINATE, wish.issuing),
        subject=wish.issuing.subject(),
        public_key=public_key,
        issuer=above,
        days=days,
        at=at,
        serial=template.random_serial(above=int(floor or "0", 16)),
        permitted=wish.subtrees,
        addresses=addresses,
    )
    return tbs, _require(tbs, above, "issuing_name")
