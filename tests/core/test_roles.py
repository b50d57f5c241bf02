"""Roles, API tokens and their scopes."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from core import api_auth, roles
from core.models import ApiToken

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("role", "permission", "allowed"),
    [
        ("owner", "ca.manage", True),
        ("owner", "deploy.snippets", True),
        ("administrator", "ca.issue", True),
        ("administrator", "ca.manage", False),
        ("administrator", "deploy.snippets", False),
        ("auditor", "accounts.view", True),
        ("auditor", "accounts.manage", False),
        ("stranger", "accounts.view", False),
    ],
)
def test_the_table(role, permission, allowed) -> None:
    operator = type("O", (), {"role": role, "is_active": True})()
    assert roles.may(operator, permission) is allowed


def test_somebody_who_was_switched_off_may_nothing() -> None:
    operator = type("O", (), {"role": "owner", "is_active": False})()
    assert not any(roles.may(operator, permission) for permission in roles.PERMISSIONS)


def bearer(scope: str, secret: str):
    return api_auth.Token(scope).authenticate(RequestFactory().get("/"), secret)


def test_a_token_opens_its_scope_only_and_is_stored_as_a_digest(owner) -> None:
    token, secret = api_auth.create_token(
        name="ci", scopes=["ca:read"], expires_at=None, by=owner, at=AT
    )
    assert secret not in str(ApiToken.objects.values().get())
    assert bearer("ca:read", secret) == owner
    with pytest.raises(api_auth.ScopeMissing):
        bearer("accounts:write", secret)
    assert bearer("ca:read", secret + "x") is None
    api_auth.revoke_token(token=token, by=owner, at=AT)
    assert bearer("ca:read", secret) is None


def test_an_expired_token_and_one_of_a_switched_off_operator_do_not_open(owner) -> None:
    _, old = api_auth.create_token(
        name="old",
        scopes=["ca:read"],
        expires_at=timezone.now() - timedelta(seconds=1),
        by=owner,
        at=AT,
    )
    _, mine = api_auth.create_token(name="m", scopes=["ca:read"], expires_at=None, by=owner, at=AT)
    assert bearer("ca:read", old) is None
    owner.is_active = False
    owner.save()
    assert bearer("ca:read", mine) is None


def test_an_unknown_scope_cannot_be_asked_for(owner) -> None:
    with pytest.raises(KeyError):
        api_auth.create_token(name="x", scopes=["all"], expires_at=None, by=owner, at=AT)
