"""Pages: what is due, the renewal of one certificate, and "the new one is in use"."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from ca import ending, issuance, notices, parcels, preparation, refused, renewal
from ca.forms.renewals import RenewForm
from ca.models import Certificate, Issuer, Order
from ca.wording.renewal import due_reasons
from core import roles
from core.access import NotAllowed, requires


@require_GET
@requires("ca.view")
def due(request: HttpRequest) -> HttpResponse:
    """What ends soon, why it is here, and what to do."""
    now = timezone.now()
    page = ending.page_of(request.GET, at=now)
    first = "after" not in request.GET and "before" not in request.GET
    return render(
        request,
        "ca/due.html",
        {
            "page": page,
            "rows": [{"due": each, "reasons": due_reasons(each)} for each in page],
            "authorities": [
                {"due": each, "reasons": due_reasons(each), "lists": _lists(each)}
                for each in (ending.authorities(now) if first else [])
            ],
            "mail": notices.standing(now),
            "has_certificates": bool(page.rows) or Certificate.objects.leaves().exists(),
        },
    )


def _lists(due: ending.DueAuthority) -> bool:
    """Whether its list is all that it wants."""
    return all(reason.startswith("list_") for reason in due.reasons)


@sensitive_post_parameters("passphrase", "passphrase_again")
@sensitive_variables()
@requires("ca.issue")
def renew(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the next certificate: names, profile and issuer are the old one's."""
    found = get_object_or_404(Certificate.objects.select_related("issuer"), pk=pk)
    needed = preparation.permission(found.profile)
    if not roles.may(request.user, needed):  # type: ignore[arg-type]
        raise NotAllowed(needed)
    now = timezone.now()
    made_by = Order.objects.filter(certificate=found).first()
    form = RenewForm(request.POST or None, request.FILES or None, order=made_by)
    refusal: issuance.IssuanceRefused | None = None
    try:
        renewal.check(found, at=now)
        if request.method == "POST" and form.is_valid():
            with refused.noted(by=request.user, at=now):
                order = renewal.request(
                    certificate=found,
                    days=form.cleaned_data["days"],
                    by=request.user,
                    at=now,
                    **form.wish(made_by),
                )
            return redirect("ca:order", pk=order.pk)
    except renewal.NotRenewable as error:
        if error.status == 422:
            form.add_error("csr", error.sentence)
        else:
            refusal = error
    except issuance.IssuanceRefused as error:
        field = _field_of(error)
        form.add_error(field if field in form.fields else None, error.sentence)
    status = refusal.status if refusal and request.method == "POST" else 200
    context: dict[str, Any] = {
        "certificate": found,
        "form": form,
        "refusal": refusal.sentence if refusal else "",
        "on_host": made_by is not None and made_by.way == Order.HOST,
        "in_browser": made_by is not None and made_by.way == Order.BROWSER,
        "issuer": renewal.signed_by(found),
        "able": renewal.signed_by(found).able_to_issue(now),
        "profile": preparation.profile_label(found.profile),
        "has_issuer": Issuer.objects.able_to_issue(now).exists(),
    }
    return render(request, "ca/renew.html", context, status=422 if form.errors else status)


def _field_of(refusal: issuance.IssuanceRefused) -> str | None:
    """The form's field a refusal belongs to; what concerns the old one's names is the page's."""
    if isinstance(refusal, preparation.LifeRefused):
        return "days"
    if isinstance(refusal, parcels.KeyRefused):
        return refusal.field
    return "csr" if isinstance(refusal, preparation.RequestUnreadable) else None


@require_POST
@requires("ca.issue")
def supersede(request: HttpRequest, pk: int) -> HttpResponse:
    """The certificate is in use; the one it renews is superseded."""
    found = get_object_or_404(Certificate.objects.select_related("renews"), pk=pk)
    try:
        old = renewal.supersede(certificate=found, by=request.user, at=timezone.now())
    except (renewal.NotReplaced, issuance.IssuanceRefused) as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request,
            _("“%(name)s” with serial number %(serial)s is superseded.")
            % {"name": old.title, "serial": old.serial},
        )
    return redirect("ca:certificate", pk=pk)
