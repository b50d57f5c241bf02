"""`/api/v1`: flags."""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from accounts import flag_words, flags
from accounts.api import MOST, READ, WRITE, _operator
from accounts.models import Flag, FlagKind
from core.models import Operator
from core.paging import page_of

router = Router(tags=["accounts"])


class FlagOut(Schema):
    id: int
    address: str = Field(alias="mailbox.address")
    kind: str
    since: datetime
    found_at: datetime
    evidence: dict[str, Any] = Field(description="codes, dates and numbers")
    sentence: str
    sure: str = Field(description='"certain", or "since": nothing is known from before a day')
    risk: int = Field(description="1 low, 2 middle, 3 high")
    exempt_at: datetime | None
    exempt_until: datetime | None = Field(description="null with exempt_at: for good")
    exempt_reason: str

    @staticmethod
    def resolve_sentence(flag: Flag) -> str:
        return flag_words.evidence(flag)


class FlagsOut(Schema):
    items: list[FlagOut]
    next: str | None = Field(description="give it as `after` for the next page")


class ExemptIn(Schema):
    reason: str = Field(max_length=500)
    until: datetime | None = Field(None, description="null: as long as it stands")


@router.get("/flags", auth=READ, response=FlagsOut)
def list_flags(
    request: HttpRequest,
    kind: str = "",
    exempt: bool = False,
    after: str = "",
    limit: int = Query(50, ge=1, le=MOST),
) -> dict[str, Any]:
    """Those that count; with `exempt` those that were set aside."""
    by = _operator(request, "accounts.view")
    rows = flags.listed(timezone.now(), set_aside=exempt).visible_to(by).select_related("mailbox")
    if kind:
        rows = rows.filter(kind=kind) if kind in FlagKind.values else rows.none()
    page = page_of(rows, {"after": after}, order="pk", size=limit)
    return {"items": page.rows, "next": None if page.next is None else str(page.next)}


@router.post("/flags/{pk}/exempt", auth=WRITE, response=FlagOut)
def exempt_flag(request: HttpRequest, pk: int, body: ExemptIn) -> Flag:
    by = _operator(request, "accounts.manage")
    return flags.exempt(flag=_flag(pk, by), **body.dict(), by=by, at=timezone.now())


@router.delete("/flags/{pk}/exempt", auth=WRITE, response=FlagOut)
def unexempt_flag(request: HttpRequest, pk: int) -> Flag:
    """It counts again."""
    by = _operator(request, "accounts.manage")
    return flags.unexempt(flag=_flag(pk, by), by=by, at=timezone.now())


def _flag(pk: int, by: Operator) -> Flag:
    rows = Flag.objects.visible_to(by).select_related("mailbox")
    found = rows.filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    return found
