"""Accounts in a real browser: names and passwords are judged while they are typed, the page makes a
password, several accounts are suspended at once, all of it on a phone as well."""

import re

import pytest

from accounts import hashing
from accounts.models import Domain, Mailbox
from tests.browser.world import PASSWORD


@pytest.fixture
def base(live_server):
    return live_server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_account_of_the_story_cannot_be_made(browse, base, world, sign_in, watch, width):
    page = browse(width=width)
    sign_in(page)
    page.goto(base + "/accounts/new/")
    page.get_by_label("Name before the @").fill("test")
    page.get_by_text("looks like an account for a test").wait_for()
    page.get_by_label("Password", exact=True).fill("test")
    verdict = page.locator("#password-verdict")
    verdict.get_by_text("It has 4 characters; 12 are the least.").wait_for()
    for words in ("account's own name", "most used passwords", "too easy to guess"):
        assert verdict.get_by_text(words).is_visible()
    page.get_by_role("button", name="Make the account").click()
    page.get_by_text("Nothing was changed").wait_for()
    assert not Mailbox.objects.filter(local_part="test").exists()
    assert not watch.problems


def test_the_page_makes_a_password_that_is_stored_as_it_was_shown(
    browse, base, world, sign_in, watch
):
    page = browse()
    sign_in(page)
    page.goto(base + "/accounts/new/")
    page.get_by_label("Name before the @").fill("Zoe")
    made = set()
    for _ in range(3):
        page.get_by_role("button", name="Make one for me").click()
        made.add(page.get_by_label("Password", exact=True).input_value())
    assert len(made) == 3
    assert all(re.fullmatch(r"([a-z]{5}[2-9]-){3}[a-z]{5}[2-9]", one) for one in made)
    page.get_by_text("Good: nothing speaks against it.").wait_for()
    field = page.get_by_label("Password", exact=True)
    assert field.get_attribute("type") == "text"
    page.get_by_role("button", name="Show the password").click()
    assert field.get_attribute("type") == "password"
    shown = field.input_value()
    page.get_by_role("button", name="Make the account").click()
    page.get_by_text("was made.").wait_for()
    stored = Mailbox.objects.get(local_part="zoe")
    assert hashing.matches(stored.password, shown)
    assert shown not in page.content() and shown not in page.url
    assert not watch.problems


def test_the_page_makes_what_the_strictest_domain_takes(browse, base, world, sign_in, watch):
    Domain.objects.update(password_rule="own", least_length=64, least_score=4)
    page = browse()
    sign_in(page)
    page.goto(base + "/accounts/new/")
    page.get_by_text("At least 64 characters").wait_for()
    page.get_by_label("Name before the @").fill("zoe")
    page.get_by_role("button", name="Make one for me").click()
    page.get_by_text("Good: nothing speaks against it.").wait_for()
    assert len(page.get_by_label("Password", exact=True).input_value()) >= 64
    assert not watch.problems


def test_a_domain_is_given_its_limits(browse, base, world, sign_in, watch):
    page = browse(width=360)
    sign_in(page)
    page.goto(base + "/accounts/domains/")
    page.get_by_role("link", name="example.test", exact=True).click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Mailboxes at most").fill("7")
    page.get_by_label("Passwords").select_option("long")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("of 7 at most").wait_for()
    page.get_by_text("15 characters").first.wait_for()
    assert not watch.problems


def test_the_verdict_follows_the_name(browse, base, world, sign_in, watch):
    page = browse()
    sign_in(page)
    page.goto(base + "/accounts/new/")
    page.get_by_label("Password", exact=True).fill("maximilian-2026")
    page.locator("#password-verdict li, #password-verdict .status-ok").first.wait_for()
    name = page.get_by_label("Name before the @")
    name.fill("maximilian")
    name.blur()
    page.get_by_text("It is made from the account's name").wait_for()
    assert not watch.problems


def test_several_are_suspended_after_one_question(browse, base, world, sign_in, watch):
    page = browse()
    sign_in(page)
    page.goto(base + "/accounts/?state=active")
    suspend = page.get_by_role("button", name="Suspend…")
    assert suspend.is_disabled()
    page.get_by_role("checkbox", name="Tick all on this page").check()
    assert suspend.is_enabled()
    active = Mailbox.objects.in_state("active").count()
    assert page.get_by_text(f"ticked: {active}").is_visible()
    suspend.click()
    page.get_by_label("Reason").fill("stolen")
    assert Mailbox.objects.in_state("active").count() == active
    page.get_by_role("button", name="Suspend").click()
    page.get_by_text("suspended.").wait_for()
    assert Mailbox.objects.in_state("active").count() == 0
    assert page.url.endswith("?state=active")
    assert not watch.problems


def test_all_are_ticked_at_once_on_a_phone(browse, base, world, sign_in, watch):
    page = browse(width=360, height=740)
    sign_in(page)
    page.goto(f"{base}/accounts/")
    every = page.get_by_role("checkbox", name="Tick all on this page")
    assert every.count() == 1, "the other is in the head, which is not shown"
    every.check()
    rows = page.locator("tbody input[type=checkbox]")
    assert rows.count() > 1 and all(box.is_checked() for box in rows.all())
    rows.first.uncheck()
    assert not every.is_checked()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not watch.problems


def test_suspend_and_resume_on_a_phone(browse, base, world, sign_in, watch):
    page = browse(width=360, height=740)
    sign_in(page)
    page.goto(f"{base}/accounts/{world.mailbox.pk}/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Suspend…").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_text("open sessions end").is_visible()
    dialog.get_by_label("Reason").fill("stolen")
    dialog.get_by_role("button", name="Suspend").click()
    page.get_by_text("is suspended").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    page.get_by_text("is active again.").wait_for()
    world.mailbox.refresh_from_db()
    assert world.mailbox.state == "active" and hashing.matches(world.mailbox.password, PASSWORD)
    assert not watch.problems
