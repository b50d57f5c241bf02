"""What moves in the frame: theme, menus, dialogs, copying, live parts, and passkeys."""

import json
import re

import pytest
from django.urls import reverse
from django.utils import timezone


@pytest.fixture
def base(live_server):
    return live_server.url.replace("127.0.0.1", "localhost")


def test_the_theme_is_kept(browse, base, transactional_db, watch):
    page = browse()
    page.goto(base + "/session/login/")
    assert page.locator("html").get_attribute("data-bs-theme") == "light"
    page.get_by_label("Theme").first.click()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    page.reload()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    page.get_by_label("Theme").first.click()
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert not page.get_by_role("button", name="Dark").is_visible()
    assert not watch.problems


def test_the_language_is_switched_from_any_page(browse, base, world, sign_in):
    page = browse()
    sign_in(page)
    page.goto(base + "/activity/?area=accounts")
    page.get_by_role("button", name="中文").first.click()
    page.wait_for_url("**/activity/?area=accounts")
    assert page.locator("html").get_attribute("lang") == "zh-hant"
    assert page.get_by_role("link", name="憑證").is_visible()


def test_a_destructive_act_asks_once_by_keyboard(browse, base, world, sign_in):
    from core.models import ApiToken

    page = browse()
    sign_in(page)
    page.goto(base + "/settings/tokens/")
    revoke = page.get_by_role("button", name="Revoke").first
    revoke.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_text("cannot be undone").is_visible()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert ApiToken.objects.get().revoked_at is None
    revoke.click()
    dialog.get_by_role("button", name="Revoke").click()
    page.get_by_text("no longer works").wait_for()
    assert ApiToken.objects.get().revoked_at is not None


def test_the_new_token_can_be_copied(browse, base, world, sign_in):
    page = browse()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page)
    page.goto(base + "/settings/tokens/")
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("See hosts and rollouts").check()
    page.get_by_role("button", name="Make the token").click()
    secret = page.locator("#token-secret").inner_text()
    page.get_by_role("button", name="Copy").first.click()
    page.locator("#toasts").get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == secret


def test_a_live_part_asks_until_its_final_state(browse, base, world, sign_in):
    page = browse()
    sign_in(page)
    asked = []

    def answer(route):
        asked.append(route.request.headers)
        more = 'hx-get="/part/" hx-trigger="every 200ms" hx-swap="outerHTML"'
        more = more if len(asked) < 3 else ""
        route.fulfill(content_type="text/html", body=f'<div id="part" {more}>{len(asked)}</div>')

    page.route("**/part/", answer)
    page.goto(base + "/settings/")
    page.evaluate(
        """() => { const d = document.createElement('div'); d.id = 'part';
        d.setAttribute('hx-get', '/part/'); d.setAttribute('hx-trigger', 'every 200ms');
        d.setAttribute('hx-swap', 'outerHTML');
        document.querySelector('main').append(d); htmx.process(d); }"""
    )
    page.locator("#part", has_text="3").wait_for()
    page.wait_for_timeout(700)
    assert len(asked) == 3
    assert asked[0]["hx-request"] == "true" and asked[0]["x-csrftoken"]


def test_a_session_that_ended_shows_the_whole_sign_in_page(browse, base, world, sign_in):
    page = browse()
    sign_in(page)
    page.goto(base + "/settings/")
    page.context.clear_cookies(name="mailadmin_session")
    page.evaluate(
        """() => { const d = document.createElement('div');
        d.setAttribute('hx-get', '/activity/'); d.setAttribute('hx-trigger', 'load');
        document.querySelector('main').append(d); htmx.process(d); }"""
    )
    page.wait_for_url("**/session/login/**")
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_the_menu_on_a_phone(browse, base, world, sign_in):
    page = browse(width=360, height=740)
    sign_in(page)
    page.goto(base + "/welcome/")
    link = page.get_by_role("link", name="Activity")
    assert not link.is_visible()
    page.get_by_role("button", name="Menu").click()
    link.click()
    page.wait_for_url("**/activity/")


def test_the_keyboard_reaches_the_content_first(browse, base, world, sign_in):
    page = browse()
    sign_in(page)
    page.goto(base + "/welcome/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_setup_link_then_a_passkey_then_in_with_it(browse, base, transactional_db, watch):
    """From the setup link to a passkey, and back in with nothing typed."""
    from core import setup
    from core.models import Operator

    link = setup.new_link(at=timezone.now())
    page = browse()
    page.goto(base + link)
    page.get_by_label("Username").fill("mei")
    page.get_by_label("Email address").fill("mei@example.test")
    page.get_by_label("Password").fill("seventeen blue herons")
    page.get_by_role("button", name="Make the owner").click()
    page.wait_for_url("**/welcome/")

    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                "hasUserVerification": True, "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip
    page.goto(base + reverse("mfa_add_webauthn"))
    page.get_by_label("Name").fill("my phone")
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Each code lets you in once").wait_for()  # the recovery codes
    assert len(page.locator(".codes li").all()) == 10
    page.goto(base + reverse("mfa_list_webauthn"))
    assert page.get_by_text("my phone").is_visible()

    page.locator("summary[title='Your account']:visible").click()
    page.locator("button:visible", has_text="Sign out").click()
    page.wait_for_url(re.compile("/session/login/"))
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/welcome/")
    assert Operator.objects.get().username == "mei"
    assert not watch.problems, json.dumps(watch.problems)


def test_a_passkey_that_is_refused_says_so(browse, base, transactional_db):
    page = browse()
    page.goto(base + "/session/login/")
    page.evaluate(
        "() => { navigator.credentials.get = async () => { throw new Error('cancelled') } }"
    )
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("The passkey was not used").wait_for()
