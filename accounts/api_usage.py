"""`/api/v1`: when a mailbox was last used."""

from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Router, Schema

from accounts import usage
from accounts.api import READ, _mailbox, _operator

router = Router(tags=["accounts"])


class UseOut(Schema):
    protocol: str = Field(description="imap, pop3 or smtp")
    at: datetime | None = Field(description="the last login; null: none is known")
    since: datetime | None = Field(description="nothing is known from before; null: nobody looks")
    through: datetime | None = Field(description="until when the host has told")


@router.get("/mailboxes/{address}/uses", auth=READ, response=list[UseOut])
def list_uses(request: HttpRequest, address: str) -> list[usage.Shown]:
    by = _operator(request, "accounts.view")
    return usage.shown(_mailbox(address, by))
