"""Pages of the authorities: the tree, one authority, and the ceremonies that make them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET

from ca import authorities, ceremonies, describe, wording
from ca.certificate_views import labelled, state_of
from ca.forms.authorities import HierarchyForm, IssuingForm, PassphraseForm
from ca.models import Ceremony, Issuer, RevocationList
from core.access import requires


def _tree() -> list[dict[str, Any]]:
    """Every root, each with what it signed below it."""
    children: dict[int | None, list[Issuer]] = {}
    for issuer in Issuer.objects.select_related("certificate"):
        children.setdefault(issuer.parent_id, []).append(issuer)

    def below(parent: int | None) -> list[dict[str, Any]]:
        return [
            {
                "issuer": issuer,
                "state": state_of(issuer.certificate),
                "children": below(issuer.pk),
            }
            for issuer in children.get(parent, [])
            if issuer.certificate is not None
        ]

    return below(None)


@require_GET
@requires("ca.view")
def authority_tree(request: HttpRequest) -> HttpResponse:
    context = {"tree": _tree(), "ceremonies": Ceremony.objects.open()[:5]}
    return render(request, "ca/authorities.html", context)


@require_GET
@requires("ca.view")
def authority(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Issuer.objects.select_related("certificate", "parent"), pk=pk)
    if found.certificate is None:
        return redirect("ca:authorities")
    parsed = found.certificate.parsed
    now = timezone.now()
    listed = RevocationList.objects.filter(issuer=found).first()
    return render(
        request,
        "ca/authority.html",
        {
            "issuer": found,
            "certificate": found.certificate,
            "state": state_of(found.certificate),
            "path": list(reversed(found.path())),
            "children": found.children.select_related("certificate"),
            "fingerprint": describe.hexed(found.certificate.fingerprint_sha256),
            "fields": labelled(describe.fields(describe.of_certificate(parsed))),
            "fingerprints": labelled(describe.fingerprints(parsed)),
            "listed": listed,
            "list_is_late": listed is not None
            and (listed.renew_at <= now or listed.stale_at is not None),
            "addresses": found.addresses,
        },
    )


def _add_refusal(form: forms.Form, refusal: authorities.NotMade) -> None:
    field = refusal.field if refusal.field in form.fields else None
    sentences = getattr(refusal, "sentences", [refusal.sentence])
    for sentence in sentences:
        form.add_error(field, sentence)


@sensitive_post_parameters("passphrase", "passphrase_again")
@requires("ca.manage")
def new_hierarchy(request: HttpRequest) -> HttpResponse:
    """A root and an issuing authority in one page."""
    form = HierarchyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            ceremony = authorities.request_hierarchy(
                wish=form.wish(),
                unconstrained=form.cleaned_data["unconstrained"],
                passphrase=form.cleaned_data["passphrase"],
                by=request.user,
                at=timezone.now(),
            )
        except authorities.NotMade as refusal:
            _add_refusal(form, refusal)
        else:
            return redirect("ca:ceremony", pk=ceremony.pk)
    status = 422 if form.errors else 200
    return render(request, "ca/new_hierarchy.html", {"form": form}, status=status)


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def new_issuing(request: HttpRequest, pk: int) -> HttpResponse:
    """Another issuing authority under a root."""
    root = get_object_or_404(Issuer.objects.roots(), pk=pk)
    sibling = root.children.order_by("-pk").first()
    initial = {
        "origin": root.origin,
        "permitted": "\n".join(sibling.permitted) if sibling else "",
    }
    form = IssuingForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            ceremony = authorities.request_issuing(
                under=root,
                wish=form.wish(root),
                unconstrained=form.cleaned_data["unconstrained"],
                passphrase=form.cleaned_data["passphrase"],
                by=request.user,
                at=timezone.now(),
            )
        except authorities.NotMade as refusal:
            _add_refusal(form, refusal)
        else:
            return redirect("ca:ceremony", pk=ceremony.pk)
    status = 422 if form.errors else 200
    return render(request, "ca/new_issuing.html", {"form": form, "root": root}, status=status)


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def renew_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The root's next revocation list: only its passphrase can sign it."""
    root = get_object_or_404(Issuer.objects.roots(), pk=pk)
    form = PassphraseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            ceremony = authorities.request_list(
                root=root,
                passphrase=form.cleaned_data["passphrase"],
                by=request.user,
                at=timezone.now(),
            )
        except authorities.NotMade as refusal:
            _add_refusal(form, refusal)
        else:
            return redirect("ca:ceremony", pk=ceremony.pk)
    status = 422 if form.errors else 200
    return render(request, "ca/renew_list.html", {"form": form, "root": root}, status=status)


def _steps(ceremony: Ceremony) -> list[dict[str, Any]]:
    """The steps for the page: done, busy (or where it failed), still to come."""
    rows: list[dict[str, Any]] = []
    for step in ceremonies.steps_of(ceremony):
        state = "done" if step in ceremony.steps or ceremony.state == Ceremony.DONE else "todo"
        if state == "todo" and not any(row["state"] in ("busy", "failed") for row in rows):
            state = "failed" if ceremony.state == Ceremony.REFUSED else "busy"
        rows.append({"state": state, "text": wording.step(step)})
    return rows


def _ceremony_context(ceremony: Ceremony) -> dict[str, Any]:
    return {
        "ceremony": ceremony,
        "steps": _steps(ceremony),
        "live": not ceremony.is_final,
        "waiting": ceremony.state == Ceremony.REQUESTED,
    }


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def ceremony(request: HttpRequest, pk: int) -> HttpResponse:
    """A ceremony, live until it ends; a refused one can be tried again."""
    found = get_object_or_404(Ceremony.objects.select_related("root", "made"), pk=pk)
    if request.method == "POST":
        form = PassphraseForm(request.POST)
        if form.is_valid():
            try:
                authorities.try_again(
                    ceremony=found,
                    passphrase=form.cleaned_data["passphrase"],
                    by=request.user,
                    at=timezone.now(),
                )
            except authorities.NotMade as refusal:
                _add_refusal(form, refusal)
            else:
                return redirect("ca:ceremony", pk=pk)
        context = _ceremony_context(found) | {"form": form}
        return render(request, "ca/ceremony.html", context, status=422)
    context = _ceremony_context(found) | {"form": PassphraseForm()}
    part = request.headers.get("HX-Request") == "true"
    return render(request, "ca/_ceremony.html" if part else "ca/ceremony.html", context)
