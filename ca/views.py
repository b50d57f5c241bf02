"""The list of certificates. The page of one is in `ca.certificate_views`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from ca import lists
from ca.certificate_views import state_of
from ca.forms.certificates import FilterForm
from ca.models import Certificate, Issuer, Order
from core.access import requires


@require_GET
@requires("ca.view")
def certificates(request: HttpRequest) -> HttpResponse:
    """The list: searched, filtered and paged by the URL."""
    form = FilterForm(request.GET)
    rows = Certificate.objects.leaves().select_related("issuer")
    chosen = form.cleaned_data if form.is_valid() else {}
    if chosen.get("q"):
        rows = rows.matching(chosen["q"])
    if chosen.get("state"):
        rows = rows.in_state(chosen["state"], timezone.now())
    if chosen.get("issuer"):
        rows = rows.filter(issuer=chosen["issuer"])
    latest = chosen.get("order") == "latest"
    page = lists.by_end(rows, request.GET, latest_first=latest)
    now = timezone.now()
    return render(
        request,
        "ca/certificates.html",
        {
            "form": form,
            "page": page,
            "rows": [{"certificate": each, "state": state_of(each)} for each in page],
            "filtered": any(chosen.get(field) for field in ("q", "state", "issuer")),
            "has_issuer": Issuer.objects.able_to_issue(now).exists(),
            "open_orders": Order.objects.open()[:5],
        },
    )
