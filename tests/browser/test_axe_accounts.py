"""Every page of accounts in four dressings, as `test_axe` looks at the others; and what a click
shows: the questions, the refusals, the link of an invitation."""

import pytest

from tests.browser.accounts_world import build
from tests.browser.test_axe import dressing, examine, open_in  # noqa: F401 - a fixture
from tests.browser.world import PASSWORD


@pytest.fixture
def accounts(world):
    return build(world)


def test_pages_of_accounts(browse, live_server, watch, dressing, sign_in, accounts):  # noqa: F811
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    problems = []
    for name, path in accounts.paths().items():
        answer = page.goto(base + path)
        if answer.status != 200:
            problems.append(f"{path} answers {answer.status}")
        problems += examine(page, watch, f"{dressing}/accounts-{name}")
    assert not problems, "\n".join(problems)


def test_what_a_click_shows(browse, live_server, watch, dressing, sign_in, accounts):  # noqa: F811
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    problems = []
    box = accounts.temporary.pk

    def look(name: str) -> None:
        # The browser logs the status of a refusal as a console error.
        watch.problems[:] = [each for each in watch.problems if "status of 4" not in each]
        problems.extend(examine(page, watch, f"{dressing}/accounts-{name}"))

    for verb in ("suspend", "close"):
        page.goto(base + "/accounts/?state=active")
        page.locator("tbody [type=checkbox]").first.check()
        page.locator(f"button[value={verb}]").click()
        look(f"selected-{verb}")
    page.goto(base + "/accounts/flags/")
    page.locator("tbody [type=checkbox]").first.check()
    page.locator("button[value=exempt]").click()
    look("flags-exempt")
    page.goto(f"{base}/accounts/{box}/")
    for dialog in ("suspend", "close", "invite"):
        page.locator(f"[data-dialog='{dialog}']").click()
        look(f"dialog-{dialog}")
        if dialog != "invite":
            page.locator(f"#{dialog} [data-close]").first.click()
    page.locator("#invite .btn-primary").click()
    page.locator("#invitation-link").wait_for()
    look("invited")
    link = page.locator("#invitation-link").input_value()
    page.goto(base + "/accounts/new/")
    page.locator("#id_local_part").fill("test")
    page.locator("#id_password").fill("test")
    page.locator("main form .btn-primary").last.click()
    page.locator(".invalid-feedback").first.wait_for()
    look("new-refused")
    page.goto(base + link.removeprefix(base))
    page.locator("#id_password").fill(PASSWORD + "zz")
    page.locator("main form .btn-primary").click()
    page.wait_for_load_state("networkidle")
    look("invitation-done")
    page.goto(base + link.removeprefix(base))
    look("invitation-refused")
    page.goto(base + f"/accounts/{box}/app-passwords/new/")
    page.locator("#id_name").fill("Scanner, 3rd floor")
    page.locator("#id_imap").check()
    page.locator("main form .btn-primary").click()
    page.wait_for_load_state("networkidle")
    look("app-password-made")
    page.goto(base + "/accounts/flags/policy/")
    page.locator("#id_on").check()
    page.locator("input[name=kinds][value=weak]").check()
    page.locator("main form .btn-primary").click()
    page.wait_for_load_state("networkidle")
    look("policy-ask")
    page.goto(base + f"/accounts/{accounts.closing.pk}/erase/")
    page.locator("main form .btn-danger").click()
    page.locator(".invalid-feedback").first.wait_for()
    look("erase-refused")
    assert not problems, "\n".join(problems)
