"""`/api/v1`: the end of a mailbox's life."""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema
from pydantic import AwareDatetime

from accounts import closing, expiry
from accounts.api import WRITE, MailboxOut, _mailbox, _operator
from accounts.models import Mailbox

router = Router(tags=["accounts"])


class CloseIn(Schema):
    days: int = Field(closing.KEPT_DAYS, description="for how long its mail is kept")
    reason: str = Field("", max_length=500)


class EraseIn(Schema):
    typed: str = Field(description="the address once more")
    early: bool = Field(False, description="although its mail is to be kept longer")


class ExpiryIn(Schema):
    expires_at: AwareDatetime | None = Field(description="null: it stays for good")
    name_reason: str = Field("", max_length=500)


@router.post("/mailboxes/{address}/close", auth=WRITE, response=MailboxOut)
def close_mailbox(request: HttpRequest, address: str, body: CloseIn) -> Mailbox:
    by = _operator(request, "accounts.manage")
    return closing.close(mailbox=_mailbox(address, by), **body.dict(), by=by, at=timezone.now())


@router.post("/mailboxes/{address}/reopen", auth=WRITE, response=MailboxOut)
def reopen_mailbox(request: HttpRequest, address: str) -> Mailbox:
    by = _operator(request, "accounts.manage")
    return closing.reopen(mailbox=_mailbox(address, by), by=by, at=timezone.now())


@router.post("/mailboxes/{address}/erase", auth=WRITE, response=MailboxOut)
def erase_mailbox(request: HttpRequest, address: str, body: EraseIn) -> Mailbox:
    by = _operator(request, "accounts.manage")
    return closing.erase(mailbox=_mailbox(address, by), **body.dict(), by=by, at=timezone.now())


@router.post("/mailboxes/{address}/expiry", auth=WRITE, response=MailboxOut)
def set_mailbox_expiry(request: HttpRequest, address: str, body: ExpiryIn) -> Mailbox:
    by = _operator(request, "accounts.manage")
    return expiry.set_end(mailbox=_mailbox(address, by), **body.dict(), by=by, at=timezone.now())
