"""Pages that follow an order, and hand over the key that the signer made."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from ca import issuance, packing, parcels, preparation, states
from ca.models import Order, Parcel
from ca.pages.certificate import LOOKS
from core.access import NotAllowed, requires


def _order_context(request: HttpRequest, order: Order) -> dict[str, Any]:
    has_key = bool(order.csr_pem or order.key_id)
    made = {
        Order.HOST: _("The host makes the key, and sends its request"),
        Order.SIGNER: _("The signer makes the key"),
    }.get(order.way, _("The key is made, and its request is here"))
    steps = [
        (_("Asked for"), True),
        (made, has_key),
        (_("The signer checks every rule and signs"), order.state == Order.ISSUED),
    ]
    rows: list[dict[str, str]] = []
    for text, done in steps:
        state = "done" if done else "todo"
        if not done and not any(row["state"] in ("busy", "failed") for row in rows):
            state = "failed" if order.state == Order.REFUSED else "busy"
        rows.append({"state": state, "text": text})
    parcel = Parcel.objects.filter(order=order).first()
    return {
        "order": order,
        "steps": rows,
        "kind": LOOKS[order.state],
        "live": order.state not in states.final(states.ORDER),
        "profile": preparation.profile_label(order.profile),
        "parcel": parcel,
        "overdue": parcel is not None and parcel.keep_until <= timezone.now(),
        "may_take": parcels.may_take(order, request.user),  # type: ignore[arg-type]
    }


def _found(pk: int) -> Order:
    orders = Order.objects.select_related("issuer", "certificate", "requested_by", "renews")
    return get_object_or_404(orders, pk=pk)


@require_GET
@never_cache
@requires("ca.view")
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """An order, live until it ends."""
    part = request.headers.get("HX-Request") == "true"
    template = "ca/_order.html" if part else "ca/order.html"
    return render(request, template, _order_context(request, _found(pk)))


@require_GET
@never_cache
@requires("ca.view")
def order_state(request: HttpRequest, pk: int) -> JsonResponse:
    """What the page that made a key asks for until its certificate is there."""
    found = _found(pk)
    answer: dict[str, Any] = {"state": found.state, "final": found.is_final}
    if found.reason:
        answer["reason"] = found.reason
    if found.certificate is not None:
        chain = [found.certificate, *found.certificate.authorities()]
        answer |= {
            "title": found.certificate.title,
            "certificates": [each.pem for each in chain],
            "roots": [each.is_own for each in chain],
        }
    return JsonResponse(answer)


@require_POST
@requires("ca.issue")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """End an order that nobody has fulfilled."""
    found = get_object_or_404(Order, pk=pk)
    try:
        issuance.refuse(
            order=found,
            code="cancelled",
            detail={"who": request.user.get_username()},
            by=request.user,  # type: ignore[arg-type]
            at=timezone.now(),
        )
    except issuance.OrderEnded as refusal:
        messages.error(request, refusal.sentence)
    return redirect("ca:order", pk=pk)


@require_POST
@never_cache
@requires("ca.view")
def parcel(request: HttpRequest, pk: int) -> HttpResponse:
    """The one download. A second one, or of two at once the slower, is told what to do."""
    found = _found(pk)
    if not parcels.may_take(found, request.user):  # type: ignore[arg-type]
        raise NotAllowed("ca.issue")
    try:
        content = parcels.take(order=found, by=request.user, at=timezone.now())  # type: ignore[arg-type]
    except parcels.NotTaken as refusal:
        messages.error(request, refusal.sentence)
        return redirect("ca:order", pk=pk)
    response = HttpResponse(content, content_type=packing.FORMS[found.parcel_form].kind)
    name = parcels.file_name(found)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
