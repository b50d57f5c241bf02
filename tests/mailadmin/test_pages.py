"""Headers, errors and the frame that every page has."""

import pytest
from django.test import Client
from django.urls import reverse

from core.access import NotAllowed

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


@pytest.mark.parametrize("path", ["/session/login/", "/no-such-page/", "/healthz"])
def test_the_policy_is_on_every_answer(client, db, path):
    header = client.get(path)["Content-Security-Policy"]
    said = dict(part.strip().split(" ", 1) for part in header.split(";"))
    for directive, value in POLICY.items():
        assert said[directive] == value
    assert "unsafe" not in header


def test_healthz_needs_no_account(client, db):
    assert client.get("/healthz").content == b"ok\n"


def test_not_found_has_a_way_on(signed_in):
    answer = signed_in.get("/no-such-page/")
    assert answer.status_code == 404 and 'href="/"' in answer.content.decode()


def test_forbidden_says_who_can(rf, viewer):
    from mailadmin.views import forbidden

    request = rf.get("/")
    request.user = viewer
    page = forbidden(request, NotAllowed("deploy.snippets")).content.decode()
    assert "Owner" in page and "Operator" not in page


def test_a_form_without_its_token_says_that_nothing_changed(owner):
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/session/login/", {"login": "owner", "password": "x"})
    assert answer.status_code == 403 and "Nothing was changed" in answer.content.decode()


def test_a_server_error_shows_nothing_of_the_inside(signed_in, monkeypatch):
    from mailadmin import views_home

    def broken(**_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(views_home.first_run, "steps", broken)
    signed_in.raise_request_exception = False
    answer = signed_in.get("/welcome/")
    assert answer.status_code == 500
    page = answer.content.decode()
    assert "secret inside" not in page and "Mail is not affected" in page


def test_an_error_page_survives_a_broken_template(rf, monkeypatch):
    from mailadmin import views

    monkeypatch.setattr(views.loader, "render_to_string", lambda *a, **k: 1 / 0)
    answer = views.server_error(rf.get("/"))
    assert answer.status_code == 500 and answer.content == b"Error 500\n"


def test_every_page_is_within_ten_queries(signed_in, django_assert_max_num_queries):
    signed_in.get("/welcome/")
    for name in ("activity", "settings", "tokens", "welcome"):
        with django_assert_max_num_queries(14):  # ten, and the session's and operator's own
            signed_in.get(reverse(name))


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [("dark", "dark"), ("light", "light"), ("", "auto"), ('"><x', "&quot;&gt;&lt;x")],
)
def test_the_theme_is_in_the_first_byte(client, db, cookie, expected):
    client.cookies["mailadmin_theme"] = cookie
    page = client.get("/session/login/").content.decode()
    assert f'data-theme="{expected}"' in page
