"""What ends soon, its renewal, and the page that gets the root onto a phone."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from ca import tasks
from ca.models import Certificate, Order, RevocationList
from tests.browser.test_axe import examine, open_in
from tests.browser.world import issue

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


def ends_soon(certificate, days: float) -> None:  # type: ignore[no-untyped-def]
    shift = certificate.not_after - timezone.now() - timedelta(days=days, minutes=1)
    certificate.not_before -= shift
    certificate.not_after -= shift
    certificate.save(update_fields=["not_before", "not_after"])


@pytest.mark.parametrize("dressing", WAYS)
def test_from_due_to_superseded(browse, live_server, watch, sign_in, world, dressing):  # type: ignore[no-untyped-def]
    """The page says what ends; the old request is used again; the new one takes its place."""
    own = issue("web.example.test", world.issuer, world.owner, timezone.now()).certificate
    ends_soon(own, 12)
    ends_soon(world.certificate, 3)
    RevocationList.objects.filter(issuer=world.issuer.parent).update(renew_at=timezone.now())
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    page.goto(f"{base}/")
    problems = examine(page, watch, f"{dressing}/due-overview")
    page.goto(f"{base}/certificates/due/")
    problems += examine(page, watch, f"{dressing}/due")
    page.locator(f"a[href='/certificates/{own.pk}/renew/']").click()
    problems += examine(page, watch, f"{dressing}/renew")
    page.locator("form[method=post].card button.btn-primary").click()
    page.locator(".invalid-feedback").first.wait_for()
    watch.problems[:] = [p for p in watch.problems if "status of 422" not in p]
    problems += examine(page, watch, f"{dressing}/renew-refused")
    page.locator("input[name=way][value=same]").check()
    page.locator("form[method=post].card button.btn-primary").click()
    page.wait_for_url("**/orders/*/")
    page.wait_for_load_state("networkidle")
    page.goto("about:blank")  # the order's page asks every second; the signer writes now
    order = Order.objects.latest("pk")
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    page.goto(f"{base}/certificates/due/")
    problems += examine(page, watch, f"{dressing}/due-renewed")
    page.locator(f"a[href='/certificates/{order.certificate_id}/']").last.click()
    problems += examine(page, watch, f"{dressing}/renewed")
    page.locator(".page-header details.menu summary").click()
    menu = page.locator(".page-header .menu-body")
    problems += examine(page, watch, f"{dressing}/forms")
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"], box
    page.locator(".page-header details.menu summary").click()
    page.locator("[data-dialog=supersede]").click()
    page.locator("dialog[open] button:not([data-close])").click()
    page.locator(".alert-success").wait_for()
    problems += examine(page, watch, f"{dressing}/superseded")
    own.refresh_from_db()
    assert own.state == Certificate.SUPERSEDED and own.superseded_by == order.certificate
    for path in (f"{own.pk}/renew/", f"{order.certificate_id}/bundle/"):
        page.goto(f"{base}/certificates/{path}")
        problems += examine(page, watch, f"{dressing}/certificate-{path.split('/')[1]}")
    page.goto(f"{base}/settings/mail/")
    problems += examine(page, watch, f"{dressing}/settings-mail")
    assert not problems, "\n".join(problems)
