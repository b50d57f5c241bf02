"""`/api/v1`: app passwords of a mailbox. A secret is in the answer that makes it, nowhere else."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import AwareDatetime

from accounts import app_passwords
from accounts.api import READ, WRITE, _mailbox, _operator
from accounts.models import AppPassword

router = Router(tags=["accounts"])


class AppPasswordOut(Schema):
    pk: int
    name: str
    selector: str = Field(description="its first eight characters, which are no secret")
    imap: bool
    pop3: bool
    sending: bool
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="as far as its host has told")


class AppPasswordsOut(Schema):
    items: list[AppPasswordOut]


class AppPasswordIn(Schema):
    name: str = Field(max_length=80, description="which program it is for")
    imap: bool = False
    pop3: bool = False
    sending: bool = False
    expires_at: AwareDatetime | None = Field(None, description="null: it works until it is revoked")


class AppPasswordMadeOut(AppPasswordOut):
    secret: str = Field(description="told this once")


@router.get("/mailboxes/{address}/app-passwords", auth=READ, response=AppPasswordsOut)
def list_app_passwords(request: HttpRequest, address: str) -> dict[str, Any]:
    """The revoked ones as well."""
    by = _operator(request, "accounts.view")
    return {"items": list(_mailbox(address, by).app_passwords.all())}


@router.post("/mailboxes/{address}/app-passwords", auth=WRITE, response={201: AppPasswordMadeOut})
def create_app_password(
    request: HttpRequest, address: str, body: AppPasswordIn
) -> Status[dict[str, Any]]:
    by = _operator(request, "accounts.help")
    made, secret = app_passwords.create(
        mailbox=_mailbox(address, by), **body.dict(), by=by, at=timezone.now()
    )
    return Status(201, {**AppPasswordOut.from_orm(made).dict(), "secret": secret})


@router.delete("/mailboxes/{address}/app-passwords/{pk}", auth=WRITE, response=AppPasswordOut)
def revoke_app_password(request: HttpRequest, address: str, pk: int) -> AppPassword:
    by = _operator(request, "accounts.help")
    found = get_object_or_404(_mailbox(address, by).app_passwords.select_related("mailbox"), pk=pk)
    return app_passwords.revoke(app_password=found, by=by, at=timezone.now())
