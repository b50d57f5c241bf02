"""Revoking, holding and releasing from a certificate's page."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from ca import revocation
from ca.models import Certificate
from core import roles
from core.access import NotAllowed, requires


def _act(
    request: HttpRequest, pk: int, verb: Callable[..., None], said: str, **options: str
) -> HttpResponse:
    """Call the verb on the certificate, and lead back to its page with what came of it."""
    found = get_object_or_404(Certificate.objects.select_related("issuer"), pk=pk)
    needed = revocation.permission(found)
    if not roles.may(request.user, needed):  # type: ignore[arg-type]
        raise NotAllowed(needed)
    try:
        verb(certificate=found, by=request.user, at=timezone.now(), **options)
    except revocation.NotRevocable as refusal:
        messages.error(request, refusal.sentence)
    else:
        if found.issuer.is_root:
            said += " " + _(
                "The root's list must be renewed with its passphrase for clients to know."
            )
        messages.success(request, said)
    return redirect("ca:certificate", pk=pk)


@require_POST
@requires("ca.issue")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    said = _("Revoked. The next list says so.")
    return _act(request, pk, revocation.revoke, said, reason=request.POST.get("reason", ""))


@require_POST
@requires("ca.issue")
def hold(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, revocation.hold, _("On hold. The next list says so."))


@require_POST
@requires("ca.issue")
def release(request: HttpRequest, pk: int) -> HttpResponse:
    said = _("Taken off hold. The next list leaves it out.")
    return _act(request, pk, revocation.release, said)
