"""A certificate's page while it is put on hold, released and revoked, on a phone."""

from ca.models import Certificate
from tests.browser.test_axe import examine, open_in

# What a page in each state has, and the one before has not.
SIGNS = {
    "held": "form[action$='/release'] button",
    "valid": "[data-dialog=hold]",
    "revoked": ".status-danger",
}


def walk(browse, live_server, watch, sign_in, world, dressing: str) -> list[str]:  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    page.goto(f"{base}/certificates/{world.certificate.pk}/")
    problems = []
    for state in ("held", "valid", "revoked"):
        trigger = page.locator(f"[data-dialog={'hold' if state == 'held' else 'revoke'}]")
        if state == "valid":
            page.locator("form[action$='/release'] button").click()
        else:
            trigger.click()
            dialog = page.locator("dialog[open]")
            if state == "revoked":
                dialog.locator("select").select_option("keyCompromise")
            problems += examine(page, watch, f"{dressing}/revocation-{state}-asked")
            dialog.locator("button:not([data-close])").click()
        page.locator(SIGNS[state]).first.wait_for()
        problems += examine(page, watch, f"{dressing}/revocation-{state}")
        world.certificate.refresh_from_db()
        assert world.certificate.state == state
    assert page.locator("[data-dialog]").count() == 0
    return problems


def test_hold_release_and_revoke(browse, live_server, watch, sign_in, world):  # type: ignore[no-untyped-def]
    problems = walk(browse, live_server, watch, sign_in, world, "phone")
    assert not problems, "\n".join(problems)
    world.certificate.refresh_from_db()
    assert world.certificate.state == Certificate.REVOKED
    assert world.certificate.revocation_reason == "keyCompromise"
