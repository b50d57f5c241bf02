"""`/api/v1`: certificates, orders and authorities.

Ask for a certificate with a request of your own, then look at the order until it ends:

    POST /certificates/orders   {"issuer": 2, "csr": "-----BEGIN CERTIFICATE REQUEST-----…"}
    GET  /certificates/orders/7           "state": "issued", "certificate": 12
    GET  /certificates/12/download/fullchain
"""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from ca import issuance, lists, preparation, profiles, revocation
from ca.models import Certificate, Issuer, Order
from ca.views import FORMS, download_of
from core import roles
from core.access import NotAllowed
from core.api_auth import Token
from core.models import Operator

router = Router(tags=["certificates"])
MOST_AT_ONCE = 200


class AuthorityOut(Schema):
    id: int
    name: str
    parent: int | None
    key: str
    permitted: list[str]
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    can_issue: bool
    certificate: int
    pem: str


class CertificateOut(Schema):
    id: int
    names: list[str]
    subject: str
    state: str
    profile: str
    issuer: int
    serial: str
    fingerprint_sha256: str
    key: str
    key_id: str
    not_before: datetime
    not_after: datetime
    first_served_at: datetime | None
    superseded_by: int | None
    revoked_at: datetime | None
    revocation_reason: str
    pem: str


class CertificatesOut(Schema):
    """`next` is the `after` of the next page, or null."""

    items: list[CertificateOut]
    next: str | None


class OrderIn(Schema):
    """Without `names` the request's own are taken; `days` defaults to 90."""

    issuer: int
    csr: str
    names: list[str] = Field(default_factory=list)
    days: int | None = None
    profile: str = profiles.HOST.id


class RevocationIn(Schema):
    reason: str = Field("unspecified", description=", ".join(revocation.REASONS))


class OrderOut(Schema):
    id: int
    state: str
    names: list[str]
    days: int
    profile: str
    issuer: int
    certificate: int | None
    reason_code: str
    reason: str
    requested_at: datetime


def _authority(issuer: Issuer) -> AuthorityOut:
    certificate = issuer.certificate
    if certificate is None:
        raise ValueError(f"{issuer} has no certificate")
    return AuthorityOut(
        id=issuer.pk,
        name=issuer.name,
        parent=issuer.parent_id,
        key=certificate.key_label,
        permitted=issuer.permitted,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        fingerprint_sha256=certificate.fingerprint_sha256,
        can_issue=issuer.able_to_issue(timezone.now()),
        certificate=certificate.pk,
        pem=certificate.pem,
    )


def _certificate(certificate: Certificate) -> CertificateOut:
    return CertificateOut(
        id=certificate.pk,
        names=certificate.names,
        subject=certificate.subject,
        state=certificate.shown_state(timezone.now()),
        profile=certificate.profile,
        issuer=certificate.issuer_id,
        serial=certificate.serial,
        fingerprint_sha256=certificate.fingerprint_sha256,
        key=certificate.key_label,
        key_id=certificate.key_id,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        first_served_at=certificate.first_served_at,
        superseded_by=certificate.superseded_by_id,
        revoked_at=certificate.revoked_at,
        revocation_reason=certificate.revocation_reason,
        pem=certificate.pem,
    )


def _order(order: Order) -> OrderOut:
    return OrderOut(
        id=order.pk,
        state=order.state,
        names=order.names,
        days=order.days,
        profile=order.profile,
        issuer=order.issuer_id,
        certificate=order.certificate_id,
        reason_code=order.reason_code,
        reason=order.reason,
        requested_at=order.requested_at,
    )


def _operator(request: HttpRequest, permission: str) -> Operator:
    operator: Operator = request.auth  # type: ignore[attr-defined]
    if not roles.may(operator, permission):
        raise NotAllowed(permission)
    return operator


@router.get("/authorities", auth=Token("ca:read"), response=list[AuthorityOut])
def authorities(request: HttpRequest) -> list[AuthorityOut]:
    """Every authority; a root's `parent` is null."""
    rows = Issuer.objects.exclude(certificate=None).select_related("certificate")
    return [_authority(issuer) for issuer in rows]


@router.get("/authorities/{pk}", auth=Token("ca:read"), response=AuthorityOut)
def authority(request: HttpRequest, pk: int) -> AuthorityOut:
    rows = Issuer.objects.exclude(certificate=None).select_related("certificate")
    return _authority(get_object_or_404(rows, pk=pk))


@router.get("/certificates", auth=Token("ca:read"), response=CertificatesOut)
def certificates(
    request: HttpRequest,
    q: str = "",
    state: str = "",
    issuer: int | None = None,
    after: str = "",
    limit: int = 50,
) -> CertificatesOut:
    """Certificates by their end, soonest first. `q` is part of a name, or the beginning of a
    serial number or fingerprint; `state` is valid, held, superseded, revoked or expired."""
    rows = Certificate.objects.leaves()
    if q:
        rows = rows.matching(q)
    if state:
        rows = rows.in_state(state, timezone.now())
    if issuer is not None:
        rows = rows.filter(issuer_id=issuer)
    size = max(1, min(limit, MOST_AT_ONCE))
    page = lists.by_end(rows, {"after": after}, size=size)
    return CertificatesOut(items=[_certificate(each) for each in page], next=page.next)


@router.post("/certificates/orders", auth=Token("ca:issue"), response={202: OrderOut})
def create_order(request: HttpRequest, body: OrderIn) -> Status[OrderOut]:
    """Ask for a certificate for a request. It is signed within a second: look at the order."""
    operator = _operator(request, "ca.issue")
    asked = preparation.read_csr(body.csr)
    order = issuance.request(
        profile=body.profile,
        names=body.names or [name.value for name in asked.names],
        issuer=get_object_or_404(Issuer, pk=body.issuer),
        csr_pem=asked.pem,
        days=body.days,
        by=operator,
        at=timezone.now(),
    )
    return Status(202, _order(order))


@router.get("/certificates/orders/{pk}", auth=Token("ca:read"), response=OrderOut)
def order(request: HttpRequest, pk: int) -> OrderOut:
    return _order(get_object_or_404(Order, pk=pk))


@router.get("/certificates/{pk}", auth=Token("ca:read"), response=CertificateOut)
def certificate(request: HttpRequest, pk: int) -> CertificateOut:
    return _certificate(get_object_or_404(Certificate, pk=pk))


@router.get("/certificates/{pk}/download/{form}", auth=Token("ca:read"))
def download(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    """`form` is pem, chain, fullchain, root, der or text."""
    found = get_object_or_404(Certificate, pk=pk)
    if form not in FORMS:
        raise issuance.IssuanceRefused("form_unknown", value=form, forms=", ".join(FORMS))
    return download_of(found, form)


def _revocable(request: HttpRequest, pk: int) -> tuple[Certificate, Operator]:
    found = get_object_or_404(Certificate.objects.select_related("issuer"), pk=pk)
    return found, _operator(request, revocation.permission(found))


@router.post("/certificates/{pk}/revoke", auth=Token("ca:issue"), response=CertificateOut)
def revoke(request: HttpRequest, pk: int, body: RevocationIn) -> CertificateOut:
    """For good. The issuer's next revocation list says so."""
    found, operator = _revocable(request, pk)
    revocation.revoke(certificate=found, reason=body.reason, by=operator, at=timezone.now())
    return _certificate(found)


@router.post("/certificates/{pk}/hold", auth=Token("ca:issue"), response=CertificateOut)
def hold(request: HttpRequest, pk: int) -> CertificateOut:
    """Until it is released."""
    found, operator = _revocable(request, pk)
    revocation.hold(certificate=found, by=operator, at=timezone.now())
    return _certificate(found)


@router.post("/certificates/{pk}/release", auth=Token("ca:issue"), response=CertificateOut)
def release(request: HttpRequest, pk: int) -> CertificateOut:
    """Off hold: the next list leaves it out."""
    found, operator = _revocable(request, pk)
    revocation.release(certificate=found, by=operator, at=timezone.now())
    return _certificate(found)
