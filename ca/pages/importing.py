"""Pages that take over an authority made by hand, and lead it to what devices accept today."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives import hashes
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from ca import ceremonies, crossing, describe, importing, keys, reissue, wording
from ca.forms.authorities import PassphraseForm
from ca.forms.importing import ImportForm, KeyFields, LookForm
from ca.imported_rows import certificate_ids
from ca.legacy.files import Found
from ca.models import Ceremony, Imported, Issuer
from ca.pages.making import add_refusal
from ca.rehearsal import NotMade
from core import paging
from core.access import requires

# A preview shows this many lines, what is left out first; the report afterwards has them all.
SHOWN = 200
KINDS = {Imported.TAKEN: "ok", Imported.NOTED: "warning", Imported.LEFT: "idle"}
LABELS = dict(Imported.VERDICTS)
SECRETS = ("passphrase", "new_passphrase", "new_passphrase_again")


def _sentences(code: str, detail: dict[str, Any]) -> list[str]:
    codes = [code, *detail.get("also", ())] if code else []
    return [wording.sentence(each, detail) for each in codes]


def _line(source: Found | Imported, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": source.source,
        "subject": source.subject,
        "serial": source.serial,
        "kind": KINDS[source.verdict],
        "label": LABELS[source.verdict],
        "sentences": _sentences(source.code, detail),
    }


def _previewed(found: Iterable[Found]) -> list[dict[str, Any]]:
    order = [Imported.LEFT, Imported.NOTED, Imported.TAKEN]
    ordered = sorted(found, key=lambda each: order.index(each.verdict))
    return [
        _line(each, {**each.detail, "also": each.also})
        | {"revoked": each.entry.revoked_at if each.entry else None}
        for each in ordered[:SHOWN]
    ]


def _reported(lines: Iterable[Imported], ids: dict[str, int]) -> list[dict[str, Any]]:
    return [
        _line(each, each.detail)
        | {
            "revoked": each.revoked_at,
            "certificate_id": ids.get(each.serial) if each.verdict in Imported.ACCEPTED else None,
        }
        for each in lines
    ]


@sensitive_post_parameters(*SECRETS)
@requires("ca.manage")
def new_import(request: HttpRequest) -> HttpResponse:
    """Key, certificate, serial file and issued certificates in one page."""
    if request.method == "POST":
        form = ImportForm(request.POST, request.FILES)
        if form.is_valid():
            try:
                ceremony = importing.request_import(
                    name=form.cleaned_data["name"],
                    origin=form.cleaned_data["origin"],
                    **form.public(),
                    **form.secret(),
                    by=request.user,
                    at=timezone.now(),
                )
            except NotMade as refusal:
                add_refusal(form, refusal)
            else:
                return redirect("ca:imported", pk=ceremony.pk)
    else:
        other = Issuer.objects.roots().exclude(origin="").order_by("-pk").first()
        form = ImportForm(initial={"origin": other.origin if other else ""})
    status = 422 if form.errors else 200
    return render(request, "ca/import_new.html", {"form": form}, status=status)


@require_POST
@requires("ca.manage")
def look(request: HttpRequest) -> HttpResponse:
    """What an upload would bring, as a part of the page: nothing is stored, no key is sent."""
    form = LookForm(request.POST, request.FILES)
    context: dict[str, Any] = {}
    try:
        if form.is_valid():
            looked = importing.look(**form.public(), at=timezone.now())
            context = {
                "looked": looked,
                "key": keys.label(looked.root.public_key),
                "fingerprint": describe.hexed(looked.root.certificate.fingerprint(hashes.SHA256())),
                "notes": [wording.sentence(note) for note in looked.root.notes],
                "lines": _previewed(looked.found),
                "counts": looked.counts,
                "more": max(0, len(looked.found) - SHOWN),
            }
        else:
            said = [sentence for each in form.errors.values() for sentence in each]
            context = {"problem": " ".join(said)}
    except NotMade as refusal:
        context = {"problem": refusal.sentence}
    status = 422 if "problem" in context else 200
    return render(request, "ca/_import_look.html", context, status=status)


def _steps(ceremony: Ceremony) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in ceremonies.steps_of(ceremony):
        state = "done" if step in ceremony.steps or ceremony.state == Ceremony.DONE else "todo"
        if state == "todo" and not any(row["state"] in ("busy", "failed") for row in rows):
            state = "failed" if ceremony.state == Ceremony.REFUSED else "busy"
        rows.append({"state": state, "text": wording.step(step)})
    return rows


def _context(request: HttpRequest, ceremony: Ceremony) -> dict[str, Any]:
    lines = Imported.objects.of(ceremony)
    verdict = request.GET.get("verdict", "")
    if verdict in LABELS:
        lines = lines.filter(verdict=verdict)
    page = paging.page_of(lines, request.GET, order="position")
    return {
        "ceremony": ceremony,
        "steps": _steps(ceremony),
        "live": not ceremony.is_final,
        "again": ceremony.wish.get("again"),
        "notes": [wording.sentence(note) for note in ceremony.wish.get("notes", ())],
        "counts": ceremony.wish.get("counts", {}),
        "verdict": verdict,
        "verdicts": Imported.VERDICTS,
        "page": page,
        "lines": _reported(page, certificate_ids(ceremony, page)),
    }


@sensitive_post_parameters(*SECRETS)
@requires("ca.manage")
def imported(request: HttpRequest, pk: int) -> HttpResponse:
    """An import, live until it ends, with its report; a refused one asks for the key again."""
    kind = Ceremony.objects.filter(kind=Ceremony.IMPORT).select_related("root")
    found = get_object_or_404(kind, pk=pk)
    form = KeyFields(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            again = importing.try_again(
                ceremony=found, **form.secret(), by=request.user, at=timezone.now()
            )
        except NotMade as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("ca:imported", pk=again.pk)
    context = _context(request, found) | {"form": form}
    part = request.headers.get("HX-Request") == "true"
    status = 422 if form.errors else 200
    name = "ca/_import.html" if part else "ca/import_report.html"
    return render(request, name, context, status=status)


@require_GET
@requires("ca.view")
def crossing_page(request: HttpRequest, pk: int) -> HttpResponse:
    """From an old root to one that devices accept, step by step."""
    return _crossing(request, pk, PassphraseForm())


@sensitive_post_parameters("passphrase")
@require_POST
@requires("ca.manage")
def sign_anew(request: HttpRequest, pk: int) -> HttpResponse:
    """The crossing's second step: the same key and name, signed as devices accept it today."""
    root = get_object_or_404(Issuer.objects.roots().exclude(imported_at=None), pk=pk)
    form = PassphraseForm(request.POST)
    if form.is_valid():
        try:
            ceremony = reissue.request_reissue(
                root=root,
                passphrase=form.cleaned_data["passphrase"],
                by=request.user,
                at=timezone.now(),
            )
        except NotMade as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("ca:ceremony", pk=ceremony.pk)
    return _crossing(request, pk, form)


def _crossing(request: HttpRequest, pk: int, form: forms.Form) -> HttpResponse:
    imported_roots = Issuer.objects.roots().exclude(imported_at=None)
    root = get_object_or_404(imported_roots.select_related("certificate"), pk=pk)
    way = crossing.of(root, timezone.now())
    context = {
        "root": root,
        "way": way,
        "notes": [wording.sentence(note) for note in way.notes],
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "ca/import_crossing.html", context, status=status)
