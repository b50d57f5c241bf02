"""Pages that ask for a certificate, and that follow an order."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from ca import describe, issuance, lints, preparation, profiles, states, wording
from ca.certificate_views import LOOKS, labelled
from ca.forms.requests import RequestForm
from ca.models import Issuer, Order
from core.access import requires


@requires("ca.issue")
def new(request: HttpRequest) -> HttpResponse:
    """A certificate for a pasted or uploaded request: first what would be signed, then the order.

    The preview's button posts the same fields with `sign`: what was shown is asked for again, and
    the verb judges it anew.
    """
    now = timezone.now()
    issuers = Issuer.objects.able_to_issue(now)
    form = RequestForm(request.POST or None, request.FILES or None, issuers=issuers)
    if request.method != "POST" or not form.is_valid():
        return render(request, "ca/new.html", {"form": form, "has_issuer": issuers.exists()})
    data = form.cleaned_data
    try:
        asked = preparation.read_csr(data["source"])
        texts = preparation.split_names(data["names"]) or [each.value for each in asked.names]
        if "sign" in request.POST:
            order = issuance.request(
                profile=profiles.HOST.id,
                names=texts,
                issuer=data["issuer"],
                csr_pem=asked.pem,
                days=data["days"],
                by=request.user,
                at=now,
            )
            return redirect("ca:order", pk=order.pk)
        wanted = preparation.read_names(texts)
        tbs, _linted = preparation.prepare(
            profile=profiles.HOST,
            issuer=data["issuer"],
            wanted=wanted,
            public_key=asked.public_key,
            days=data["days"],
            subject=None,
            at=now,
        )
    except issuance.IssuanceRefused as refusal:
        form.add_error(_field_of(refusal), refusal.sentence)
        return render(request, "ca/new.html", {"form": form, "has_issuer": True}, status=422)
    ignored = [each.value for each in asked.names if each not in wanted]
    context = {
        "issuer": data["issuer"],
        "csr": asked.pem,
        "names": "\n".join(each.value for each in wanted),
        "title": wanted[0].shown(),
        "days": data["days"],
        "ignored": ignored,
        "fields": labelled(
            [
                field
                for field in describe.fields(describe.of_prepared(tbs))
                if field.code != "serial"
            ]
        ),
        "rules": len(lints.ALL),
    }
    return render(request, "ca/preview.html", context)


def _field_of(refusal: issuance.IssuanceRefused) -> str | None:
    """The form's field a refusal belongs to."""
    if isinstance(refusal, preparation.NamesRefused):
        return "names"
    if isinstance(refusal, preparation.LifeRefused):
        return "days"
    if isinstance(refusal, preparation.IssuerUnable):
        return "issuer"
    return "csr" if isinstance(refusal, preparation.RequestUnreadable) else None


def _order_context(order: Order) -> dict[str, Any]:
    steps = [
        ("requested", _("Asked for"), True),
        ("key", _("The key is made, and its request is here"), bool(order.csr_pem)),
        ("signing", _("The signer checks every rule and signs"), order.state == Order.ISSUED),
    ]
    rows: list[dict[str, str]] = []
    for _code, text, done in steps:
        state = "done" if done else "todo"
        if not done and not any(row["state"] in ("busy", "failed") for row in rows):
            state = "failed" if order.state == Order.REFUSED else "busy"
        rows.append({"state": state, "text": text})
    return {
        "order": order,
        "steps": rows,
        "kind": LOOKS[order.state],
        "live": order.state not in states.final(states.ORDER),
        "profile": wording.PROFILES.get(order.profile, order.profile),
    }


@require_GET
@requires("ca.view")
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """An order, live until it ends."""
    found = get_object_or_404(
        Order.objects.select_related("issuer", "certificate", "requested_by"), pk=pk
    )
    part = request.headers.get("HX-Request") == "true"
    template = "ca/_order.html" if part else "ca/order.html"
    return render(request, template, _order_context(found))


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
            by=request.user,
            at=timezone.now(),
        )
    except issuance.OrderEnded as refusal:
        messages.error(request, refusal.sentence)
    return redirect("ca:order", pk=pk)
