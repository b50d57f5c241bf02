"""Bearer tokens for `/api/v1`, each with scopes.

    @router.get("/mailboxes", auth=Token("accounts:read"))

The operator who made the token is the actor, and his role is asked as in the pages: a token never
may more than its maker. `request.auth` is the operator.
"""

import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from core import audit, roles
from core.access import NotAllowed, address_of
from core.models import ApiToken, Operator

# Each scope, and the permission without which its holder's role gives him nothing there.
SCOPES = {
    "ca:read": "ca.view",
    "ca:issue": "ca.issue",
    "accounts:read": "accounts.view",
    "accounts:write": "accounts.help",
    "deploy:read": "deploy.view",
    "deploy:write": "deploy.rollout",
}

PREFIX = "mla_"
# `last_used_at` is written at most this often: reading must not turn into writing.
NOTE_USE_EVERY = timedelta(minutes=5)


class ScopeMissing(Exception):
    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class Token(HttpBearer):
    """Authenticates `Authorization: Bearer mla_…` and asks for one scope."""

    def __init__(self, scope: str) -> None:
        if scope not in SCOPES:
            raise KeyError(scope)
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Operator | None:
        now = timezone.now()
        found = usable(token, now)
        if found is None:
            return None
        if self.scope not in found.scopes:
            raise ScopeMissing(self.scope)
        if not roles.may(found.operator, SCOPES[self.scope]):
            raise NotAllowed(SCOPES[self.scope])
        return used(found, request, now)


class AnyToken(HttpBearer):
    """A token with any scope at all, of an operator with any role."""

    def authenticate(self, request: HttpRequest, token: str) -> Operator | None:
        now = timezone.now()
        found = usable(token, now)
        return used(found, request, now) if found else None


def usable(secret: str, at: datetime) -> ApiToken | None:
    return ApiToken.objects.usable(at).for_secret(secret).select_related("operator").first()


def used(token: ApiToken, request: HttpRequest, at: datetime) -> Operator:
    """Notes that the token was used; its operator, with the address the call came from."""
    if token.last_used_at is None or at - token.last_used_at > NOTE_USE_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=at)
    token.operator.address = address_of(request)
    return token.operator


def scopes_for(operator: Operator) -> list[str]:
    """The scopes that are of any use to the operator's role."""
    return [scope for scope, permission in SCOPES.items() if roles.may(operator, permission)]


def create_token(
    *, name: str, scopes: list[str], expires_at: datetime | None, by: Operator, at: datetime
) -> tuple[ApiToken, str]:
    """The token row and its secret, which is shown once and not stored."""
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    secret = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            operator=by,
            name=name,
            scopes=sorted(set(scopes)),
            digest=ApiToken.digest_of(secret),
            created_at=at,
            expires_at=expires_at,
        )
        audit.record(
            by=by,
            at=at,
            action="core.token.created",
            subject=name,
            detail={"scopes": token.scopes},
        )
    return token, secret


def revoke_token(*, token: ApiToken, by: Operator, at: datetime) -> None:
    """Revoking twice is one revocation."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
            audit.record(by=by, at=at, action="core.token.revoked", subject=token.name)
