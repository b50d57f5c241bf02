"""`/api/v1`: flags."""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema
from pydantic import AwareDatetime

from accounts import flag_words, flags, policy
from accounts.api import MOST, READ, WRITE, _operator
from accounts.models import Flag, FlagKind
from core import outgoing
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
    suspends_at: datetime | None = Field(description="when the policy suspends for it")

    @staticmethod
    def resolve_sentence(flag: Flag) -> str:
        return flag_words.evidence(flag)


class FlagsOut(Schema):
    items: list[FlagOut]
    next: str | None = Field(description="give it as `after` for the next page")


class ExemptIn(Schema):
    reason: str = Field(max_length=500)
    until: AwareDatetime | None = Field(None, description="null: as long as it stands")


class PolicyIn(Schema):
    on: bool
    kinds: list[str] = Field(description="of: " + ", ".join(policy.KINDS))
    notice_days: int = Field(description="between the announcement and the suspension")
    revision: int = Field(description="the one that was read; 0 if nobody ever set it")


class PolicyOut(PolicyIn):
    changed_at: datetime | None
    changed_by: str
    concerned: dict[str, int] = Field(description="how many accounts each kind concerns now")
    announced: int = Field(description="accounts that will be suspended")
    tells_by_mail: bool = Field(description="false: no mail server is set, nobody gets a mail")


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


@router.get("/flags/policy", auth=READ, response=PolicyOut)
def get_policy(request: HttpRequest) -> dict[str, Any]:
    """What flagged accounts are suspended for by themselves, after a notice."""
    return _policy(_operator(request, "accounts.view"))


@router.put("/flags/policy", auth=WRITE, response=PolicyOut)
def set_policy(request: HttpRequest, body: PolicyIn) -> dict[str, Any]:
    by = _operator(request, "accounts.domains")
    policy.set_policy(**body.dict(), by=by, at=timezone.now())
    return _policy(by)


def _policy(by: Operator) -> dict[str, Any]:
    now = policy.current()
    told = policy.announced().visible_to(by).values("mailbox").distinct()
    return {
        **{name: getattr(now, name) for name in PolicyIn.model_fields},
        "changed_at": now.changed_at,
        "changed_by": now.changed_by.get_username() if now.changed_by else "",
        "concerned": policy.numbers(by=by, at=timezone.now()),
        "announced": told.count(),
        "tells_by_mail": outgoing.is_configured(),
    }


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
