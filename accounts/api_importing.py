"""`/api/v1`: accounts out of a CSV file."""

import hashlib
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile

from accounts import importing, reading
from accounts.addresses import Reason
from accounts.api import READ, WRITE, _operator
from accounts.models import AccountImport, ImportOutcome
from accounts.sentences import say
from core.paging import page_of

router = Router(tags=["accounts"])


class ImportIn(Schema):
    dry_run: bool = Field(True, description="false: bring them in at once")
    make_domains: bool = False
    update_existing: bool = False


class ImportOut(Schema):
    id: int
    name: str
    state: str
    dry_run: bool
    sha256: str
    total: int
    done: int
    created: int
    updated: int
    unchanged: int
    refused: int
    asked_at: datetime


class RowOut(Schema):
    line: int
    address: str
    outcome: str
    codes: list[str]
    reasons: list[str]


class ImportWithRowsOut(ImportOut):
    items: list[RowOut]
    next: int | None = Field(description="give it as `after` for the next rows")


class RowsIn(Schema):
    after: str = ""
    outcome: str = ""
    limit: int = Field(100, ge=1, le=500)


@router.post("/imports", auth=WRITE, response={202: ImportOut})
def request_import(
    request: HttpRequest, file: File[UploadedFile], asked: Form[ImportIn]
) -> Status[AccountImport]:
    by = _operator(request, "accounts.domains")
    total = hashlib.sha256()
    batch = importing.request(
        rows=reading.read(file, total=total),
        total=total,
        name=file.name or "",
        choices=importing.Choices(asked.make_domains, asked.update_existing),
        dry_run=asked.dry_run,
        by=by,
        at=timezone.now(),
    )
    return Status(202, batch)


@router.get("/imports/{pk}", auth=READ, response=ImportWithRowsOut)
def get_import(request: HttpRequest, pk: int, asked: Query[RowsIn]) -> dict[str, Any]:
    _operator(request, "accounts.domains")
    batch = get_object_or_404(AccountImport, pk=pk)
    rows = ImportOutcome.objects.filter(batch=batch)
    if asked.outcome:
        rows = rows.filter(outcome=asked.outcome)
    page = page_of(rows, {"after": asked.after}, order="pk", size=asked.limit)
    return {
        **ImportOut.from_orm(batch).dict(),
        "items": [
            {
                "line": row.line,
                "address": row.address,
                "outcome": row.outcome,
                "codes": [code for code, _values in row.reasons],
                "reasons": [say(Reason(code, values)) for code, values in row.reasons],
            }
            for row in page
        ],
        "next": page.next,
    }
