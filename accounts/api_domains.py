"""`/api/v1/domains/{name}`: one domain, and what it allows."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from accounts import domains
from accounts.api import READ, WRITE, DomainOut, _domain, _operator
from accounts.models import Domain

router = Router(tags=["accounts"])


class DomainDetailOut(DomainOut):
    mailboxes: int = Field(description="those that are not erased")
    aliases: int
    most_mailboxes: int | None = Field(description="null: no limit")
    quota_mb: int | None = Field(description="what a new mailbox gets")
    most_quota_mb: int | None = Field(description="null: no limit")
    password_rule: str
    least_length: int = Field(description="counts where password_rule is own")
    least_score: int = Field(description="counts where password_rule is own")
    revision: int


class DomainPatch(Schema):
    """What is left out stays as it is; `revision` is the one that was read."""

    revision: int
    note: str = Field("", max_length=500)
    most_mailboxes: int | None = None
    quota_mb: int | None = None
    most_quota_mb: int | None = None
    password_rule: str = ""
    least_length: int = 0
    least_score: int = 0


@router.get("/domains/{name}", auth=READ, response=DomainDetailOut)
def get_domain(request: HttpRequest, name: str) -> Domain:
    by = _operator(request, "accounts.view")
    return _detail(_domain(name, by))


@router.patch("/domains/{name}", auth=WRITE, response=DomainDetailOut)
def edit_domain(request: HttpRequest, name: str, body: DomainPatch) -> Domain:
    by = _operator(request, "accounts.domains")
    domain = _domain(name, by)
    given: dict[str, Any] = {field: getattr(domain, field) for field in DomainPatch.model_fields}
    given |= body.dict(exclude_unset=True)
    return _detail(domains.edit(domain=domain, **given, by=by, at=timezone.now()))


def _detail(domain: Domain) -> Domain:
    return Domain.objects.with_counts().get(pk=domain.pk)
