"""Calls about orders, and the one download of a key that the signer made."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import SecretStr

from ca import issuance, packing, parcels, preparation, profiles, refused
from ca.api.common import operator_of
from ca.models import Issuer, Order, Parcel
from core.api_auth import Token

router = Router()


class SubjectIn(Schema):
    """`common_name` only where the profile has one of its own, as a person's has."""

    common_name: str = ""
    organisation: str = ""
    country: str = ""


class OrderIn(Schema):
    """With `csr` the key was made elsewhere; without `names` the request's own are taken.

    With way "signer" the signer makes a key (`key_algorithm`) and puts it under `passphrase` in
    the form `parcel_form`: p12, p12-compatible or pkcs8. `days` defaults to the profile's life.
    """

    issuer: int
    way: str | None = None
    csr: str | None = None
    names: list[str] = Field(default_factory=list)
    subject: SubjectIn = Field(default_factory=SubjectIn)
    days: int | None = None
    profile: str = profiles.HOST.id
    key_algorithm: str = ""
    parcel_form: str = ""
    passphrase: SecretStr = SecretStr("")


class ParcelOut(Schema):
    """`state`: waiting, downloaded, or erased because nobody fetched it in time."""

    form: str
    state: str
    keep_until: datetime
    downloaded_at: datetime | None


class OrderOut(Schema):
    id: int
    state: str
    way: str
    names: list[str]
    subject: dict[str, str]
    days: int
    profile: str
    issuer: int
    renews: int | None
    certificate: int | None
    parcel: ParcelOut | None
    reason_code: str
    reason: str
    requested_at: datetime


def _parcel(order: Order, at: datetime) -> ParcelOut | None:
    found = Parcel.objects.filter(order=order).first()
    if found is None:
        return None
    gone = found.erased_at is not None or found.keep_until <= at
    return ParcelOut(
        form=found.form,
        state="downloaded" if found.downloaded_at else "erased" if gone else "waiting",
        keep_until=found.keep_until,
        downloaded_at=found.downloaded_at,
    )


def order_out(order: Order) -> OrderOut:
    return OrderOut(
        id=order.pk,
        state=order.state,
        way=order.way,
        names=order.names,
        subject=order.subject,
        days=order.days,
        profile=order.profile,
        issuer=order.issuer_id,
        renews=order.renews_id,
        certificate=order.certificate_id,
        parcel=_parcel(order, timezone.now()),
        reason_code=order.reason_code,
        reason=order.reason,
        requested_at=order.requested_at,
    )


@router.post("/certificates/orders", auth=Token("ca:issue"), response={202: OrderOut})
def create_order(request: HttpRequest, body: OrderIn) -> Status[OrderOut]:
    """Ask for a certificate. It is signed within a second: look at the order."""
    operator = operator_of(request, preparation.permission(body.profile))
    with refused.noted(by=operator, at=timezone.now()):
        asked = preparation.read_csr(body.csr) if body.csr is not None else None
        subject = {
            "CN": body.subject.common_name,
            "O": body.subject.organisation,
            "C": body.subject.country,
        }
        order = issuance.request(
            profile=body.profile,
            names=body.names or [name.value for name in (asked.names if asked else ())],
            issuer=get_object_or_404(Issuer, pk=body.issuer),
            csr_pem=asked.pem if asked else None,
            days=body.days,
            subject=subject,
            # Without either the caller forgot the request: a host's order is made on its page.
            way=body.way or (None if _of_a_parcel(body) else Order.ELSEWHERE),
            key_algorithm=body.key_algorithm,
            parcel_form=body.parcel_form,
            passphrase=body.passphrase.get_secret_value(),
            by=operator,
            at=timezone.now(),
        )
    return Status(202, order_out(order))


def _of_a_parcel(body: OrderIn) -> bool:
    return bool(body.key_algorithm or body.parcel_form or body.passphrase.get_secret_value())


@router.get("/certificates/orders/{pk}", auth=Token("ca:read"), response=OrderOut)
def order(request: HttpRequest, pk: int) -> OrderOut:
    operator_of(request, "ca.view")
    return order_out(get_object_or_404(Order, pk=pk))


@router.post("/certificates/orders/{pk}/cancel", auth=Token("ca:issue"), response=OrderOut)
def cancel_order(request: HttpRequest, pk: int) -> OrderOut:
    """End an order that nobody has fulfilled; a passphrase in it is erased."""
    operator = operator_of(request, "ca.issue")
    found = issuance.refuse(
        order=get_object_or_404(Order, pk=pk),
        code="cancelled",
        detail={"who": operator.get_username()},
        by=operator,
        at=timezone.now(),
    )
    return order_out(found)


@router.post("/certificates/orders/{pk}/parcel", auth=Token("ca:issue"))
def take_parcel(request: HttpRequest, pk: int) -> HttpResponse:
    """The key with its certificate, once: it is erased in the same moment. 410 afterwards."""
    operator = operator_of(request, "ca.issue")
    found = get_object_or_404(Order, pk=pk)
    content = parcels.take(order=found, by=operator, at=timezone.now())
    response = HttpResponse(content, content_type=packing.FORMS[found.parcel_form].kind)
    name = parcels.file_name(found)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
