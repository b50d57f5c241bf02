"""Calls about certificates."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from ca import export, issuance, lists, revocation
from ca.api.common import operator_of
from ca.models import Certificate
from ca.pages.certificate import download_of
from core.api_auth import Token
from core.models import Operator

router = Router()
MOST_AT_ONCE = 200


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


class FilterIn(Schema):
    """The filters of the list. What the console made for itself is only there with `profile`."""

    q: str = Field("", max_length=200, description="words, or the beginning of a number")
    state: Literal["", "valid", "ending", "held", "superseded", "revoked", "expired"] = ""
    days: int | None = Field(None, ge=0, le=36_525, description='for "ending": within these')
    issuer: int | None = None
    profile: str = ""
    since: date | None = Field(None, description="first day (UTC) of the end")
    until: date | None = Field(None, description="last day (UTC) of the end")
    batch: int | None = None
    order: Literal["", "latest", "newest"] = ""


class CertificatesOut(Schema):
    """`next` is the `after` of the next page, or null."""

    items: list[CertificateOut]
    next: str | None


class RevocationIn(Schema):
    reason: str = Field("unspecified", description=", ".join(revocation.REASONS))


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


@router.get("/certificates", auth=Token("ca:read"), response=CertificatesOut)
def certificates(
    request: HttpRequest,
    asked: Query[FilterIn],
    after: str = "",
    limit: int = 50,
) -> CertificatesOut:
    """Certificates by their end, soonest first, unless `order` says otherwise."""
    size = max(1, min(limit, MOST_AT_ONCE))
    found = lists.Asked(**asked.dict(exclude_none=True))
    page = lists.page_of(found, {"after": after}, at=timezone.now(), size=size)
    return CertificatesOut(items=[_certificate(each) for each in page], next=page.next)


@router.get("/certificates/{pk}", auth=Token("ca:read"), response=CertificateOut)
def certificate(request: HttpRequest, pk: int) -> CertificateOut:
    return _certificate(get_object_or_404(Certificate, pk=pk))


@router.get("/certificates/{pk}/download/{form}", auth=Token("ca:read"))
def download(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    """`form` is pem, chain, fullchain, root, der, text, p7b, p7b-pem, p12, p12-compatible or
    mobileconfig. Both p12 are trust stores under the passphrase "changeit"; they hold no key."""
    found = get_object_or_404(Certificate, pk=pk)
    if form not in export.FORMS:
        raise issuance.IssuanceRefused("form_unknown", value=form, forms=", ".join(export.FORMS))
    return download_of(found, form)


def _revocable(request: HttpRequest, pk: int) -> tuple[Certificate, Operator]:
    found = get_object_or_404(Certificate.objects.select_related("issuer"), pk=pk)
    return found, operator_of(request, revocation.permission(found))


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
