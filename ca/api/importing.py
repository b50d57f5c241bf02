"""Calls that take over an authority made by hand.

    curl -F name="Old Root" -F certificate=@myrootca.crt -F key=@myrootca.key \\
         -F passphrase=… -F serial=@serial -F issued=@certs.tar.gz …/authorities/import
"""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from ninja import File, Form, Router, Schema, UploadedFile

from ca import importing, wording
from ca.api.common import operator_of
from ca.imported_rows import certificate_ids
from ca.models import Ceremony, Imported
from core import paging
from core.api_auth import Token

router = Router()
PAGE = 200


class ImportOut(Schema):
    id: int
    state: str
    name: str
    reason: str
    authority: int | None
    notes: list[str]
    counts: dict[str, int]
    requested_at: datetime


class LineOut(Schema):
    position: int
    file: str
    verdict: str
    why: list[str]
    serial: str
    subject: str
    not_after: datetime | None
    revoked_at: datetime | None
    certificate: int | None


class LinesOut(Schema):
    items: list[LineOut]
    next: int | None


def _import(ceremony: Ceremony) -> ImportOut:
    return ImportOut(
        id=ceremony.pk,
        state=ceremony.state,
        name=ceremony.title,
        reason=ceremony.reason,
        authority=ceremony.root_id,
        notes=[wording.sentence(note) for note in ceremony.wish.get("notes", ())],
        counts=ceremony.wish.get("counts", {}),
        requested_at=ceremony.requested_at,
    )


def _line(line: Imported, ids: dict[str, int]) -> LineOut:
    codes = [line.code, *line.detail.get("also", ())] if line.code else []
    return LineOut(
        position=line.position,
        file=line.source,
        verdict=line.verdict,
        why=[wording.sentence(code, line.detail) for code in codes],
        serial=line.serial,
        subject=line.subject,
        not_after=line.not_after,
        revoked_at=line.revoked_at,
        certificate=ids.get(line.serial) if line.verdict in Imported.ACCEPTED else None,
    )


@router.post("/authorities/import", auth=Token("ca:issue"), response={202: ImportOut})
@sensitive_variables()
def take_over(
    request: HttpRequest,
    name: Form[str],
    certificate: File[UploadedFile],
    key: File[UploadedFile],
    passphrase: Form[str] = "",
    new_passphrase: Form[str] = "",
    origin: Form[str] = "",
    serial: File[UploadedFile | None] = None,
    issued: File[list[UploadedFile]] = [],  # noqa: B006 - ninja's way to say "none or more"
) -> Any:
    """An owner's call. The signer carries it out: ask for the import until its state is final."""
    by = operator_of(request, "ca.manage")
    ceremony = importing.request_import(
        name=name,
        certificate=certificate.read(),
        key=key.read(),
        passphrase=passphrase,
        new_passphrase=new_passphrase or None,
        serial=serial.read() if serial else None,
        issued=[(file.name or "", file.read()) for file in issued],
        origin=origin,
        by=by,
        at=timezone.now(),
    )
    return 202, _import(ceremony)


def _found(request: HttpRequest, pk: int) -> Ceremony:
    operator_of(request, "ca.manage")
    return get_object_or_404(Ceremony, pk=pk, kind=Ceremony.IMPORT)


@router.get("/authorities/import/{pk}", auth=Token("ca:read"), response=ImportOut)
def import_state(request: HttpRequest, pk: int) -> ImportOut:
    return _import(_found(request, pk))


@router.post("/authorities/import/{pk}/key", auth=Token("ca:issue"), response={202: ImportOut})
@sensitive_variables()
def hand_key_in_again(
    request: HttpRequest,
    pk: int,
    key: File[UploadedFile],
    passphrase: Form[str] = "",
    new_passphrase: Form[str] = "",
) -> Any:
    """After a refusal: the same upload with the key again. It goes on under the id answered."""
    ceremony = importing.try_again(
        ceremony=_found(request, pk),
        key=key.read(),
        passphrase=passphrase,
        new_passphrase=new_passphrase or None,
        by=operator_of(request, "ca.manage"),
        at=timezone.now(),
    )
    return 202, _import(ceremony)


@router.get("/authorities/import/{pk}/lines", auth=Token("ca:read"), response=LinesOut)
def import_lines(request: HttpRequest, pk: int, after: int | None = None) -> LinesOut:
    """The report, file by file, 200 lines a page; `next` is the next page's `after`."""
    ceremony = _found(request, pk)
    lines = Imported.objects.of(ceremony)
    parameters = {} if after is None else {"after": str(after)}
    page = paging.page_of(lines, parameters, order="position", size=PAGE)
    ids = certificate_ids(ceremony, page)
    return LinesOut(items=[_line(line, ids) for line in page], next=page.next)
