"""Revoking, holding and releasing from a certificate's page."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from ca import profiles, revocation
from ca.models import Certificate
from core import roles
from core.access import NotAllowed, requires


def _found(request: HttpRequest, pk: int) -> Certificate:
    """The certificate; an authority's is the owner's alone to revoke."""
    found = get_object_or_404(Certificate.objects.select_related("issuer"), pk=pk)
    if found.profile in profiles.AUTHORITY_PROFILES and not roles.may(request.user, "ca.manage"):  # type: ignore[arg-type]
        raise NotAllowed("ca.manage")
    return found


def _said(request: HttpRequest, found: Certificate, text: str) -> HttpResponse:
    if found.issuer.is_root:
        text += " " + _("The root's list must be renewed with its passphrase for clients to know.")
    messages.success(request, text)
    return redirect("ca:certificate", pk=found.pk)


def _refused(request: HttpRequest, pk: int, refusal: revocation.NotRevocable) -> HttpResponse:
    messages.error(request, refusal.sentence)
    return redirect("ca:certificate", pk=pk)


@require_POST
@requires("ca.issue")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    found = _found(request, pk)
    reason = request.POST.get("reason", "")
    try:
        revocation.revoke(certificate=found, reason=reason, by=request.user, at=timezone.now())  # type: ignore[arg-type]
    except revocation.NotRevocable as refusal:
        return _refused(request, pk, refusal)
    return _said(request, found, _("Revoked. The next list says so."))


@require_POST
@requires("ca.issue")
def hold(request: HttpRequest, pk: int) -> HttpResponse:
    found = _found(request, pk)
    try:
        revocation.hold(certificate=found, by=request.user, at=timezone.now())  # type: ignore[arg-type]
    except revocation.NotRevocable as refusal:
        return _refused(request, pk, refusal)
    return _said(request, found, _("On hold. The next list says so."))


@require_POST
@requires("ca.issue")
def release(request: HttpRequest, pk: int) -> HttpResponse:
    found = _found(request, pk)
    try:
        revocation.release(certificate=found, by=request.user, at=timezone.now())  # type: ignore[arg-type]
    except revocation.NotRevocable as refusal:
        return _refused(request, pk, refusal)
    return _said(request, found, _("Taken off hold. The next list leaves it out."))
