"""What ends soon, its renewal, and the page that gets the root onto a phone."""

import os

import pytest

from tests.browser.test_axe import examine, open_in

# A screenshot run looks at every dressing; otherwise the hardest one is enough.
WAYS = ["light", "dark", "phone", "zh"] if os.environ.get("MAILADMIN_SCREENSHOTS") else ["phone"]


@pytest.mark.parametrize("dressing", WAYS)
def test_the_root_page_needs_no_login(browse, live_server, watch, world, dressing):  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, dressing)
    problems = []
    page.goto(f"{base}/trust/")
    assert page.url.endswith(f"/trust/{world.issuer.parent.public_id}/")
    problems += examine(page, watch, f"{dressing}/trust")
    assert page.context.cookies() == []
    page.locator("header a[hreflang]").click()
    problems += examine(page, watch, f"{dressing}/trust-other-language")
    with page.expect_download() as saved:
        page.locator("#linux a[download]").click()
    assert saved.value.suggested_filename == "Example-Root.crt"
    assert not problems, "\n".join(problems)
