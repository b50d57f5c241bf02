"""The page of flags in a real browser: the audit runs and finds test/test, which is suspended; a
flag is set aside."""

import pytest
from django.utils import timezone

from accounts import flags, tasks, weakness
from accounts.models import Flag, Mailbox

# Of "test".
MD5 = "{CRYPT}$1$abcd$T2SbKcrpFB8biuNpvb0F4."


@pytest.fixture
def base(live_server):
    return live_server.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def forgotten(world):
    at = timezone.now()
    domain = world.mailbox.domain
    return Mailbox.objects.create(
        domain=domain, local_part="test", address=f"test@{domain.name}", password=MD5,
        password_set_at=at, state_since=at, created_at=at,
    )  # fmt: skip


@pytest.mark.parametrize("width", [1280, 360])
def test_the_account_of_the_story_is_found_and_suspended(
    browse, base, forgotten, sign_in, watch, width
):
    page = browse(width=width)
    sign_in(page)
    page.goto(base + "/accounts/flags/")
    page.get_by_role("button", name="Start an audit").click()
    page.get_by_role("button", name="Stop the audit").wait_for()
    tasks.audit_passwords(weakness.latest().pk)
    page.get_by_role("button", name="Start an audit").wait_for()  # it ended, and the page knows
    page.reload()
    page.get_by_text("The password is the account's own name.").wait_for()
    page.get_by_label(f"Tick {forgotten.address}, Weak password").check()
    page.get_by_role("button", name="Suspend…").click()
    page.get_by_role("button", name="Suspend", exact=True).click()
    page.get_by_text("1 account is suspended.").wait_for()
    forgotten.refresh_from_db()
    assert forgotten.state == "suspended"
    assert not watch.problems


def test_a_flag_is_set_aside_with_a_reason(browse, base, forgotten, sign_in, watch):
    flags.refresh(at=timezone.now())
    page = browse()
    sign_in(page)
    page.goto(base + "/accounts/flags/?kind=test_named")
    page.get_by_label(f"Tick {forgotten.address}, Named like a test").check()
    page.get_by_role("button", name="Set aside…").click()
    page.get_by_label("Why it may stay").fill("the monitoring sends with it")
    page.get_by_role("button", name="Set aside", exact=True).click()
    page.get_by_text("1 flag is set aside.").wait_for()
    page.get_by_role("link", name="Set aside 1").click()
    page.get_by_text("the monitoring sends with it").wait_for()
    flag = Flag.objects.get(mailbox=forgotten, kind="test_named")
    assert flag.exempt_reason == "the monitoring sends with it"
    assert not watch.problems
