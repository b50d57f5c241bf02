"""Calls about what is due and its renewal."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import SecretStr

from ca import ending, preparation, refused, renewal
from ca.api.common import operator_of
from ca.api.orders import OrderOut, order_out
from ca.models import Certificate
from ca.wording.renewal import due_reason
from core.api_auth import Token

router = Router()


class ReasonOut(Schema):
    code: str
    text: str


class DueOut(Schema):
    """`renewed_by`: the valid certificate that takes its place; `order`: the open one for it."""

    certificate: int
    names: list[str]
    issuer: int
    not_after: datetime
    days: int
    reasons: list[ReasonOut]
    renewed_by: int | None
    order: int | None


class DueAuthorityOut(Schema):
    authority: int
    name: str
    not_after: datetime
    days: int
    reasons: list[ReasonOut]


class DuePageOut(Schema):
    """`authorities` come with the first page; `next` is the `after` of the next one, or null."""

    authorities: list[DueAuthorityOut]
    items: list[DueOut]
    next: str | None


class RenewalIn(Schema):
    """`way` "same": without `csr` the old request is used again. `days` null: the old life. With a
    `passphrase` the signer makes the new key and hands it over once as `parcel_form`."""

    way: Literal["same", "new"] = "new"
    csr: str | None = None
    days: int | None = Field(None, ge=1)
    key_algorithm: str = ""
    parcel_form: str = ""
    passphrase: SecretStr = SecretStr("")


class SupersededOut(Schema):
    id: int
    state: str
    superseded_by: int


def _reasons(due: ending.Due | ending.DueAuthority) -> list[ReasonOut]:
    return [ReasonOut(code=code, text=due_reason(code, due.days)) for code in due.reasons]


def _key(body: RenewalIn) -> dict[str, str]:
    """How the signer is to make the key; nothing where it is not."""
    wished = {
        "key_algorithm": body.key_algorithm,
        "parcel_form": body.parcel_form,
        "passphrase": body.passphrase.get_secret_value(),
    }
    return {name: value for name, value in wished.items() if value}


@router.get("/certificates/due", auth=Token("ca:read"), response=DuePageOut)
def due(request: HttpRequest, after: str = "") -> DuePageOut:
    """What ends soon and why, the soonest first: valid certificates in the last third of their life
    (30 days at most), and authorities that want their owner."""
    now = timezone.now()
    page = ending.page_of({"after": after}, at=now)
    authorities = [] if after else ending.authorities(now)
    return DuePageOut(
        authorities=[
            DueAuthorityOut(
                authority=each.issuer.pk,
                name=each.issuer.name,
                not_after=each.issuer.certificate.not_after,
                days=each.days,
                reasons=_reasons(each),
            )
            for each in authorities
            if each.issuer.certificate is not None
        ],
        items=[
            DueOut(
                certificate=each.certificate.pk,
                names=each.certificate.names,
                issuer=each.certificate.issuer_id,
                not_after=each.certificate.not_after,
                days=each.days,
                reasons=_reasons(each),
                renewed_by=each.replacement.pk if each.replacement else None,
                order=each.order.pk if each.order else None,
            )
            for each in page
        ],
        next=page.next,
    )


@router.post("/certificates/{pk}/renew", auth=Token("ca:issue"), response={202: OrderOut})
def renew(request: HttpRequest, pk: int, body: RenewalIn) -> Status[OrderOut]:
    """Ask for the next certificate: names, profile and issuer are the old one's."""
    found = get_object_or_404(Certificate, pk=pk)
    operator = operator_of(request, preparation.permission(found.profile))
    now = timezone.now()
    with refused.noted(by=operator, at=now):
        order = renewal.request(
            certificate=found,
            way=body.way,
            csr_pem=preparation.read_csr(body.csr).pem if body.csr else None,
            days=body.days,
            by=operator,
            at=now,
            **_key(body),
        )
    return Status(202, order_out(order))


@router.post("/certificates/{pk}/supersede", auth=Token("ca:issue"), response=SupersededOut)
def supersede(request: HttpRequest, pk: int) -> SupersededOut:
    """The certificate `pk` is in use: the one that it renews is superseded, and given back."""
    operator = operator_of(request, "ca.issue")
    found = get_object_or_404(Certificate.objects.select_related("renews"), pk=pk)
    old = renewal.supersede(certificate=found, by=operator, at=timezone.now())
    return SupersededOut(id=old.pk, state=old.state, superseded_by=found.pk)
