"""Accounts out of a file in a real browser: look first, import, and find the lines that failed."""

import pytest

from accounts import tasks
from accounts.models import AccountImport, Mailbox
from tests.browser.world import PASSWORD

CSV = (
    f"address,password,display_name\nbert@example.test,{PASSWORD}xq,Bert\ntest@example.test,test,\n"
)


@pytest.fixture
def base(live_server):
    return live_server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("width", [1280, 360])
def test_a_file_is_looked_through_and_then_imported(browse, base, world, sign_in, watch, width):
    page = browse(width=width)
    sign_in(page)
    page.goto(base + "/accounts/")
    page.get_by_role("link", name="Import", exact=True).click()
    page.get_by_role("link", name="Import accounts").first.click()
    page.get_by_label("File with the accounts").set_input_files(
        {"name": "staff.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    )
    page.get_by_label("Add domains that are missing").check()
    page.get_by_role("button", name="See what would happen").click()
    page.get_by_text("0 of 2 dealt with").wait_for()
    tasks.import_accounts(AccountImport.objects.get().pk)
    # The page sees the end by itself.
    page.get_by_text("2 of 2 dealt with").wait_for()
    page.get_by_text("It is the account's own name").wait_for()
    before = Mailbox.objects.count()
    page.get_by_role("button", name="Import for real now").click()
    page.get_by_role("button", name="Stop the import").wait_for()
    tasks.import_accounts(AccountImport.objects.filter(dry_run=False).get().pk)
    page.get_by_text("2 of 2 dealt with").wait_for()
    assert Mailbox.objects.count() == before + 1
    refused = page.locator("dl.facts").get_by_role("link", name="1", exact=True).last
    refused.click()
    page.get_by_role("link", name="Show all lines").wait_for()
    assert page.get_by_text("bert@example.test").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not watch.problems
