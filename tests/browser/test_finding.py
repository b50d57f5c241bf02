"""The list of certificates with its filters, acts on what is ticked, and a batch that ends."""

from django.utils import timezone

from ca.models import Batch, Certificate
from tests.browser.test_axe import examine, open_in


def walk(browse, live_server, watch, sign_in, world, dressing: str) -> list[str]:  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    page.goto(f"{base}/certificates/")
    hold = page.locator("button[value=hold]")
    assert hold.is_disabled(), "nothing is ticked yet"
    page.locator("form details summary").click()
    problems = examine(page, watch, f"{dressing}/finding-filters")
    page.locator("tbody input[type=checkbox]").first.check()
    hold.click()
    page.locator("input[name=sure]").wait_for(state="attached")
    problems += examine(page, watch, f"{dressing}/finding-asked")
    page.locator("form.card button.btn-primary").click()
    page.locator(".alert-success, .alert").first.wait_for()
    problems += examine(page, watch, f"{dressing}/finding-held")
    assert Certificate.objects.filter(state=Certificate.HELD).count() == 1
    page.goto(f"{base}/certificates/?q=nothing-like-it")
    problems += examine(page, watch, f"{dressing}/finding-nothing")

    page.goto(f"{base}/certificates/batches/new/")
    problems += examine(page, watch, f"{dressing}/batch-new")
    now = timezone.now()
    batch = Batch.objects.create(
        issuer=world.certificate.issuer,
        profile="host",
        days=90,
        total=1200,
        done=500,
        state=Batch.SIGNING,
        refused=[{"index": 3, "code": "csr_signature", "detail": {}}],
        requested_at=now,
        changed_at=now,
    )
    page.goto(f"{base}/certificates/batches/{batch.pk}/")
    problems += examine(page, watch, f"{dressing}/batch-signing")
    Batch.objects.update(done=1200, state=Batch.DONE)
    page.locator("a[href$='/download/pem']").wait_for()
    problems += examine(page, watch, f"{dressing}/batch-done")
    page.goto(f"{base}/certificates/batches/")
    problems += examine(page, watch, f"{dressing}/batches")
    return problems


def test_the_list_and_a_batch(browse, live_server, watch, sign_in, world):  # type: ignore[no-untyped-def]
    problems = walk(browse, live_server, watch, sign_in, world, "phone")
    assert not problems, "\n".join(problems)
