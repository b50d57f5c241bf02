"""The API's root: authentication and problem details."""

import pytest
from django.utils import timezone

from core.api_auth import create_token
from core.models import ApiToken, Operator


def call(client, path, secret=None, **more):
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"} if secret else {}
    return client.get(f"/api/v1/{path}", **headers, **more)


@pytest.fixture
def token(owner):
    def make(*scopes):
        return create_token(
            name="t", scopes=list(scopes), expires_at=None, by=owner, at=timezone.now()
        )[1]

    return make


def test_without_a_token_it_is_a_problem_not_a_login_page(client, db):
    answer = call(client, "me")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Bearer"
    body = answer.json()
    assert body["status"] == 401 and body["title"] and body["code"] == "TokenNeeded"


def test_a_session_cookie_is_no_token(signed_in):
    assert call(signed_in, "me").status_code == 401


def test_an_expired_token_is_refused(client, owner):
    now = timezone.now()
    secret = create_token(name="t", scopes=["ca:read"], expires_at=now, by=owner, at=now)[1]
    assert call(client, "me", secret).status_code == 401


def test_a_switched_off_operator_has_no_token(client, owner, token):
    secret = token("ca:read")
    owner.is_active = False
    owner.save()
    assert call(client, "me", secret).status_code == 401


def secret_of(role, *scopes, **more):
    operator = Operator.objects.create_user(username=role, password="x", role=role, **more)
    return create_token(
        name="t", scopes=list(scopes), expires_at=None, by=operator, at=timezone.now()
    )[1]


@pytest.mark.parametrize("role", ["domain_manager", "helpdesk"])
@pytest.mark.parametrize(
    ("path", "scope", "permission"),
    [
        ("certificates", "ca:read", "ca.view"),
        ("authorities", "ca:read", "ca.view"),
        ("profiles", "ca:read", "ca.view"),
        ("certificates/due", "ca:read", "ca.view"),
        ("hosts", "deploy:read", "deploy.view"),
        ("rollouts/1", "deploy:read", "deploy.view"),
    ],
)
def test_a_scope_does_not_give_what_the_role_has_not(client, db, role, path, scope, permission):
    answer = call(client, path, secret_of(role, scope, domains=["a.test"]))
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["code"], body["permission"]) == ("NotAllowed", permission)
    assert "Owner, Administrator, Auditor" in body["detail"]


def test_a_refused_call_is_not_a_use_of_the_token(client, db):
    call(client, "hosts", secret_of("helpdesk", "deploy:read"))
    assert ApiToken.objects.get().last_used_at is None


@pytest.mark.parametrize("scope", ["ca:read", "accounts:read", "deploy:write"])
def test_whatever_the_scope_and_the_role_it_may_ask_who_it_is(client, db, scope):
    answer = call(client, "me", secret_of("helpdesk", scope))
    assert answer.json() == {"username": "helpdesk", "role": "helpdesk"}
    assert ApiToken.objects.get().last_used_at is not None


def test_in_its_domains_a_token_reads(client, db):
    secret = secret_of("domain_manager", "accounts:read", domains=["a.test"])
    assert call(client, "mailboxes", secret).status_code == 200


def test_any_reading_scope_may_ask_who_it_is(client, token):
    assert call(client, "me", token("deploy:read")).status_code == 200


def test_the_description_needs_nothing(client, db):
    body = client.get("/api/v1/openapi.json").json()
    assert body["info"]["title"] == "Mailadmin" and "/api/v1/me" in body["paths"]
