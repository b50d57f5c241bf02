"""Calls about authorities."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema

from ca.models import Issuer
from core.api_auth import Token

router = Router()


class AuthorityOut(Schema):
    id: int
    name: str
    parent: int | None
    key: str
    permitted: list[str]
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    can_issue: bool
    certificate: int
    pem: str


def _authority(issuer: Issuer) -> AuthorityOut:
    certificate = issuer.certificate
    if certificate is None:
        raise ValueError(f"{issuer} has no certificate")
    return AuthorityOut(
        id=issuer.pk,
        name=issuer.name,
        parent=issuer.parent_id,
        key=certificate.key_label,
        permitted=issuer.permitted,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        fingerprint_sha256=certificate.fingerprint_sha256,
        can_issue=issuer.able_to_issue(timezone.now()),
        certificate=certificate.pk,
        pem=certificate.pem,
    )


@router.get("/authorities", auth=Token("ca:read"), response=list[AuthorityOut])
def authorities(request: HttpRequest) -> list[AuthorityOut]:
    """Every authority; a root's `parent` is null."""
    rows = Issuer.objects.exclude(certificate=None).select_related("certificate")
    return [_authority(issuer) for issuer in rows]


@router.get("/authorities/{pk}", auth=Token("ca:read"), response=AuthorityOut)
def authority(request: HttpRequest, pk: int) -> AuthorityOut:
    rows = Issuer.objects.exclude(certificate=None).select_related("certificate")
    return _authority(get_object_or_404(rows, pk=pk))
