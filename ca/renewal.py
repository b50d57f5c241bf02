"""Renewal: another certificate in the place of one that ends.

    order = request(certificate=old, way=NEW_KEY, csr_pem=pem, by=me, at=now)
    order = request(certificate=old, way=SAME_KEY, by=me, at=now)     # its request is used again
    …the signer signs it; both are valid, and the new one is put in use in place of the old
    supersede(certificate=new, by=me, at=now)                         # "the new one is in use"

Names, profile, subject and life are the old one's; the issuer too, or its successor. A host's
certificate is renewed on the host's page: its key is there, and what the host serves decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cryptography.x509.oid import NameOID
from django.db import IntegrityError
from django.utils import formats
from django.views.decorators.debug import sensitive_variables

from ca import issuance, names, preparation, profiles, template
from ca.models import Certificate, Issuer, Order
from core.errors import Refusal
from core.models import Operator

SAME_KEY, NEW_KEY = "same", "new"
WAYS = (SAME_KEY, NEW_KEY)


class NotRenewable(issuance.IssuanceRefused):
    """The certificate's state, or another order, is in the way; or something is missing."""

    def __init__(self, code: str, *, status: int = 409, **detail: Any) -> None:
        super().__init__(code, **detail)
        self.status = status


@sensitive_variables("key")
def request(
    *,
    certificate: Certificate,
    way: str,
    csr_pem: str | None = None,
    days: int | None = None,
    by: Operator | None,
    at: datetime,
    **key: Any,
) -> Order:
    """Ask for the next certificate; the old one stays as it is until `supersede`.

    `way` SAME_KEY: the request that the old one was made with is used again, or `csr_pem` is one
    with the same key. NEW_KEY: `csr_pem` has another key, or `key` says how the signer makes one
    (see `issuance.request`). `days` None: as long as the old one lives, where the rails allow it.

    Raises NotRenewable, and what `issuance.request` raises.
    """
    if way not in WAYS:
        raise NotRenewable("renewal_way_unknown", status=422, value=way, ways=", ".join(WAYS))
    check(certificate, at=at)
    order = Order.objects.filter(certificate=certificate).first()
    on_host = order is not None and order.way == Order.HOST
    if on_host and not csr_pem:
        raise NotRenewable("renewal_on_host", name=certificate.title)
    source = csr_pem or (order.csr_pem if order and way == SAME_KEY else "")
    if not source and not key:
        code = "renewal_request_missing" if way == SAME_KEY else "renewal_key_missing"
        raise NotRenewable(code, status=422)
    if source:
        same = preparation.read_csr(source).key_id == certificate.key_id
        if same is not (way == SAME_KEY):
            code = "renewal_key_differs" if way == SAME_KEY else "renewal_key_same"
            raise NotRenewable(code, status=422)
    issuer = signed_by(certificate)
    try:
        return issuance.request(
            profile=certificate.profile,
            names=certificate.names,
            issuer=issuer,
            csr_pem=source or None,
            days=days if days is not None else life(certificate, issuer, at=at),
            subject=order.subject if order else subject_of(certificate),
            renews=certificate,
            by=by,
            at=at,
            **key,
        )
    except IntegrityError:
        # Somebody else was first, between `check` and here: the database allows one at a time.
        check(certificate, at=at)
        raise


def check(certificate: Certificate, *, at: datetime) -> None:
    """Raise NotRenewable unless an order for its successor may be made now."""
    if certificate.profile in profiles.AUTHORITY_PROFILES:
        raise NotRenewable("renewal_authority", name=certificate.title)
    if certificate.state in (Certificate.REVOKED, Certificate.HELD):
        raise NotRenewable(
            "renewal_revoked", name=certificate.title, state=certificate.get_state_display()
        )
    if certificate.state == Certificate.SUPERSEDED:
        raise NotRenewable("renewal_superseded", name=certificate.title)
    under_way = under_way_of(certificate)
    if under_way is not None:
        raise NotRenewable("renewal_under_way", name=certificate.title, order=under_way.pk)
    newer = replacement_of(certificate, at=at)
    if newer is not None:
        end = formats.date_format(newer.not_after, "Y-m-d")
        raise NotRenewable("renewed_already", name=certificate.title, end=end, id=newer.pk)


def replacement_of(certificate: Certificate, *, at: datetime) -> Certificate | None:
    """The newest valid certificate that was made in its place."""
    valid = [each for each in certificate.renewals.all() if each.is_valid(at)]
    return max(valid, key=lambda each: each.pk, default=None)


def under_way_of(certificate: Certificate) -> Order | None:
    """The open order for its successor; the database allows one."""
    return next((each for each in certificate.renewal_orders.all() if not each.is_final), None)


def signed_by(certificate: Certificate) -> Issuer:
    """The issuer of the next one: the same, or the one that has taken its place.

    A root that was made by hand signed hosts itself; what is below it does that now.
    """
    issuer, seen = certificate.issuer, {certificate.issuer_id}
    while issuer.retired_at is not None and issuer.successor is not None:
        issuer = issuer.successor
        if issuer.pk in seen:
            break
        seen.add(issuer.pk)
    return _below(issuer, certificate) if issuer.is_root else issuer


def _below(root: Issuer, certificate: Certificate) -> Issuer:
    """The newest authority under the root that may sign for the same names; the root for none."""
    try:
        wanted = names.parse_all(certificate.names)
    except names.BadName:
        return root
    below = root.children.filter(key_kept__in=Issuer.AT_HAND, retired_at=None)
    for each in below.exclude(certificate=None).order_by("-pk"):
        if not each.limits.outside(wanted):
            return each
    return root


def life(certificate: Certificate, issuer: Issuer, *, at: datetime) -> int | None:
    """The days of the next one; None where the profile's own life is to be taken."""
    rails = preparation.read_profile(certificate.profile)
    spent = certificate.not_after - certificate.not_before + timedelta(seconds=1)
    days = round(spent / timedelta(days=1))
    if days == rails.days or issuer.certificate is None:
        return None
    most = min(rails.most_days, template.most_days_under(issuer.parsed, at=at))
    return max(1, min(days, most))


def subject_of(certificate: Certificate) -> dict[str, str]:
    """Country, organisation, and a person's own name, of a certificate that has no order here."""
    found = {}
    wanted = {"C": NameOID.COUNTRY_NAME, "O": NameOID.ORGANIZATION_NAME}
    if preparation.read_profile(certificate.profile).own_common_name:
        wanted["CN"] = NameOID.COMMON_NAME
    for field, oid in wanted.items():
        try:
            held = certificate.parsed.subject.get_attributes_for_oid(oid)
        except ValueError:
            # Text that is not in the encoding it claims (T61String of old).
            continue
        if held:
            found[field] = str(held[0].value)
    return found


class NotReplaced(Refusal):
    """The old one cannot be superseded by this one now."""

    status = 409

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(issuance.IssuanceRefused(code, **detail).sentence)
        self.code = code


def check_supersede(certificate: Certificate, *, at: datetime) -> Certificate:
    """What `certificate` would supersede now, or NotReplaced."""
    old = certificate.renews
    if old is None:
        raise NotReplaced("renews_nothing", name=certificate.title)
    if not certificate.is_valid(at):
        raise NotReplaced("replacement_invalid", name=certificate.title)
    if old.state == Certificate.SUPERSEDED:
        raise NotReplaced("superseded_already", name=old.title)
    if old.state != Certificate.VALID:
        raise NotReplaced("old_is_revoked", name=old.title, state=old.get_state_display())
    if Order.objects.filter(certificate=old, way=Order.HOST).exists():
        raise NotReplaced("superseded_by_probe", name=old.title)
    return old


def may_supersede(certificate: Certificate, *, at: datetime) -> bool:
    try:
        check_supersede(certificate, at=at)
    except NotReplaced:
        return False
    return True


def supersede(*, certificate: Certificate, by: Operator | None, at: datetime) -> Certificate:
    """ "The new one is in use": what `certificate` renews is superseded, and given back.

    For certificates that no managed host serves: there a probe says it.
    """
    old = check_supersede(certificate, at=at)
    issuance.supersede(old=old, new=certificate, by=by, at=at)
    return old
