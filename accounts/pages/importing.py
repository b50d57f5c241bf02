"""Pages that bring accounts in from a file: the file, what would become of it, the report."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import import_rows, importing, reading
from accounts.addresses import Reason
from accounts.forms import add_refusal
from accounts.forms_importing import ImportForm
from accounts.models import AccountImport, ImportOutcome
from accounts.sentences import SENTENCES, say
from core.access import requires
from core.errors import Refusal
from core.paging import page_of

LOOKS = {
    AccountImport.RUNNING: "busy",
    AccountImport.DONE: "ok",
    AccountImport.CANCELLED: "idle",
    AccountImport.FAILED: "danger",
}
WORDS = {
    import_rows.CREATED: _("Created"),
    import_rows.UPDATED: _("Changed"),
    import_rows.UNCHANGED: _("As it was"),
    import_rows.REFUSED: _("Refused"),
}
WORDS_DRY = WORDS | {
    import_rows.CREATED: _("Would be made"),
    import_rows.UPDATED: _("Would change"),
}
OUTCOME_LOOKS = {
    import_rows.CREATED: "ok",
    import_rows.UPDATED: "ok",
    import_rows.UNCHANGED: "idle",
    import_rows.REFUSED: "danger",
}
# What a form has beside its file.
BESIDE = 1024 * 1024
CHUNK = 1000


@require_GET
@requires("accounts.domains")
def imports(request: HttpRequest) -> HttpResponse:
    page = page_of(AccountImport.objects.all(), request.GET)
    rows = [{"batch": each, "kind": LOOKS[each.state]} for each in page]
    return render(request, "accounts/imports.html", {"page": page, "rows": rows})


@sensitive_post_parameters("text")
@never_cache
@require_http_methods(["GET", "POST"])
@requires("accounts.domains")
@csrf_exempt
def new(request: HttpRequest) -> HttpResponse:
    """A dry run first, always. What is far too long is refused before it is read, so that the
    form's token is looked for behind that."""
    if _length(request) > reading.MOST_BYTES + BESIDE:
        form = ImportForm()
        most = reading.MOST_BYTES // 1024 // 1024
        context = {"form": form, "too_big": say(Reason("csv_big", {"most": most}))}
        return render(request, "accounts/import_new.html", context, status=413)
    return _new(request)


@csrf_protect
def _new(request: HttpRequest) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    if form.is_valid():
        stream, name = form.content()
        total = hashlib.sha256()
        try:
            batch = importing.request(
                rows=reading.read(stream, total=total),
                total=total,
                name=name,
                choices=importing.Choices(
                    make_domains=form.cleaned_data["make_domains"],
                    update_existing=form.cleaned_data["update_existing"],
                ),
                dry_run=True,
                by=request.user,
                at=timezone.now(),
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("accounts:import", batch.pk)
    context = {"form": form, "columns": reading.COLUMNS}
    status = 422 if form.errors else 200
    return render(request, "accounts/import_new.html", context, status=status)


def _length(request: HttpRequest) -> int:
    text = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@require_GET
@requires("accounts.domains")
def batch(request: HttpRequest, pk: int) -> HttpResponse:
    """An import, live until it ends, and what became of its rows."""
    return _shown(request, get_object_or_404(AccountImport, pk=pk))


def _shown(request: HttpRequest, found: AccountImport, problem: str = "") -> HttpResponse:
    words = WORDS_DRY if found.dry_run else WORDS
    outcome = request.GET.get("outcome", "")
    rows = ImportOutcome.objects.filter(batch=found)
    if outcome in words:
        rows = rows.filter(outcome=outcome)
    page = page_of(rows, request.GET, order="pk")
    running = found.state == AccountImport.RUNNING
    context = {
        "batch": found,
        "kind": LOOKS[found.state],
        "percent": found.done * 100 // found.total if found.total else 100,
        "running": running,
        "counts": [
            {"outcome": name, "words": words[name], "count": getattr(found, name)}
            for name in import_rows.OUTCOMES
        ],
        "outcome": outcome,
        "page": page,
        "rows": [
            {
                "row": each,
                "kind": OUTCOME_LOOKS[each.outcome],
                "words": words[each.outcome],
                "reasons": _sentences(each),
            }
            for each in page
        ],
        "can_follow": found.dry_run
        and found.state == AccountImport.DONE
        and found.created + found.updated > 0
        and found.parts.exists(),
        "audited": not (running or found.dry_run) and found.created + found.updated > 0,
        "problem": problem or (str(SENTENCES[found.problem]) if found.problem else ""),
    }
    part = request.headers.get("HX-Request") == "true"
    template = "accounts/_import.html" if part else "accounts/import.html"
    return render(request, template, context, status=409 if problem else 200)


def _sentences(row: ImportOutcome) -> list[str]:
    return [say(Reason(code, values)) for code, values in row.reasons]


@require_POST
@requires("accounts.domains")
def real(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(AccountImport, pk=pk)
    try:
        made = importing.for_real(batch=found, by=request.user, at=timezone.now())
    except Refusal as refusal:
        return _shown(request, found, refusal.sentence)
    return redirect("accounts:import", made.pk)


@require_POST
@requires("accounts.domains")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(AccountImport, pk=pk)
    try:
        importing.cancel(batch=found, by=request.user, at=timezone.now())
    except Refusal as refusal:
        return _shown(request, found, refusal.sentence)
    return redirect("accounts:import", pk)


class _Echo:
    """A file whose `write` gives back what it is given."""

    def write(self, text: str) -> str:
        return text


def _report(found: AccountImport, outcome: str) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + str(writer.writerow(("line", "address", "outcome", "reasons")))
    rows = ImportOutcome.objects.filter(batch=found).order_by("pk")
    if outcome in import_rows.OUTCOMES:
        rows = rows.filter(outcome=outcome)
    last = 0
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1].pk
        yield "".join(
            writer.writerow(
                [
                    row.line,
                    reading.plain(row.address),
                    row.outcome,
                    reading.plain(" ".join(_sentences(row))),
                ]
            )
            for row in chunk
        )


@require_GET
@requires("accounts.domains")
def report(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What became of each row, as CSV."""
    found = get_object_or_404(AccountImport, pk=pk)
    response = StreamingHttpResponse(
        _report(found, request.GET.get("outcome", "")),
        content_type="text/csv; charset=utf-8; header=present",
    )
    response["Content-Disposition"] = f'attachment; filename="import-{found.pk}.csv"'
    return response
