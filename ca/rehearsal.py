"""The rehearsal of a ceremony: what would be refused at its end is refused before it begins.

`checked` gives a wish in its normal form, or raises `NotMade` with the field that is wrong. The
ceremony itself uses the same `linted_root` and `linted_issuing` with the keys it has made.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ca import keystore, lints, names, profiles, template, wishes, wording
from ca.models import Issuer
from ca.wishes import AuthorityWish, Wish
from core.errors import Refusal


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
    """The wish in its normal form, or a refusal: what would be refused at the end is refused now.

    A stand-in key takes the place of those that are not made yet, so that the rehearsal meets the
    very rules the ceremony will meet.
    """
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
    wish = Wish(wish.root, wish.issuing, () if unconstrained else permitted, origin)
    if under is not None:
        usable_parent(under, at)
    if wish.root and wish.issuing and wish.root.name == wish.issuing.name:
        raise NotMade("names_equal", field="issuing_name")
    for field, each in (("root_name", wish.root), ("issuing_name", wish.issuing)):
        if each is None:
            continue
        try:
            template.subject_name(each.subject())
        except template.BadSubject as error:
            raise NotMade(error.code, field=field, value=error.value) from error
        if Issuer.objects.filter(name=each.name).exists():
            raise NotMade("name_taken", field=field, value=each.name)
    above = under.parsed if under is not None else None
    if wish.root is not None:
        stand_in = keystore.generate("p256")
        linted = linted_root(wish.root, stand_in.public_key, at)
        above = stand_in.issue(linted)
    if wish.issuing is not None and above is not None:
        linted_issuing(wish, keystore.generate("p256").public_key, above, template.NOWHERE, at)
    return wish


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


def _require(tbs: template.ToBeSigned, above: x509.Certificate | None, field: str) -> lints.Linted:
    try:
        return lints.require(tbs, issuer=above)
    except lints.LintFailed as error:
        findings = [[each.lint, each.section, each.detail] for each in error.findings]
        raise NotMade("lints", field=field, findings=findings) from error


def linted_root(
    wish: AuthorityWish, public_key: CertificatePublicKeyTypes, at: datetime
) -> lints.Linted:
    if not 1 <= wish.days <= profiles.ROOT.most_days:
        raise NotMade("days_long", field="root_days", most=profiles.ROOT.most_days)
    tbs = template.prepare_authority(
        profile=profiles.ROOT,
        subject=wish.subject(),
        public_key=public_key,
        issuer=None,
        days=wish.days,
        at=at,
        serial=template.random_serial(),
    )
    return _require(tbs, None, "root_name")


def linted_issuing(
    wish: Wish,
    public_key: CertificatePublicKeyTypes,
    above: x509.Certificate,
    addresses: template.Addresses,
    at: datetime,
) -> lints.Linted:
    if wish.issuing is None:
        raise ValueError("no issuing authority is wished for")
    most = min(profiles.SUBORDINATE.most_days, template.most_days_under(above, at=at))
    if not 1 <= wish.issuing.days <= most:
        raise NotMade("days_long", field="issuing_days", most=most)
    tbs = template.prepare_authority(
        profile=profiles.SUBORDINATE,
        subject=wish.issuing.subject(),
        public_key=public_key,
        issuer=above,
        days=wish.issuing.days,
        at=at,
        serial=template.random_serial(),
        permitted=wish.subtrees,
        addresses=addresses,
    )
    return _require(tbs, above, "issuing_name")
