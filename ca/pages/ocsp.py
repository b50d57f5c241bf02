"""Whether a certificate still counts: the OCSP responder's address (RFC 6960 appendix A).

POST with the request as the body, or GET with its Base64 form in the path. Whatever comes in, the
answer is an OCSP message with status 200; without a nonce a signature is kept and used again for
as long as the rows say the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.utils import timezone

from ca import ocsp, responders
from ca.responders import Ready

log = logging.getLogger(__name__)

# How long an answer may be relied on, and for how long of that the same signature is used.
LIFE = timedelta(hours=1)
SIGNATURE_LIFE = LIFE / 2
# What a cache on the way may keep, and so how late somebody behind it may learn of a revocation.
CACHE_SECONDS = 300
# Signatures kept in a process: 8 MB at most.
MOST_KEPT, LONGEST_KEPT = 4096, 512

_LONGEST_PATH = ocsp.MOST_OCTETS * 4 // 3 + 4
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Signed:
    """An answer, what it says, since when that is true, and until when it may be relied on."""

    content: bytes
    statuses: list[ocsp.Status]
    this_update: datetime
    until: datetime


# By the responder's certificate and the request, as it came.
_kept: dict[tuple[int, bytes], Signed] = {}


def forget() -> None:
    """Drop every kept signature (a test)."""
    _kept.clear()


def answer(request: HttpRequest, public_id: str, encoded: str = "") -> HttpResponseBase:
    """The answer of the issuer's responder."""
    if request.method == "POST":
        der = _body(request)
    elif request.method in ("GET", "HEAD"):
        der = _decoded(encoded)
    else:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    at = timezone.now()
    try:
        asked = ocsp.parse(der)
        found, statuses = responders.look_up(public_id, asked.certificates, at=at)
    except ocsp.Malformed:
        return _said(ocsp.error(ocsp.MALFORMED))
    except responders.NotReady as refusal:
        return _said(ocsp.error(ocsp.TRY_LATER if refusal.known else ocsp.UNAUTHORIZED))
    except DatabaseError:
        log.exception("OCSP: the database does not answer")
        return _said(ocsp.error(ocsp.TRY_LATER))
    # RFC 5019 section 2.2.3: it may not speak for whom it is asked about
    if not any(found.speaker.answers_for(each) for each in asked.certificates):
        return _said(ocsp.error(ocsp.UNAUTHORIZED))
    signed = _signed(found, der, asked, statuses, at)
    response = _said(signed.content)
    if request.method != "POST" and _may_be_kept(asked, statuses):
        _let_caches_keep(response, signed, at)
    return response


def _body(request: HttpRequest) -> bytes:
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return b""
    if not length and request.META.get("wsgi.input_terminated"):  # in chunks, of no known length
        return bytes(request.META["wsgi.input"].read(ocsp.MOST_OCTETS + 1))
    return request.read(length) if 0 < length <= ocsp.MOST_OCTETS else b""


def _decoded(encoded: str) -> bytes:
    """Base64 of a path, its percent signs already gone; some clients leave the padding out."""
    if len(encoded) > _LONGEST_PATH:
        return b""
    plain = encoded.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _may_be_kept(asked: ocsp.Request, statuses: list[ocsp.Status]) -> bool:
    # What is unknown is not kept either: anybody can ask for any number of serial numbers.
    return asked.nonce is None and ocsp.UNKNOWN not in statuses


def _signed(
    found: Ready,
    der: bytes,
    asked: ocsp.Request,
    statuses: list[ocsp.Status],
    at: datetime,
) -> Signed:
    """A kept answer if it still says the truth, or a new one."""
    key = (found.version, der)
    kept = _kept.get(key) if asked.nonce is None else None
    if (
        kept is not None
        and kept.statuses == statuses
        and at < min(kept.this_update + SIGNATURE_LIFE, kept.until)
    ):
        return kept
    until = min(at + LIFE, found.speaker.certificate.not_valid_after_utc)
    content = ocsp.answer(asked, statuses, responder=found.speaker, at=at, until=until)
    signed = Signed(content, statuses, at, until)
    if len(der) <= LONGEST_KEPT and _may_be_kept(asked, statuses):
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = signed
    return signed


def _said(content: bytes) -> HttpResponse:
    response = HttpResponse(content, content_type="application/ocsp-response")
    response["Cache-Control"] = "no-store"
    return response


def _let_caches_keep(response: HttpResponse, signed: Signed, at: datetime) -> None:
    """RFC 5019 section 6.2: what a cache between the client and here may do with it."""
    seconds = min(CACHE_SECONDS, int((signed.until - at).total_seconds()))
    response["Cache-Control"] = f"public, no-transform, must-revalidate, max-age={seconds}"
    response["ETag"] = f'"{hashlib.sha256(signed.content).hexdigest()[:40]}"'
    response["Last-Modified"] = _http_date(signed.this_update)
    response["Expires"] = _http_date(signed.until)


def _http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)
