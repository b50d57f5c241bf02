"""Pages of batches: many requests handed in at once, their progress, and what came of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from ca import bulk, preparation, refused, wording
from ca.forms.batches import BatchForm
from ca.models import Batch, Issuer
from core.access import requires
from core.errors import Refusal
from core.paging import page_of

LOOKS = {Batch.REQUESTED: "busy", Batch.SIGNING: "busy", Batch.DONE: "ok", Batch.REFUSED: "danger"}
# Refused requests on the page; the API has all.
SHOWN = 50
CHUNK = 500
# Beyond it a zip of single files is no help to anybody, and it is built in memory.
MOST_ZIPPED = 5000


@require_GET
@requires("ca.view")
def batches(request: HttpRequest) -> HttpResponse:
    page = page_of(Batch.objects.select_related("issuer").defer("refused"), request.GET)
    rows = [{"batch": each, "kind": LOOKS[each.state]} for each in page]
    return render(
        request,
        "ca/batches.html",
        {
            "page": page,
            "rows": rows,
            "has_issuer": Issuer.objects.able_to_issue(timezone.now()).exists(),
        },
    )


@requires("ca.issue")
def new(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    issuers = Issuer.objects.able_to_issue(now)
    form = BatchForm(request.POST or None, request.FILES or None, issuers=issuers)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            with refused.noted(by=request.user, at=now):
                batch = bulk.request(
                    profile=data["profile"],
                    issuer=data["issuer"],
                    csrs=data["requests"],
                    days=data["days"],
                    by=request.user,
                    at=now,
                )
        except Refusal as refusal:
            form.add_error(_field_of(refusal), refusal.sentence)
        else:
            return redirect("ca:batch", pk=batch.pk)
    status = 422 if form.errors else 200
    context = {"form": form, "has_issuer": issuers.exists()}
    return render(request, "ca/batch_new.html", context, status=status)


def _field_of(refusal: Refusal) -> str:
    if isinstance(refusal, preparation.LifeRefused):
        return "days"
    if isinstance(refusal, preparation.IssuerUnable):
        return "issuer"
    return "profile" if isinstance(refusal, preparation.ProfileRefused) else "file"


@require_GET
@requires("ca.view")
def batch(request: HttpRequest, pk: int) -> HttpResponse:
    """A batch, live until it ends."""
    found = get_object_or_404(Batch.objects.select_related("issuer", "requested_by"), pk=pk)
    left_out = [
        {"number": each["index"] + 1, "why": wording.sentence(each["code"], each["detail"])}
        for each in found.refused[:SHOWN]
    ]
    context: dict[str, Any] = {
        "batch": found,
        "kind": LOOKS[found.state],
        "percent": found.done * 100 // found.total if found.total else 100,
        "refused": left_out,
        "more_refused": len(found.refused) - len(left_out),
        "profile": preparation.profile_label(found.profile),
        "zipped": found.signed <= MOST_ZIPPED,
    }
    part = request.headers.get("HX-Request") == "true"
    return render(request, "ca/_batch.html" if part else "ca/batch.html", context)


def _pems(found: Batch) -> Iterator[str]:
    rows = found.certificates.order_by("pk").values_list("pk", "pem")
    last = 0
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1][0]
        yield "".join(pem for _pk, pem in chunk)


def download_of(found: Batch, form: str) -> HttpResponseBase:
    """All certificates of it: "pem" in the order of the requests, or "zip", a file each."""
    if form == "pem":
        response: HttpResponseBase = StreamingHttpResponse(
            _pems(found), content_type="application/x-pem-file"
        )
    elif form == "zip" and found.signed <= MOST_ZIPPED:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in found.certificates.order_by("pk").defer("search"):
                name = each.title.replace("*", "wildcard").replace("/", "-")
                archive.writestr(f"{name}-{each.serial[:8]}.pem", each.pem)
        response = HttpResponse(packed.getvalue(), content_type="application/zip")
    else:
        raise Http404
    response["Content-Disposition"] = f'attachment; filename="batch-{found.pk}.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_GET
@requires("ca.view")
def download(request: HttpRequest, pk: int, form: str) -> HttpResponseBase:
    return download_of(get_object_or_404(Batch, pk=pk), form)
