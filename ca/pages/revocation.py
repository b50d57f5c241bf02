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
from ca.models import Certificate, Issuer
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
        said = f"{said} {_who_knows(found.issuer)}"
        messages.success(request, said)
    return redirect("ca:certificate", pk=pk)


def _who_knows(issuer: Issuer) -> str:
    if issuer.has_key_at_hand:
        return _("Clients that ask (OCSP) know at once; the next list says so in a moment.")
    if issuer.key_kept == Issuer.UNDER_PASSPHRASE:
        return _("The root's list must be renewed with its passphrase for clients to know.")
    return _("Its authority's key is not with this console: tell those who keep it.")


@require_POST
@requires("ca.issue")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    reason = request.POST.get("reason", "")
    return _act(request, pk, revocation.revoke, _("Revoked."), reason=reason)


@require_POST
@requires("ca.issue")
def hold(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, revocation.hold, _("On hold."))


@require_POST
@requires("ca.issue")
def release(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, revocation.release, _("Taken off hold."))
