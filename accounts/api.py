"""`/api/v1`: domains and mailboxes.

Lists page by key: `?after=<next of the answer before>`. A password goes in by the body alone and
never comes out. Refusals are problem details with the same sentences as in the pages.
"""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from ninja import Field, Query, Router, Schema, Status
from pydantic import AwareDatetime

from accounts import addresses, domains, invitations, lifecycle
from accounts.models import Domain, Mailbox, MailboxState
from accounts.refusals import PasswordAndInvitation
from core import roles
from core.access import NotAllowed
from core.api_auth import Token
from core.models import Operator
from core.paging import page_of

router = Router(tags=["accounts"])
READ = Token("accounts:read")
WRITE = Token("accounts:write")
MOST = 500


class DomainOut(Schema):
    name: str
    unicode_name: str
    host: str = Field(description="the host's uuid; empty until the domain is on one")
    note: str
    created_at: datetime


class DomainIn(Schema):
    name: str
    note: str = Field("", max_length=500)


class DomainsOut(Schema):
    items: list[DomainOut]
    next: str | None = Field(description="give it as `after` for the next page")


class MailboxOut(Schema):
    address: str
    unicode_address: str
    display_name: str
    owner_contact: str
    note: str
    quota_mb: int | None
    state: str
    state_since: datetime
    state_reason: str
    refuses_mail: bool
    expires_at: datetime | None = Field(description="a temporary one is suspended then")
    kept_until: datetime | None = Field(description="a closing one's mail is kept until then")
    last_used_at: datetime | None = Field(description="by IMAP, POP3 or SMTP, as far as known")
    has_password: bool = Field(description="false: nobody set one yet")
    used_bytes: int | None = Field(description="what its mail takes; null: the host has not told")
    used_at: datetime | None = Field(description="since when it takes that")
    password_set_at: datetime
    created_at: datetime
    revision: int


class MailboxesOut(Schema):
    items: list[MailboxOut]
    next: str | None = Field(description="give it as `after` for the next page")


class MailboxIn(Schema):
    address: str
    password: str | None = Field(None, description="or `invite`")
    invite: bool = Field(False, description="the owner sets the password, by a link")
    display_name: str = Field("", max_length=200)
    owner_contact: str = Field("", max_length=200)
    note: str = Field("", max_length=1000)
    quota_mb: int | None = Field(None, description="null: what the domain gives")
    expires_at: AwareDatetime | None = Field(None, description="a temporary one; needs an owner")
    reuse_reason: str = Field(
        "", max_length=500, description="why an erased account's address is handed on this soon"
    )
    name_reason: str = Field(
        "", max_length=500, description="why an account is needed whose name looks like a test"
    )


class InvitationOut(Schema):
    url: str = Field(description="who has it can set the password: it is not shown again")
    expires_at: datetime


class MailboxMadeOut(MailboxOut):
    invitation: InvitationOut | None


class SuspendIn(Schema):
    reason: str = Field("", max_length=500)
    refuses_mail: bool = False


class PasswordIn(Schema):
    password: str


class ListIn(Schema):
    after: str = ""
    limit: int = Field(100, ge=1, le=MOST)


class MailboxListIn(ListIn):
    q: str = Field("", max_length=200)
    domain: str = ""
    state: MailboxState | None = None


@router.get("/domains", auth=READ, response=DomainsOut)
def list_domains(request: HttpRequest, asked: Query[ListIn]) -> dict[str, Any]:
    by = _operator(request, "accounts.view")
    rows = Domain.objects.visible_to(by)
    page = page_of(rows, {"after": asked.after}, order="name", size=asked.limit)
    return {"items": page.rows, "next": page.next}


@router.post("/domains", auth=WRITE, response={201: DomainOut})
def create_domain(request: HttpRequest, body: DomainIn) -> Status[Domain]:
    by = _operator(request, "accounts.domains")
    return Status(201, domains.create(name=body.name, note=body.note, by=by, at=timezone.now()))


@router.get("/mailboxes", auth=READ, response=MailboxesOut)
def list_mailboxes(request: HttpRequest, asked: Query[MailboxListIn]) -> dict[str, Any]:
    by = _operator(request, "accounts.view")
    rows = Mailbox.objects.visible_to(by)
    rows = rows.in_state(asked.state) if asked.state else rows.present()
    if asked.q:
        rows = rows.search(asked.q)
    if asked.domain:
        rows = rows.filter(domain=_domain(asked.domain, by))
    page = page_of(rows, {"after": asked.after}, order="address", size=asked.limit)
    return {"items": page.rows, "next": page.next}


@router.post("/mailboxes", auth=WRITE, response={201: MailboxMadeOut})
@sensitive_variables("body", "secret")
def create_mailbox(request: HttpRequest, body: MailboxIn) -> Status[dict[str, Any]]:
    """With a password, or with an invitation, whose link is in this answer alone."""
    by = _operator(request, "accounts.manage")
    local, _at, domain = body.address.strip().rpartition("@")
    given: dict[str, Any] = {
        **body.dict(exclude={"address", "password", "invite"}),
        "domain": _domain(domain, by),
        "local_part": local,
        "by": by,
        "at": timezone.now(),
    }
    link = None
    if body.invite:
        if body.password is not None:
            raise PasswordAndInvitation
        made, invitation, secret = invitations.create(**given)
        path = reverse("accounts:invitation", args=[secret])
        link = {"url": request.build_absolute_uri(path), "expires_at": invitation.expires_at}
    else:
        made = lifecycle.create(password=body.password or "", **given)
    return Status(201, {**MailboxOut.from_orm(made).dict(), "invitation": link})


@router.get("/mailboxes/{address}", auth=READ, response=MailboxOut)
def get_mailbox(request: HttpRequest, address: str) -> Mailbox:
    by = _operator(request, "accounts.view")
    return _mailbox(address, by)


@router.post("/mailboxes/{address}/suspend", auth=WRITE, response=MailboxOut)
def suspend_mailbox(request: HttpRequest, address: str, body: SuspendIn) -> Mailbox:
    by = _operator(request, "accounts.help")
    return lifecycle.suspend(mailbox=_mailbox(address, by), **body.dict(), by=by, at=timezone.now())


@router.post("/mailboxes/{address}/resume", auth=WRITE, response=MailboxOut)
def resume_mailbox(request: HttpRequest, address: str) -> Mailbox:
    by = _operator(request, "accounts.manage")
    return lifecycle.resume(mailbox=_mailbox(address, by), by=by, at=timezone.now())


@router.post("/mailboxes/{address}/password", auth=WRITE, response=MailboxOut)
def set_mailbox_password(request: HttpRequest, address: str, body: PasswordIn) -> Mailbox:
    by = _operator(request, "accounts.help")
    return lifecycle.set_password(
        mailbox=_mailbox(address, by), password=body.password, by=by, at=timezone.now()
    )


def _operator(request: HttpRequest, permission: str) -> Operator:
    """The token's maker, who must have the permission himself."""
    operator: Operator = request.auth  # type: ignore[attr-defined]
    if not roles.may(operator, permission):
        raise NotAllowed(permission)
    return operator


def _domain(name: str, by: Operator) -> Domain:
    """One that exists for `by`; else 404, as for `_mailbox`."""
    try:
        return Domain.objects.visible_to(by).get(name=addresses.domain_name(name))
    except (addresses.NotAnAddress, Domain.DoesNotExist):
        raise Http404 from None


def _mailbox(address: str, by: Operator) -> Mailbox:
    try:
        found = str(addresses.parse(address))
    except addresses.NotAnAddress:
        raise Http404 from None
    try:
        return Mailbox.objects.visible_to(by).get(address=found)
    except Mailbox.DoesNotExist:
        raise Http404 from None
