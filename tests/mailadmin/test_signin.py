"""Signing in: by name or address, slowed down after failures, with second factors."""

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver, reverse

from core.models import AuditEvent, OneTimeLink
from tests.mailadmin.walking import API, address, pages

LOGIN = "/session/login/"
PASSWORD = "correct horse 42"


@pytest.fixture(autouse=True)
def no_earlier_failures(db):
    cache.clear()


@pytest.mark.parametrize("login", ["owner", "owner@example.test"])
def test_by_username_or_address(client, owner, login):
    answer = client.post(LOGIN, {"login": login, "password": PASSWORD})
    assert answer.status_code == 302 and answer["Location"] == "/"
    assert AuditEvent.objects.filter(action="core.operator.signed_in", subject="owner").exists()


def test_a_wrong_password_is_refused_without_saying_what_is_wrong(client, owner):
    wrong = client.post(LOGIN, {"login": "owner", "password": "wrong"})
    unknown = client.post(LOGIN, {"login": "nobody", "password": "wrong"})
    said = [
        re.findall(r'role="alert".*?<div>(.*?)</div>', a.content.decode(), re.S)
        for a in (wrong, unknown)
    ]
    assert said[0] and said[0] == said[1]


def test_failures_slow_down_even_the_right_password(client, owner):
    for _ in range(5):
        client.post(LOGIN, {"login": "owner", "password": "wrong"})
    answer = client.post(LOGIN, {"login": "owner", "password": PASSWORD})
    assert answer.status_code != 302
    assert "_auth_user_id" not in client.session
    assert "Too many" in answer.content.decode()


def test_another_operator_is_not_locked_out_by_it(client, owner, viewer):
    for _ in range(5):
        client.post(LOGIN, {"login": "owner", "password": "wrong"})
    answer = Client(REMOTE_ADDR="192.0.2.9").post(
        LOGIN, {"login": "viewer", "password": "only look 1234"}
    )
    assert answer.status_code == 302


def test_everything_asks_to_sign_in_first(client, db):
    for name in ("overview", "welcome", "activity", "settings", "tokens", "look"):
        answer = client.get(reverse(name))
        assert answer.status_code == 302 and answer["Location"].startswith(LOGIN), name


def test_nobody_signs_up_or_resets_by_mail(client, db):
    for path in (
        "/session/signup/",
        "/session/password/reset/",
        "/session/email/",
        "/session/closed/signup/",
    ):
        assert client.get(path).status_code in (302, 404), path
        assert client.post(path).status_code in (302, 403, 404), path
    assert "signup" not in client.get(LOGIN).content.decode()


def test_no_address_mends_a_password_by_mail(client, owner):
    """The console never trusts a mailbox that it may manage itself: who reads an operator's mail
    gets no way in by it. `restore_access` on the server, or an owner's link, does that."""
    given = {"email": owner.email, "login": owner.email, "username": owner.username}
    before = owner.password
    every = (route for route, _name, _view in pages(get_resolver()))
    walked = [route for route in every if not route.startswith(API)]  # a token's, not a browser's
    assert any("reset" in route for route in walked)
    for route in walked:
        for method in (client.get, client.post):
            method(address(route), given)
    owner.refresh_from_db()
    assert owner.password == before
    assert mail.outbox == []
    assert not OneTimeLink.objects.exists()
    assert "_auth_user_id" not in client.session


def test_authenticator_app_and_recovery_codes(client, owner):
    client.post(LOGIN, {"login": "owner", "password": PASSWORD})
    setup = "/session/2fa/totp/activate/"
    assert client.get(setup)["Location"].startswith("/session/reauthenticate/")
    client.post("/session/reauthenticate/", {"password": PASSWORD})
    page = client.get(setup).content.decode()
    secret = re.search(r'id="totp-secret">(\w+)<', page)[1]
    _before, _now, ahead = totp.yield_hotp_counters_from_time()
    too_old, code = (
        totp.format_hotp_value(totp.hotp_value(secret, counter)) for counter in (ahead - 4, ahead)
    )
    assert client.post(setup, {"code": too_old}).status_code == 200
    # The code of a phone that is half a minute ahead.
    assert client.post(setup, {"code": code}).status_code == 302
    assert client.get("/session/2fa/recovery-codes/").status_code == 200
    codes = Authenticator.objects.get(user=owner, type="recovery_codes").wrap().get_unused_codes()
    fresh = Client()
    first = fresh.post(LOGIN, {"login": "owner", "password": PASSWORD})
    assert first["Location"] == reverse("mfa_authenticate")
    assert fresh.get("/").status_code == 302  # not in yet
    assert fresh.get(first["Location"]).status_code == 200
    assert fresh.post(first["Location"], {"code": "000000"}).status_code == 200
    assert fresh.post(first["Location"], {"code": codes[0]}).status_code == 302
    assert fresh.get("/welcome/").status_code == 200


def test_signing_out_needs_a_post(signed_in):
    assert signed_in.get("/session/logout/").status_code == 200
    assert signed_in.get("/welcome/").status_code == 200
    assert signed_in.post("/session/logout/").status_code == 302
    assert signed_in.get("/welcome/").status_code == 302


def test_the_language_of_the_operator_comes_with_him(client, owner):
    owner.language = "zh-hant"
    owner.save()
    answer = client.post(LOGIN, {"login": "owner", "password": PASSWORD})
    assert answer.cookies["mailadmin_language"].value == "zh-hant"
    assert 'lang="zh-hant"' in client.get("/welcome/").content.decode()
