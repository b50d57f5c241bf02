"""Calls about batches, and about many certificates at once."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from ca import bulk, preparation, profiles, refused, revocation, selection, wording
from ca.api.common import operator_of
from ca.models import Batch, Issuer
from ca.pages.batch import download_of
from core.api_auth import Token

router = Router()


class BatchIn(Schema):
    """`csrs` has a request each, or `pem` all of them one behind the other. `days` None: the
    profile's life."""

    issuer: int
    csrs: list[str] = Field(default_factory=list)
    pem: str = ""
    days: int | None = None
    profile: str = profiles.HOST.id


class RefusedOut(Schema):
    """`index` counts from 0, in the order the requests were handed in."""

    index: int
    code: str
    reason: str


class BatchOut(Schema):
    id: int
    state: str
    total: int
    done: int
    signed: int
    refused: list[RefusedOut]
    days: int
    profile: str
    issuer: int
    reason_code: str
    reason: str
    requested_at: datetime


class SelectionIn(Schema):
    certificates: list[int] = Field(description=f"at most {selection.MOST} ids")


class RevokeSelectionIn(SelectionIn):
    reason: str = Field("unspecified", description=", ".join(revocation.REASONS))


class SelectionOut(Schema):
    """`left_out` were not in a state for it, or are not there."""

    changed: int
    left_out: int


def _batch(batch: Batch) -> BatchOut:
    left_out = [
        RefusedOut(
            index=each["index"],
            code=each["code"],
            reason=wording.sentence(each["code"], each["detail"]),
        )
        for each in batch.refused
    ]
    return BatchOut(
        id=batch.pk,
        state=batch.state,
        total=batch.total,
        done=batch.done,
        signed=batch.signed,
        refused=left_out,
        days=batch.days,
        profile=batch.profile,
        issuer=batch.issuer_id,
        reason_code=batch.reason_code,
        reason=batch.reason,
        requested_at=batch.requested_at,
    )


@router.post("/certificates/batches", auth=Token("ca:issue"), response={202: BatchOut})
def create_batch(request: HttpRequest, body: BatchIn) -> Status[BatchOut]:
    """Ask for many certificates. They are signed some thousand a second: look at the batch."""
    operator = operator_of(request, preparation.permission(body.profile))
    issuer, now = get_object_or_404(Issuer, pk=body.issuer), timezone.now()
    with refused.noted(by=operator, at=now):
        batch = bulk.request(
            profile=body.profile,
            issuer=issuer,
            csrs=body.csrs or bulk.split(body.pem),
            days=body.days,
            by=operator,
            at=now,
        )
    return Status(202, _batch(batch))


@router.get("/certificates/batches/{pk}", auth=Token("ca:read"), response=BatchOut)
def batch(request: HttpRequest, pk: int) -> BatchOut:
    return _batch(get_object_or_404(Batch, pk=pk))


@router.get("/certificates/batches/{pk}/download/{form}", auth=Token("ca:read"))
def download(request: HttpRequest, pk: int, form: str) -> HttpResponseBase:
    """All its certificates: `pem` in the order of the requests, or `zip`."""
    return download_of(get_object_or_404(Batch, pk=pk), form)


@router.post("/certificates/revoke", auth=Token("ca:issue"), response=SelectionOut)
def revoke_many(request: HttpRequest, body: RevokeSelectionIn) -> SelectionOut:
    """For good. One event in the audit log names them all."""
    done = selection.revoke(
        certificates=body.certificates,
        reason=body.reason,
        by=operator_of(request, "ca.issue"),
        at=timezone.now(),
    )
    return SelectionOut(changed=done.changed, left_out=done.left_out)


@router.post("/certificates/hold", auth=Token("ca:issue"), response=SelectionOut)
def hold_many(request: HttpRequest, body: SelectionIn) -> SelectionOut:
    """Until they are released."""
    operator = operator_of(request, "ca.issue")
    done = selection.hold(certificates=body.certificates, by=operator, at=timezone.now())
    return SelectionOut(changed=done.changed, left_out=done.left_out)


@router.post("/certificates/release", auth=Token("ca:issue"), response=SelectionOut)
def release_many(request: HttpRequest, body: SelectionIn) -> SelectionOut:
    """Off hold."""
    operator = operator_of(request, "ca.issue")
    done = selection.release(certificates=body.certificates, by=operator, at=timezone.now())
    return SelectionOut(changed=done.changed, left_out=done.left_out)
