"""The page of one certificate, and its downloads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from ca import describe, export, preparation, profiles, renewal, revocation, wording
from ca.forms.certificates import RevokeForm
from ca.models import Certificate, Order
from core import roles
from core.access import requires

SOON = timedelta(days=30)
# How a state looks: see `_status.html`.
LOOKS = {
    Certificate.VALID: "ok",
    Certificate.HELD: "warning",
    Certificate.SUPERSEDED: "idle",
    Certificate.REVOKED: "danger",
    Certificate.EXPIRED: "idle",
    Order.REQUESTED: "busy",
    Order.AWAITING_CSR: "busy",
    Order.SIGNING: "busy",
    Order.ISSUED: "ok",
    Order.REFUSED: "danger",
}


def state_of(certificate: Certificate) -> dict[str, str]:
    """Kind and words of a certificate's state for `_status.html`."""
    now = timezone.now()
    state = certificate.shown_state(now)
    if state == Certificate.EXPIRED:
        return {"kind": "idle", "text": _("expired")}
    if state == Certificate.VALID and certificate.not_after - now < SOON:
        return {"kind": "warning", "text": _("ends soon")}
    return {"kind": LOOKS[state], "text": str(certificate.get_state_display())}


def labelled(fields: list[describe.Field]) -> list[dict[str, Any]]:
    return [{"label": wording.LABELS[field.code], "field": field} for field in fields]


@require_GET
@requires("ca.view")
def certificate(request: HttpRequest, pk: int) -> HttpResponse:
    """All that a certificate says, its chain, and its downloads."""
    rows = Certificate.objects.select_related("issuer", "renews")
    found = get_object_or_404(rows.prefetch_related("renewals", "renewal_orders"), pk=pk)
    parsed = found.parsed
    return render(
        request,
        "ca/certificate.html",
        {
            "certificate": found,
            "state": state_of(found),
            "profile": preparation.profile_label(found.profile),
            "fingerprint": describe.hexed(found.fingerprint_sha256),
            "fields": labelled(describe.fields(describe.of_certificate(parsed))),
            "fingerprints": labelled(describe.fingerprints(parsed)),
            "chain": list(reversed(found.authorities())),
            "is_authority": found.profile in profiles.AUTHORITY_PROFILES,
            "order": Order.objects.filter(certificate=found).select_related("requested_by").first(),
            "revocation": _revocation(request, found),
            "renewals": sorted(found.renewals.all(), key=lambda each: each.pk),
            "renewal": _renewal(request, found),
        },
    )


def _renewal(request: HttpRequest, found: Certificate) -> dict[str, Any]:
    """Whether it can be renewed, and whether it is what another was renewed by."""
    now = timezone.now()
    if not roles.may(request.user, "ca.issue"):  # type: ignore[arg-type]
        return {}
    try:
        renewal.check(found, at=now)
        possible = True
    except renewal.NotRenewable:
        possible = False
    return {
        "possible": possible,
        "order": renewal.under_way_of(found),
        "may_supersede": renewal.may_supersede(found, at=now),
    }


def _revocation(request: HttpRequest, found: Certificate) -> dict[str, Any]:
    """What can be done to it, and why it was."""
    allowed = roles.may(request.user, revocation.permission(found))  # type: ignore[arg-type]
    return {
        "form": RevokeForm(),
        "reason": wording.REASONS.get(found.revocation_reason, found.revocation_reason),
        "possible": revocation.possible(found, timezone.now()) if allowed else (),
    }


def download_of(found: Certificate, form: str) -> HttpResponse:
    """The answer that saves it as a file; `form` is one of `export.FORMS`."""
    return saved(export.content_of(found, form), export.FORMS[form], export.file_name(found, form))


def saved(content: bytes, form: export.Form, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=form.kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_GET
@requires("ca.view")
def download(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    if form not in export.FORMS:
        raise Http404
    return download_of(get_object_or_404(Certificate, pk=pk), form)
