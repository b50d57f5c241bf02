"""What a domain manager sees of a protected mailbox, and somebody without a domain of anything; in
the four dressings of test_axe, with its checks."""

import pytest
from django.utils import timezone

from tests.browser.test_axe import dressing, examine, open_in  # noqa: F401 - a fixture


@pytest.fixture
def manager(world):  # type: ignore[no-untyped-def]
    """The mailbox is an auditor's, and an alias leads to it."""
    from accounts import aliases
    from core.models import Operator

    box = world.mailbox
    lead = {"domain": box.domain, "targets": [box.address], "by": None, "at": timezone.now()}
    aliases.create(local_part="chief", **lead)
    given = {"password": "x", "domains": [box.domain.name]}
    Operator.objects.create_user("boss", f"chief@{box.domain.name}", role="auditor", **given)
    return Operator.objects.create_user("mia", role="domain_manager", **given)


def test_a_protected_mailbox(browse, live_server, watch, dressing, sign_in, world, manager):  # noqa: F811
    page, base = open_in(browse, live_server, dressing)
    sign_in(page, manager)
    manager.language = "zh-hant" if dressing == "zh" else "en"
    manager.save()
    box = f"{base}/accounts/{world.mailbox.pk}/"
    problems = []
    page.goto(box)
    assert page.locator("[data-dialog='suspend'], [data-dialog='close']").count() == 0
    problems += examine(page, watch, f"{dressing}/protected")
    page.goto(box + "password/")
    assert page.url == box and page.locator(".alert-danger").count() == 1
    problems += examine(page, watch, f"{dressing}/protected-refused")
    page.goto(box + "edit/")
    assert page.locator("#id_quota_mb").is_disabled()
    problems += examine(page, watch, f"{dressing}/protected-edit")
    page.goto(base + "/accounts/aliases/")
    problems += examine(page, watch, f"{dressing}/protected-aliases")
    page.goto(base + "/accounts/?state=active")
    for each in page.locator("[name='mailbox']").all():
        each.check()
    page.locator("button[value=close]").click()
    page.wait_for_url("**/selected/")
    problems += examine(page, watch, f"{dressing}/protected-selected")
    manager.domains = ["gone.test"]
    manager.save()
    for path in ("/accounts/", "/accounts/new/", "/accounts/aliases/", "/accounts/domains/"):
        page.goto(base + path)
        problems += examine(page, watch, f"{dressing}/no-domain-{path.strip('/').split('/')[-1]}")
    assert not problems, "\n".join(problems)
