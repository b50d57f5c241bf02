"""The API's root: authentication and problem details."""

import pytest
from django.utils import timezone

from core.api_auth import create_token


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


def test_any_reading_scope_may_ask_who_it_is(client, token):
    assert call(client, "me", token("deploy:read")).status_code == 200


def test_the_description_needs_nothing(client, db):
    body = client.get("/api/v1/openapi.json").json()
    assert body["info"]["title"] == "Mailadmin" and "/api/v1/me" in body["paths"]
