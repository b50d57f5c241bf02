"""The page that gets a root onto devices: for everybody, without a login, a cookie or a session.

The language is in the address, since it may be opened over plain http: a device that does not trust
the root yet cannot check the console's own certificate. That is why the page asks to compare the
fingerprint by another way.
"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import qrcode
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.views.decorators.http import require_safe
from qrcode.image.svg import SvgPathImage

from ca import describe, export, trust
from ca.models import Issuer
from ca.pages.certificate import saved

# The address' ending, the form it gives, and how devices know it (RFC 2585 has no type for a root
# that is to be installed; this one is what Windows, Android and iOS act on).
AUTHORITY_TYPE = "application/x-x509-ca-cert"
FILES = {
    "cer": ("der", AUTHORITY_TYPE),
    "crt": ("pem", AUTHORITY_TYPE),
    "mobileconfig": ("mobileconfig", export.FORMS["mobileconfig"].kind),
    "p12": ("p12", export.FORMS["p12"].kind),
}
SECONDS = 300
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# How a device's browser gives itself away; the first that fits.
DEVICES = (
    ("iPhone", "ios"),
    ("iPad", "ios"),
    ("Android", "android"),
    ("Windows", "windows"),
    ("Mac OS X", "macos"),
    ("Linux", "linux"),
)


def _language(request: HttpRequest) -> str:
    asked = request.GET.get("language", "")
    return asked if asked in dict(settings.LANGUAGES) else translation.get_language()


def _device(request: HttpRequest) -> str:
    agent = request.headers.get("User-Agent", "")
    return next((device for sign, device in DEVICES if sign in agent), "")


def address(request: HttpRequest, root: Issuer) -> str:
    """Where others find the page: where it was asked for, unless that is this machine alone."""
    path = reverse("trust:root", args=[root.public_id])
    here = request.build_absolute_uri(path)
    if urlsplit(here).hostname in LOOPBACK and root.origin:
        return root.origin + path
    return here


def _drawn(text: str) -> str:
    """A QR code as an image in the page: an SVG of one path."""
    drawn = qrcode.make(text, image_factory=SvgPathImage, border=2).to_string()
    return "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()


def _lines(fingerprint: str) -> list[str]:
    """Eight bytes a line, to read out on the telephone."""
    return [fingerprint[at : at + 24] for at in range(0, len(fingerprint), 24)]


@require_safe
@login_not_required
def roots(request: HttpRequest) -> HttpResponse:
    """Every root; where there is one, its page."""
    found = list(trust.roots(timezone.now()))
    if len(found) == 1:
        query = request.GET.urlencode()
        return redirect(
            reverse("trust:root", args=[found[0].public_id]) + (f"?{query}" if query else "")
        )
    language = _language(request)
    with translation.override(language):
        context = {"roots": found, "language": language, "csrf_token": ""}
        return render(request, "ca/roots.html", context)


@require_safe
@login_not_required
def root(request: HttpRequest, public_id: str) -> HttpResponse:
    found = get_object_or_404(Issuer.objects.roots().by_public_id(public_id))
    if found.certificate_id is None:
        raise Http404
    certificate = trust.newest(found)
    page = address(request, found)
    language = _language(request)
    sha256, sha1 = describe.fingerprints(certificate.parsed)
    with translation.override(language):
        context = {
            "root": found,
            "certificate": certificate,
            "expired": certificate.is_expired(timezone.now()),
            "sha256": _lines(sha256.values[0]),
            "sha1": _lines(sha1.values[0]),
            "signed_for": trust.signed_for(found),
            "address": page,
            "code": _drawn(page),
            "file": export.file_name(certificate, "pem").removesuffix(".pem"),
            "device": _device(request),
            "language": language,
            # Nothing is posted from here, and a token would set a cookie.
            "csrf_token": "",
        }
        return render(request, "ca/root.html", context)


@require_safe
@login_not_required
def download(request: HttpRequest, public_id: str, ending: str) -> HttpResponse:
    found = get_object_or_404(Issuer.objects.roots().by_public_id(public_id))
    if ending not in FILES or found.certificate_id is None:
        raise Http404
    form, kind = FILES[ending]
    certificate = trust.newest(found)
    stem = export.file_name(certificate, "pem").removesuffix(".pem")
    answer = saved(
        export.content_of(certificate, form), export.Form(ending, kind), f"{stem}.{ending}"
    )
    answer["Cache-Control"] = f"public, max-age={SECONDS}"
    return answer
