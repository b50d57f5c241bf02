"""An owner copies a profile, edits the copy, retires it and uses it again."""

from ca.models import ProfileCopy
from tests.browser.test_axe import examine, open_in


def test_a_copys_life(browse, live_server, watch, sign_in, owner):  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    page.goto(f"{base}/certificates/profiles/")
    problems = examine(page, watch, "phone/profiles-none")
    page.locator("a[href$='/profiles/new/host/']").click()
    page.locator("[name=name]").fill("Inside hosts")
    page.locator("[name=slug]").fill("inside")
    page.locator("[name=most_days]").fill("900")
    page.locator("[name=purposes][value=clientAuth]").uncheck()
    page.locator("form.card button.btn-primary").click()
    page.locator(".invalid-feedback").first.wait_for()
    assert page.locator("[name=slug]").input_value() == "inside", "what was typed is kept"
    # The browser logs the status of a refused form as a console error.
    watch.problems[:] = [each for each in watch.problems if "status of 422" not in each]
    problems += examine(page, watch, "phone/profile-refused")
    page.locator("[name=most_days]").fill("120")
    page.locator("form.card button.btn-primary").click()
    page.locator("a[href$='/profiles/inside/']").wait_for()
    problems += examine(page, watch, "phone/profiles")
    copy = ProfileCopy.objects.get()
    assert (copy.most_days, copy.purposes) == (120, ["serverAuth"])
    page.locator("a[href$='/profiles/inside/']").click()
    page.locator("[name=days]").fill("30")
    problems += examine(page, watch, "phone/profile-edit")
    page.locator("form.card button.btn-primary").click()
    page.locator("[data-dialog=retire-inside]").click()
    problems += examine(page, watch, "phone/profile-retire-asked")
    page.locator("dialog[open] button:not([data-close])").click()
    page.locator("form[action$='/reinstate'] button").wait_for()
    problems += examine(page, watch, "phone/profiles-retired")
    copy.refresh_from_db()
    assert copy.days == 30 and copy.retired_at is not None
    page.locator("form[action$='/reinstate'] button").click()
    page.locator("[data-dialog=retire-inside]").wait_for()
    assert not problems, "\n".join(problems)
