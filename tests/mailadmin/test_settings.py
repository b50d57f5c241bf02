"""Profile, language and API tokens."""

import pytest
from django.utils import timezone

from core import operators
from core.api_auth import SCOPES, create_token
from core.models import ApiToken, AuditEvent, Operator

FORM = {"name": "weekly report", "scopes": ["ca:read"], "days": "30"}


def test_a_token_is_shown_once_works_and_is_revoked(signed_in, client):
    page = signed_in.post("/settings/tokens/", FORM).content.decode()
    secret = page.split('id="token-secret">')[1].split("<")[0]
    assert secret.startswith("mla_")
    assert secret not in signed_in.get("/settings/tokens/").content.decode()
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    me = client.get("/api/v1/me", **headers)
    assert me.json() == {"username": "owner", "role": "owner"}
    token = ApiToken.objects.get()
    assert token.expires_at is not None
    signed_in.post(f"/settings/tokens/{token.pk}/revoke/")
    assert client.get("/api/v1/me", **headers).status_code == 401


def test_a_token_needs_a_scope(signed_in):
    assert signed_in.post("/settings/tokens/", {**FORM, "scopes": []}).status_code == 422
    assert not ApiToken.objects.exists()


OF_SCOPES = {
    "owner": set(SCOPES),
    "administrator": set(SCOPES),
    "auditor": {"ca:read", "accounts:read", "deploy:read"},
    "domain_manager": {"accounts:read", "accounts:write"},
    "helpdesk": {"accounts:read", "accounts:write"},
}


@pytest.mark.parametrize("role", OF_SCOPES)
def test_a_token_is_offered_what_is_of_use_to_the_role(client, db, role):
    operator = Operator.objects.create(username="o", role=role)
    client.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/settings/tokens/").content.decode()
    assert {scope for scope in SCOPES if f'value="{scope}"' in page} == OF_SCOPES[role]
    for scope in set(SCOPES) - OF_SCOPES[role]:
        answer = client.post("/settings/tokens/", {**FORM, "scopes": [scope]})
        assert answer.status_code == 422 and not ApiToken.objects.exists()
    answer = client.post("/settings/tokens/", {**FORM, "scopes": ["accounts:read"]})
    assert "mla_" in answer.content.decode()


def test_a_viewer_does_not_see_or_revoke_others_tokens(signed_in, viewer, client):
    signed_in.post("/settings/tokens/", FORM)
    token = ApiToken.objects.get()
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "weekly report" not in client.get("/settings/tokens/").content.decode()
    assert client.post(f"/settings/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None


def test_the_profile_changes_language_at_once_and_is_logged(signed_in, owner):
    answer = signed_in.post("/settings/", {"email": "new@example.test", "language": "zh-hant"})
    assert answer.status_code == 302
    owner.refresh_from_db()
    assert (owner.email, owner.language) == ("new@example.test", "zh-hant")
    event = AuditEvent.objects.get(action="core.operator.changed")
    assert event.detail["email"] == {"before": "owner@example.test", "after": "new@example.test"}
    assert 'lang="zh-hant"' in signed_in.get("/settings/").content.decode()


def test_the_profile_says_which_domains_are_ones_own(client, db):
    operator = Operator.objects.create(
        username="o", role="helpdesk", domains=["a.test", "xn--bcher-kva.test"]
    )
    client.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "a.test, bücher.test" in client.get("/settings/").content.decode()


def test_a_token_of_somebody_switched_off_says_so(signed_in, viewer):
    now = timezone.now()
    create_token(name="nightly", scopes=["ca:read"], expires_at=None, by=viewer, at=now)
    assert "operator is switched off" not in signed_in.get("/settings/tokens/").content.decode()
    operators.switch_off(operator=viewer, by=None, at=now)
    assert "operator is switched off" in signed_in.get("/settings/tokens/").content.decode()


def test_a_bad_address_changes_nothing(signed_in, owner):
    assert signed_in.post("/settings/", {"email": "no", "language": "en"}).status_code == 422
    owner.refresh_from_db()
    assert owner.email == "owner@example.test"


def test_nobody_takes_the_address_of_somebody_else(client, owner, viewer):
    """One signs in with it, and `restore_access` takes it."""
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post("/settings/", {"email": "Owner@example.test", "language": "en"})
    assert answer.status_code == 422 and "has this address already" in answer.content.decode()
    viewer.refresh_from_db()
    assert viewer.email == ""


def test_an_address_that_two_have_already_may_stay(client, owner, viewer):
    """They may, from before it was refused: the language is saved all the same."""
    type(viewer).objects.filter(pk=viewer.pk).update(email=owner.email)
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post("/settings/", {"email": owner.email, "language": "zh-hant"})
    assert answer.status_code == 302
    viewer.refresh_from_db()
    assert (viewer.email, viewer.language) == (owner.email, "zh-hant")


def test_language_switch_comes_back_and_never_leaves_the_site(client, db):
    answer = client.post("/language/", {"language": "zh-hant", "next": "/session/login/?next=/"})
    assert answer["Location"] == "/session/login/?next=/"
    assert 'lang="zh-hant"' in client.get("/session/login/").content.decode()
    for elsewhere in ("https://evil.example.test/", "//evil.example.test/", "javascript:1"):
        answer = client.post("/language/", {"language": "en", "next": elsewhere})
        assert answer["Location"] == "/"
    assert "mailadmin_language" not in client.post("/language/", {"language": "xx"}).cookies
    assert client.get("/language/").status_code == 405
