"""Downloads that clients make while they check a certificate: no login, no session, cacheable.

RFC 4387 and RFC 5280 section 4.2.2.1: DER, with the media types of RFC 2585.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from ca.models import Issuer, RevocationList

# A cache may keep a list this long at most: a revocation should be seen within the hour.
LIST_SECONDS = 3600
ISSUER_SECONDS = 86400


def _served(content: bytes, kind: str, *, seconds: int, changed: datetime) -> HttpResponse:
    response = HttpResponse(content, content_type=kind)
    response["Cache-Control"] = f"public, max-age={max(0, seconds)}"
    response["Last-Modified"] = format_datetime(changed, usegmt=True)
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
@login_not_required
def issuer(request: HttpRequest, public_id: str) -> HttpResponse:
    found = get_object_or_404(
        Issuer.objects.by_public_id(public_id)
        .exclude(certificate=None)
        .select_related("certificate")
    )
    return _served(
        found.certificate.der,
        "application/pkix-cert",
        seconds=ISSUER_SECONDS,
        changed=found.certificate.issued_at,
    )


@require_safe
@login_not_required
def revocation_list(request: HttpRequest, public_id: str) -> HttpResponse:
    found = get_object_or_404(RevocationList, issuer__public_id=public_id)
    left = int((found.next_update - timezone.now()).total_seconds())
    return _served(
        bytes(found.der),
        "application/pkix-crl",
        seconds=min(LIST_SECONDS, left),
        changed=found.this_update,
    )
