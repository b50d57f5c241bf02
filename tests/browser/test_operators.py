"""An owner adds a colleague, who joins by the link and sees the domains that are his; in the four
dressings of test_axe, with its checks."""

import re

import pytest
from django.utils import timezone

from tests.browser.test_axe import DRESSINGS, examine, open_in

SENTENCE = "a whole new sentence"


@pytest.fixture(params=DRESSINGS)
def dressing(request):  # type: ignore[no-untyped-def]
    return request.param


def test_a_colleague_is_added_and_joins(browse, live_server, watch, dressing, sign_in, world):
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    page.goto(base + "/settings/operators/")
    page.locator('main a[href="/settings/operators/add/"]').first.click()
    page.fill('[name="username"]', "bert")
    scope = page.locator(".scope-field")
    page.check('[value="auditor"]')
    assert not scope.is_visible()
    page.check('[value="helpdesk"]')
    assert scope.is_visible()
    page.locator("main form.operator-form button").click()
    page.wait_for_selector(".invalid-feedback")
    problems = examine(page, only_status(watch), f"{dressing}/operator-refused")
    page.check('[value="example.test"]')
    page.locator("main form.operator-form button").click()
    link = page.input_value("#operator-link")
    problems += examine(page, watch, f"{dressing}/operator-link")

    page.context.clear_cookies()
    page.goto(base + re.sub(r"^https?://[^/]+", "", link))
    problems += examine(page, watch, f"{dressing}/operator-joins")
    page.fill('[name="password"]', SENTENCE)
    page.locator("main form button").click()
    page.wait_for_url("**/session/2fa/")
    for path in ("/", f"/accounts/{world.mailbox.pk}/", "/accounts/", "/settings/tokens/"):
        page.goto(base + path)
        name = path.strip("/").replace("/", "-") or "overview"
        problems += examine(page, watch, f"{dressing}/scoped-{name}")
        assert "mail1.example.test" not in page.content() and "部門" not in page.content()
    assert not problems, "\n".join(problems)


def test_an_operator_is_switched_off_and_on(browse, live_server, watch, sign_in, world):
    from core import operators
    from core.models import Operator

    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    address = f"{base}/settings/operators/{world.helper.pk}/"
    page.goto(address)
    page.click('[data-dialog="off"]')
    problems = examine(page, watch, "phone/operator-off-asks")
    page.locator("#off .btn-danger").click()
    page.wait_for_selector(".alert-success")
    row = Operator.objects.get(pk=world.helper.pk)
    assert not row.is_active
    page.goto(address)
    problems += examine(page, watch, "phone/operator-off")
    page.click('[data-dialog="on"]')
    page.locator("#on .btn-primary").click()
    page.wait_for_selector(".alert-success")
    row.refresh_from_db()
    assert row.is_active
    Operator.objects.filter(pk=row.pk).update(domains=[])
    operators.add(username="x" * 150, role="owner", by=None, at=timezone.now())
    page.goto(base + "/settings/operators/")
    problems += examine(page, watch, "phone/operators-long")
    assert not problems, "\n".join(problems)


def only_status(watch):  # type: ignore[no-untyped-def]
    """The browser logs the status of a refused form as a console error."""
    watch.problems[:] = [p for p in watch.problems if "status of 4" not in p]
    return watch
