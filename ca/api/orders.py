"""Calls about orders."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from ca import issuance, preparation, profiles
from ca.api.common import operator_of
from ca.models import Issuer, Order
from core.api_auth import Token

router = Router()


class OrderIn(Schema):
    """Without `names` the request's own are taken; `days` defaults to 90."""

    issuer: int
    csr: str
    names: list[str] = Field(default_factory=list)
    days: int | None = None
    profile: str = profiles.HOST.id


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


@router.post("/certificates/orders", auth=Token("ca:issue"), response={202: OrderOut})
def create_order(request: HttpRequest, body: OrderIn) -> Status[OrderOut]:
    """Ask for a certificate for a request. It is signed within a second: look at the order."""
    operator = operator_of(request, "ca.issue")
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
