"""What clients fetch while they check a certificate: no login, no session, no cookie, any host.

Certificates and lists are DER with the media types of RFC 2585 (RFC 5280 sections 4.2.1.13 and
4.2.2.1); ETag and Last-Modified spare a client the list it has (RFC 9110 section 13).
`ca.early` answers with these views before any other middleware.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.utils import timezone
from django.utils.cache import get_conditional_response

from ca.models import Issuer, RevocationList

# A cache may keep a list this long at most: a revocation should be seen within the hour, by those
# who ask for the delta within five minutes.
LIST_SECONDS = 3600
DELTA_SECONDS = 300
ISSUER_SECONDS = 86400


def unknown() -> HttpResponse:
    return HttpResponse(b"Not found.\n", status=404, content_type="text/plain; charset=utf-8")


def _served(
    request: HttpRequest,
    content: Callable[[], bytes],
    kind: str,
    *,
    etag: str,
    changed: datetime,
    seconds: int,
) -> HttpResponseBase:
    """The file, or 304 when the client has it: `content` is read only when it is sent."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    response = get_conditional_response(
        request, etag=f'"{etag}"', last_modified=int(changed.timestamp())
    ) or HttpResponse(content(), content_type=kind)
    response["ETag"] = f'"{etag}"'
    response["Last-Modified"] = format_datetime(changed, usegmt=True)
    response["Cache-Control"] = f"public, max-age={max(0, seconds)}"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def issuer(request: HttpRequest, public_id: str) -> HttpResponseBase:
    found = (
        Issuer.objects.by_public_id(public_id)
        .exclude(certificate=None)
        .select_related("certificate")
        .first()
    )
    if found is None or found.certificate is None:
        return unknown()
    certificate = found.certificate
    return _served(
        request,
        lambda: certificate.der,
        "application/pkix-cert",
        etag=certificate.fingerprint_sha256[:32],
        changed=certificate.issued_at,
        seconds=ISSUER_SECONDS,
    )


def _list(request: HttpRequest, public_id: str, prefix: str, longest: int) -> HttpResponseBase:
    """The full list, or with the prefix "delta_" the delta. A large one is read only to be sent."""
    of_issuer = RevocationList.objects.filter(issuer__public_id=public_id)
    columns = [prefix + each for each in ("number", "this_update", "next_update")]
    found = of_issuer.values_list(*columns).first()
    if found is None or not found[0]:  # 0: none was signed yet
        return unknown()
    number, this_update, next_update = found
    left = int((next_update - timezone.now()).total_seconds())
    return _served(
        request,
        lambda: bytes(of_issuer.values_list(f"{prefix}der", flat=True).get()),
        "application/pkix-crl",
        etag=f"{number}-{int(this_update.timestamp())}",
        changed=this_update,
        seconds=min(longest, left),
    )


def revocation_list(request: HttpRequest, public_id: str) -> HttpResponseBase:
    return _list(request, public_id, "", LIST_SECONDS)


def delta_list(request: HttpRequest, public_id: str) -> HttpResponseBase:
    return _list(request, public_id, "delta_", DELTA_SECONDS)
