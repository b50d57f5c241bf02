"""The verbs of a certificate's way from a request to a signed certificate.

    order = request(profile="host", names=["mail1.example.test"], issuer=issuer, by=me, at=now)
    order.state                                   # "awaiting_csr": the key is made on the host
    submit_csr(order=order, csr_pem=pem, by=me, at=now)   # → "signing", the signer is nudged

    request(…, csr_pem=pem)                       # a key made elsewhere, or in the browser
    request(…, key_algorithm="p256", parcel_form="p12", passphrase="…")     # the signer makes it

    order.refresh_from_db(); order.state          # "issued": order.certificate; or "refused"
    confirm_served(certificate=new, where="mail1.example.test", by=None, at=now)
    supersede(old=old, new=new, by=None, at=now)

Each verb raises a `core.errors.Refusal` (an exception with `.sentence`), and nothing is changed.
Only `sign` touches a key: it runs in the worker `sign`, on an order it has claimed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca import keys, keystore, parcels
from ca.models import Certificate, Issuer, Order, Parcel
from ca.preparation import (
    IssuanceRefused,
    NamesRefused,
    RequestUnreadable,
    prepare,
    read_csr,
    read_names,
    read_profile,
)
from ca.records import store
from core import audit, leases
from core.models import Operator
from core.nudge import nudge

__all__ = [
    "IssuanceRefused",
    "NamesRefused",
    "NotSigned",
    "NotSupersedable",
    "OrderEnded",
    "RequestUnreadable",
    "confirm_served",
    "expire",
    "refuse",
    "request",
    "sign",
    "submit_csr",
    "supersede",
]

SIGN_ORDER = "ca.sign_order"
EXPIRE_ORDER = "ca.expire_order"
# What an order may say of its subject; everything else follows from the profile.
FIELDS = ("C", "O", "CN")
# An order that brought the signer down this often is refused and no longer taken.
MOST_CLAIMS = 5


class OrderEnded(IssuanceRefused):
    """The order is not in a state that allows this."""

    status = 409


class NotSupersedable(IssuanceRefused):
    status = 409


class NotSigned(Exception):
    """What came out of signing is not what was asked for: nothing is stored."""


@sensitive_variables("passphrase")
def request(
    *,
    profile: str,
    names: Sequence[str],
    issuer: Issuer,
    csr_pem: str | None = None,
    days: int | None = None,
    subject: Mapping[str, str] | None = None,
    way: str | None = None,
    renews: Certificate | None = None,
    key_algorithm: str = "",
    parcel_form: str = "",
    passphrase: str = "",
    by: Operator | None,
    at: datetime,
) -> Order:
    """Ask for a certificate. Without a CSR the order waits in "awaiting_csr" for `submit_csr`.

    `days` None: the profile's life, shortened to the issuer's when that ends earlier. `way` (one
    of `Order.WAYS`) follows from the rest: with a CSR the key was made elsewhere, unless `way`
    says that it was in the browser; with `key_algorithm` (of `keys.LEAF_ALGORITHMS`),
    `parcel_form` (of `packing.FORMS`) and `passphrase` the signer makes it and puts it under that
    passphrase. `renews` is what the new one takes the place of. What could not be signed is
    refused here already, so that nobody makes a key for nothing.
    """
    way = way or _way(csr_pem, key_algorithm or parcel_form or passphrase)
    _judge_way(way, with_csr=csr_pem is not None)
    rails = read_profile(profile)
    wanted = read_names(names, profile=rails)
    asked = read_csr(csr_pem) if csr_pem is not None else None
    fields = {key: value for key, value in (subject or {}).items() if key in FIELDS and value}
    if way == Order.SIGNER:
        key_algorithm, parcel_form = key_algorithm or "p256", parcel_form or Parcel.P12
        known = [*(name.value for name in wanted), *fields.values()]
        parcels.check_wish(
            key_algorithm=key_algorithm,
            parcel_form=parcel_form,
            passphrase=passphrase,
            known=known,
        )
    tbs, _linted = prepare(
        profile=rails,
        issuer=issuer,
        wanted=wanted,
        public_key=asked.public_key if asked else None,
        key_algorithm=key_algorithm or "p256",
        days=days,
        subject=fields,
        at=at,
    )
    order = Order(
        state=Order.AWAITING_CSR if way == Order.HOST and not asked else Order.REQUESTED,
        way=way,
        profile=rails.id,
        issuer=issuer,
        names=[name.value for name in wanted],
        subject=fields,
        days=round((tbs.not_after - tbs.not_before).total_seconds() / 86400),
        csr_pem=asked.pem if asked else "",
        key_id=asked.key_id if asked else "",
        renews=renews,
        requested_by=by,
        requested_at=at,
        changed_at=at,
    )
    if way == Order.SIGNER:
        order.key_algorithm, order.parcel_form = key_algorithm, parcel_form
        order.passphrase_sealed = parcels.seal_passphrase(passphrase, order.context)
    with transaction.atomic():
        order.save(force_insert=True)
        _record_request(order, by, at)
        if order.state == Order.REQUESTED:
            nudge(SIGN_ORDER, order.pk)
    return order


def _way(csr_pem: str | None, of_a_parcel: str) -> str:
    if csr_pem is not None:
        return Order.ELSEWHERE
    return Order.SIGNER if of_a_parcel else Order.HOST


def _judge_way(way: str, *, with_csr: bool) -> None:
    if way not in dict(Order.WAYS):
        raise IssuanceRefused("way_unknown", value=way, known=", ".join(dict(Order.WAYS)))
    if way in (Order.ELSEWHERE, Order.BROWSER) and not with_csr:
        raise RequestUnreadable("way_needs_csr")
    if way == Order.SIGNER and with_csr:
        raise RequestUnreadable("way_without_csr")


def _record_request(order: Order, by: Operator | None, at: datetime) -> None:
    detail = {
        "order": order.pk,
        "issuer": order.issuer.name,
        "profile": order.profile,
        "names": order.names,
        "days": order.days,
        "way": order.way,
        "key_id": order.key_id,
    }
    if order.renews is not None:
        detail["renews"] = order.renews.serial
    audit.record(by=by, at=at, action="ca.order.requested", subject=str(order), detail=detail)


def submit_csr(
    *,
    order: Order,
    csr_pem: str,
    key_id: str | None = None,
    by: Operator | None,
    at: datetime,
) -> Order:
    """Hand in the CSR an order waits for; the signer is nudged.

    `key_id`: the first 32 hex digits (or all) of SHA-256 of the SPKI that must be in the CSR. The
    order's names stay: a CSR only proposes names, and these were decided.
    """
    asked = read_csr(csr_pem)
    if key_id and not (len(key_id) >= 32 and asked.key_id.startswith(key_id.lower())):
        raise RequestUnreadable("key_differs", expected=key_id[:32])
    with transaction.atomic():
        moved = Order.objects.filter(pk=order.pk, state=Order.AWAITING_CSR).update(
            state=Order.SIGNING, csr_pem=asked.pem, key_id=asked.key_id, changed_at=at
        )
        order.refresh_from_db()
        if not moved:
            raise OrderEnded("not_waiting", state=order.get_state_display())
        audit.record(
            by=by,
            at=at,
            action="ca.order.csr_submitted",
            subject=str(order),
            detail={"order": order.pk, "key_id": asked.key_id, "key": asked.key_label},
        )
        nudge(SIGN_ORDER, order.pk)
    return order


def refuse(
    *,
    order: Order,
    code: str,
    detail: Mapping[str, str] | None = None,
    by: Operator | None,
    at: datetime,
) -> Order:
    """End an order that cannot be fulfilled; `order.reason` is the sentence for the operator.

    Codes for callers: "cancelled" {who}, "host_failed" {why}, "passphrase_expired". An order the
    signer has in hand ends there, not here.
    """
    with transaction.atomic():
        moved = Order.objects.filter(
            pk=order.pk, state__in=[Order.REQUESTED, Order.AWAITING_CSR]
        ).update(
            state=Order.REFUSED,
            reason_code=code,
            reason_detail=dict(detail or {}),
            passphrase_sealed=b"",
            changed_at=at,
        )
        order.refresh_from_db()
        if not moved:
            raise OrderEnded("already_ended", state=order.get_state_display())
        audit.record(
            by=by,
            at=at,
            action="ca.order.refused",
            subject=str(order),
            detail={"order": order.pk, "reason": code, **(detail or {})},
        )
    return order


def expire(*, order: Order, at: datetime) -> None:
    """End an order whose passphrase the signer did not come to in time, so that it is erased even
    where no signer runs."""
    with contextlib.suppress(OrderEnded):
        refuse(order=order, code="passphrase_expired", by=None, at=at)


def sign(
    *, order: Order, at: datetime, clock: Callable[[], datetime] | None = None
) -> Certificate | None:
    """Prepare, lint, sign and store a claimed order. None: it was refused, `order.reason` says why.

    Where the signer makes the key, `clock` renews the lease afterwards: a large RSA key takes
    seconds. The key, its parcel and the certificate are stored together or not at all.

    Raises `core.leases.LeaseLost` when another signer has taken over meanwhile, and
    `core.seal.KeyNotHeld` outside the signer; the order then waits for its next signer.
    """
    if order.fence > MOST_CLAIMS:
        _refuse(order, "signer_failed", {}, at)
        return None
    if order.state == Order.REQUESTED:
        leases.save(order, state=Order.SIGNING, changed_at=at)
    issuer = order.issuer
    made = None
    try:
        if order.way == Order.SIGNER:
            made = parcels.make_key(order=order, at=at)
            leases.renew(order, at=clock() if clock else at)
        public_key = made.key.public_key() if made else read_csr(order.csr_pem).public_key
        rails = read_profile(order.profile)
        _tbs, linted = prepare(
            profile=rails,
            issuer=issuer,
            wanted=read_names(order.names, profile=rails),
            public_key=public_key,
            days=order.days,
            subject=order.subject,
            at=at,
        )
        key = keystore.load(issuer.key_sealed, key_id=issuer.key_id, token=issuer.token)
        signed = key.issue(linted)
    except IssuanceRefused as refusal:
        _refuse(order, refusal.code, refusal.detail, at)
        return None
    except keystore.KeyUnusable as error:
        _refuse(order, error.code, {"issuer": issuer.name, **error.detail}, at)
        return None
    key_id = keys.key_id(public_key)
    check(signed, issuer=issuer.parsed, key_id=key_id)
    content = parcels.pack(order=order, made=made, certificate=signed) if made else b""
    with transaction.atomic():
        certificate = store(
            issuer=issuer,
            certificate=signed,
            profile=order.profile,
            at=at,
            renews=order.renews,
        )
        leases.release(
            order,
            state=Order.ISSUED,
            certificate=certificate,
            key_id=key_id,
            passphrase_sealed=b"",
            changed_at=at,
        )
        if made:
            parcels.store(order=order, content=content, by=order.requested_by, at=at)
        audit.record(
            by=order.requested_by,
            at=at,
            action="ca.certificate.issued",
            subject=certificate.title,
            detail={
                "order": order.pk,
                "issuer": issuer.name,
                "serial": certificate.serial,
                "fingerprint_sha256": certificate.fingerprint_sha256,
                "not_after": certificate.not_after.isoformat(),
            },
        )
    return certificate


def check(signed: x509.Certificate, *, issuer: x509.Certificate, key_id: str) -> None:
    """The signature verifies under the issuer, and the key is the one that was asked for."""
    signed.verify_directly_issued_by(issuer)
    if keys.key_id(signed.public_key()) != key_id:
        raise NotSigned("the certificate holds another key than the request")


def _refuse(order: Order, code: str, detail: Mapping[str, object], at: datetime) -> None:
    with transaction.atomic():
        leases.release(
            order,
            state=Order.REFUSED,
            reason_code=code,
            reason_detail=dict(detail),
            passphrase_sealed=b"",
            changed_at=at,
        )
        audit.record(
            by=order.requested_by,
            at=at,
            action="ca.order.refused",
            subject=str(order),
            detail={"order": order.pk, "reason": code, **detail},
        )


def confirm_served(
    *, certificate: Certificate, where: str, by: Operator | None, at: datetime
) -> None:
    """Record that a daemon was seen serving exactly this certificate (`where`: a host's name)."""
    with transaction.atomic():
        Certificate.objects.filter(pk=certificate.pk, first_served_at=None).update(
            first_served_at=at
        )
        certificate.refresh_from_db(fields=["first_served_at"])
        audit.record(
            by=by,
            at=at,
            action="ca.certificate.served",
            subject=certificate.title,
            detail={"serial": certificate.serial, "where": where},
        )


def supersede(*, old: Certificate, new: Certificate, by: Operator | None, at: datetime) -> None:
    """`new` is confirmed as served in place of `old`: valid → superseded."""
    if old.pk == new.pk or not new.is_valid(at):
        raise NotSupersedable("not_supersedable")
    with transaction.atomic():
        moved = Certificate.objects.filter(pk=old.pk, state=Certificate.VALID).update(
            state=Certificate.SUPERSEDED, superseded_by=new
        )
        if not moved:
            raise NotSupersedable("not_supersedable")
        audit.record(
            by=by,
            at=at,
            action="ca.certificate.superseded",
            subject=old.title,
            detail={"serial": old.serial, "by_serial": new.serial},
        )
    old.refresh_from_db()
