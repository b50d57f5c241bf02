"""Pages of the authorities: the tree, one authority with its acts, and the ceremonies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from ca import authorities, ceremonies, describe, offline, rehearsal, revocation, rollover, wording
from ca.forms.authorities import PassphraseForm
from ca.forms.offline import CertificateForm, uploaded
from ca.models import Ceremony, Certificate, Issuer
from ca.pages.certificate import labelled, state_of
from ca.pages.making import add_refusal
from core.access import requires

# More than this many certificates are only said to be many: counting a million takes too long.
MOST_COUNTED = 10_000


def shown_state(issuer: Issuer) -> dict[str, str]:
    """Kind and words of an authority's state for `_status.html`."""
    if issuer.certificate is None:
        return {"kind": "warning", "text": _("waits for its certificate")}
    state = state_of(issuer.certificate)
    if issuer.retired_at is not None and issuer.certificate.state == Certificate.VALID:
        return {"kind": "idle", "text": _("retired")}
    return state


def _node(issuer: Issuer, children: list[dict[str, Any]]) -> dict[str, Any]:
    certificate = issuer.certificate
    return {
        "issuer": issuer,
        "state": shown_state(issuer),
        "levels": rehearsal.path_length_of(certificate.parsed) if certificate else None,
        "can_sign": issuer.key_kept != Issuer.ELSEWHERE and issuer.retired_at is None,
        "children": children,
    }


def tree_of(issuers: list[Issuer]) -> list[dict[str, Any]]:
    """Every root, and every key that waits for one, each with what it signed below it."""
    children: dict[int | None, list[Issuer]] = {}
    for issuer in issuers:
        children.setdefault(issuer.parent_id, []).append(issuer)

    def below(parent: int | None) -> list[dict[str, Any]]:
        return [
            _node(issuer, below(issuer.pk))
            for issuer in children.get(parent, [])
            if issuer.certificate is not None or issuer.is_waiting
        ]

    return sorted(below(None), key=lambda node: bool(node["issuer"].is_waiting))


@require_GET
@requires("ca.view")
def authority_tree(request: HttpRequest) -> HttpResponse:
    issuers = list(Issuer.objects.select_related("certificate", "successor"))
    context = {"tree": tree_of(issuers), "ceremonies": Ceremony.objects.open()[:5]}
    return render(request, "ca/authorities.html", context)


def _still_out(issuer: Issuer, at: datetime) -> dict[str, Any]:
    """What it signed and still counts: how many, and when the last one ends."""
    rows = issuer.certificates.leaves().filter(
        Q(state=Certificate.VALID) | Q(state=Certificate.HELD), not_after__gt=at
    )
    latest = rows.order_by("-not_after", "-pk")[: MOST_COUNTED + 1]
    found = latest.aggregate(count=Count("pk"), last=Max("not_after"))
    count = min(found["count"], MOST_COUNTED)
    return {"count": count, "more": found["count"] > MOST_COUNTED, "last": found["last"]}


def _overlap(issuer: Issuer, at: datetime) -> list[dict[str, Any]]:
    """The authority and its successor (or predecessor) side by side, while there is one."""
    pair = [*issuer.predecessors.select_related("certificate"), issuer]
    if issuer.successor is not None:
        pair.append(issuer.successor)
    if len(pair) < 2 and issuer.retired_at is None:
        return []
    return [
        {"issuer": each, "state": shown_state(each), "out": _still_out(each, at)} for each in pair
    ]


def _waiting(
    request: HttpRequest, issuer: Issuer, form: CertificateForm, status: int = 200
) -> HttpResponse:
    """The page of a key whose root is elsewhere: its request goes out, the certificate comes in."""
    context = {"issuer": issuer, "form": form, "state": shown_state(issuer)}
    return render(request, "ca/authority_waiting.html", context, status=status)


@require_GET
@requires("ca.view")
def authority(request: HttpRequest, pk: int) -> HttpResponse:
    # A list of a million entries is not read for its number.
    rows = Issuer.objects.select_related(
        "certificate__issuer",
        "parent__certificate",
        "successor__certificate",
        "revocation_list",
        "responder",
    ).defer("revocation_list__der", "revocation_list__delta_der")
    found = get_object_or_404(rows, pk=pk)
    if found.is_waiting:
        return _waiting(request, found, CertificateForm())
    if found.certificate is None:
        return redirect("ca:authorities")
    parsed = found.certificate.parsed
    now = timezone.now()
    listed = getattr(found, "revocation_list", None)
    if listed is not None and listed.number == 0:
        listed = None
    levels = rehearsal.levels_below(found)
    return render(
        request,
        "ca/authority.html",
        {
            "issuer": found,
            "certificate": found.certificate,
            "state": shown_state(found),
            "path": list(reversed(found.path())),
            "children": found.children.exclude(certificate=None).select_related("certificate"),
            "former": found.is_root
            and found.certificates.filter(state=Certificate.SUPERSEDED, key_id=found.key_id),
            "fingerprint": describe.hexed(found.certificate.fingerprint_sha256),
            "fields": labelled(describe.fields(describe.of_certificate(parsed))),
            "fingerprints": labelled(describe.fingerprints(parsed)),
            "listed": listed,
            "list_is_late": listed is not None
            and (listed.renew_at <= now or listed.stale_at is not None),
            "addresses": found.addresses,
            "levels": levels,
            "overlap": _overlap(found, now),
            "has_passphrase": found.key_kept == Issuer.UNDER_PASSPHRASE,
            "elsewhere": found.key_kept == Issuer.ELSEWHERE,
            "may_sign_authorities": levels != 0
            and found.key_kept != Issuer.ELSEWHERE
            and found.retired_at is None
            and found.certificate.is_valid(now),
            "may_roll_over": not found.is_root
            and found.successor is None
            and found.parent is not None
            and found.parent.key_kept != Issuer.ELSEWHERE
            and found.key_kept in Issuer.AT_HAND,
            "may_retire": not found.is_root
            and found.retired_at is None
            and found.key_kept in Issuer.AT_HAND,
            "may_reinstate": found.retired_at is not None and found.certificate.is_valid(now),
            "revocable": revocation.possible(found.certificate, now),
        },
    )


@require_GET
@requires("ca.view")
def request_download(request: HttpRequest, pk: int) -> HttpResponse:
    """The request of a key that waits for its certificate. It holds no secret."""
    found = get_object_or_404(Issuer.objects.exclude(csr_pem=""), pk=pk)
    response = HttpResponse(found.csr_pem, content_type="application/x-pem-file")
    response["Content-Disposition"] = f'attachment; filename="authority-{found.public_id}.csr"'
    return response


@require_POST
@requires("ca.manage")
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """The certificate that was signed elsewhere comes in."""
    found = get_object_or_404(Issuer.objects.select_related("certificate"), pk=pk)
    form = CertificateForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            authorities.accept(
                issuer=found,
                certificate=uploaded(form, "certificate"),
                chain=uploaded(form, "chain"),
                by=request.user,
                at=timezone.now(),
            )
        except authorities.NotMade as refusal:
            if not found.is_waiting:
                messages.error(request, refusal.sentence)
                return redirect("ca:authority", pk=pk)
            add_refusal(form, refusal)
        else:
            messages.success(request, _("“%(name)s” can issue now.") % {"name": found.name})
            return redirect("ca:authority", pk=pk)
    return _waiting(request, found, form, status=422)


@require_POST
@requires("ca.manage")
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """A key that waits for its certificate is given up."""
    found = get_object_or_404(Issuer, pk=pk)
    try:
        offline.withdraw(issuer=found, by=request.user, at=timezone.now())
    except authorities.NotMade as refusal:
        messages.error(request, refusal.sentence)
        return redirect("ca:authority", pk=pk)
    messages.success(request, _("“%(name)s” and its key are erased.") % {"name": found.name})
    return redirect("ca:authorities")


@require_POST
@requires("ca.manage")
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """It signs no certificate any more."""
    found = get_object_or_404(Issuer.objects.exclude(certificate=None), pk=pk)
    try:
        rollover.retire(issuer=found, by=request.user, at=timezone.now())
    except rollover.NotRetirable as refusal:
        messages.error(request, refusal.sentence)
    return redirect("ca:authority", pk=pk)


@require_POST
@requires("ca.manage")
def reinstate(request: HttpRequest, pk: int) -> HttpResponse:
    """It signs again."""
    found = get_object_or_404(Issuer.objects.exclude(certificate=None), pk=pk)
    try:
        rollover.reinstate(issuer=found, by=request.user, at=timezone.now())
    except rollover.NotRetirable as refusal:
        messages.error(request, refusal.sentence)
    return redirect("ca:authority", pk=pk)


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
    kind = ceremonies.CARRIERS[ceremony.kind]
    return {
        "ceremony": ceremony,
        "steps": _steps(ceremony),
        "live": not ceremony.is_final,
        "waiting": ceremony.state == Ceremony.REQUESTED,
        "retriable": kind.retriable,
        "needs_passphrase": ceremonies.needs_passphrase(ceremony),
    }


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def ceremony(request: HttpRequest, pk: int) -> HttpResponse:
    """A ceremony, live until it ends; a refused one can be tried again."""
    rows = Ceremony.objects.select_related("root__certificate", "made__certificate")
    found = get_object_or_404(rows, pk=pk)
    if found.kind == Ceremony.IMPORT:
        return redirect("ca:imported", pk=pk)
    if request.method == "POST":
        form = PassphraseForm(request.POST)
        form.fields["passphrase"].required = ceremonies.needs_passphrase(found)
        if form.is_valid():
            try:
                authorities.try_again(
                    ceremony=found,
                    passphrase=form.cleaned_data["passphrase"],
                    by=request.user,
                    at=timezone.now(),
                )
            except authorities.NotMade as refusal:
                add_refusal(form, refusal)
            else:
                return redirect("ca:ceremony", pk=pk)
        context = _ceremony_context(found) | {"form": form}
        return render(request, "ca/ceremony.html", context, status=422)
    context = _ceremony_context(found) | {"form": PassphraseForm()}
    part = request.headers.get("HX-Request") == "true"
    return render(request, "ca/_ceremony.html" if part else "ca/ceremony.html", context)
