"""`/api/v1/aliases`: list, make, read, edit and delete."""

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status
from pydantic import AwareDatetime

from accounts import addresses, aliases
from accounts.api import READ, WRITE, ListIn, _domain, _operator
from accounts.models import Alias
from core.models import Operator
from core.paging import page_of

router = Router(tags=["accounts"])


class AliasOut(Schema):
    address: str
    unicode_address: str
    targets: list[str]
    note: str
    expires_at: datetime | None = Field(description="it deletes itself then")
    created_at: datetime
    revision: int


class AliasesOut(Schema):
    items: list[AliasOut]
    next: str | None = Field(description="give it as `after` for the next page")


class AliasIn(Schema):
    address: str = Field(description="`*@example.test` takes whatever else is sent to the domain")
    targets: list[str]
    note: str = Field("", max_length=1000)
    expires_at: AwareDatetime | None = Field(None, description="it deletes itself then")


class AliasPatch(Schema):
    """What is left out stays as it is; `revision` is the one that was read."""

    revision: int
    targets: list[str] = []
    note: str = Field("", max_length=1000)
    expires_at: AwareDatetime | None = None


class AliasListIn(ListIn):
    q: str = Field("", max_length=200)
    domain: str = ""


@router.get("/aliases", auth=READ, response=AliasesOut)
def list_aliases(request: HttpRequest, asked: Query[AliasListIn]) -> dict[str, Any]:
    by = _operator(request, "accounts.view")
    rows = Alias.objects.visible_to(by)
    if asked.q:
        word = addresses.search_form(asked.q)
        rows = rows.filter(Q(address__contains=word) | Q(targets__icontains=word))
    if asked.domain:
        rows = rows.filter(domain=_domain(asked.domain, by))
    page = page_of(rows, {"after": asked.after}, order="address", size=asked.limit)
    return {"items": page.rows, "next": page.next}


@router.post("/aliases", auth=WRITE, response={201: AliasOut})
def create_alias(request: HttpRequest, body: AliasIn) -> Status[Alias]:
    by = _operator(request, "accounts.manage")
    local, _at, domain = body.address.strip().rpartition("@")
    given = body.dict(exclude={"address"})
    made = aliases.create(
        domain=_domain(domain, by), local_part=local, **given, by=by, at=timezone.now()
    )
    return Status(201, made)


@router.get("/aliases/{address}", auth=READ, response=AliasOut)
def get_alias(request: HttpRequest, address: str) -> Alias:
    by = _operator(request, "accounts.view")
    return _alias(address, by)


@router.patch("/aliases/{address}", auth=WRITE, response=AliasOut)
def edit_alias(request: HttpRequest, address: str, body: AliasPatch) -> Alias:
    by = _operator(request, "accounts.manage")
    alias = _alias(address, by)
    given: dict[str, Any] = {name: getattr(alias, name) for name in AliasPatch.model_fields}
    given |= body.dict(exclude_unset=True)
    return aliases.edit(alias=alias, **given, by=by, at=timezone.now())


@router.delete("/aliases/{address}", auth=WRITE, response={204: None})
def delete_alias(request: HttpRequest, address: str) -> Status[None]:
    by = _operator(request, "accounts.manage")
    aliases.delete(alias=_alias(address, by), by=by, at=timezone.now())
    return Status(204, None)


def _alias(address: str, by: Operator) -> Alias:
    try:
        wanted = addresses.alias_address(address)
    except addresses.NotAnAddress:
        raise Http404 from None
    found = Alias.objects.visible_to(by).filter(address=wanted).first()
    if found is None:
        raise Http404
    return found
