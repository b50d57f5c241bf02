"""The end of an account and the work on aliases in a real browser, on a desktop and on a phone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Alias, Erasure, Mailbox


@pytest.fixture
def base(live_server):
    return live_server.url.replace("127.0.0.1", "localhost")


@pytest.fixture(params=[1280, 360])
def page(request, browse, sign_in, world):
    """Signed in; at the end of each test nothing scrolls sideways."""
    made = browse(width=request.param, height=740)
    sign_in(made)
    return made


def fits(page) -> bool:  # type: ignore[no-untyped-def]
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_closed_opened_again_and_erased_for_good(page, base, world, watch):
    box = world.mailbox
    page.goto(f"{base}/accounts/{box.pk}/")
    page.get_by_role("button", name="Close…").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_text("open sessions end").is_visible()
    dialog.get_by_label("Days for which its mail is kept").fill("14")
    dialog.get_by_label("Reason").fill("left the company")
    assert fits(page)
    dialog.get_by_role("button", name="Close", exact=True).click()
    page.get_by_text("Its mail is kept until").first.wait_for()
    assert page.get_by_text("left the company").is_visible()
    box.refresh_from_db()
    assert box.state == "closing"

    page.get_by_role("button", name="Open again…").click()
    page.get_by_role("dialog").get_by_role("button", name="Open again").click()
    page.get_by_text("is active again.").wait_for()
    page.get_by_role("button", name="Close…").click()
    page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("link", name="Erase…").click()
    # Its effect is said, and the alias that leads to it alone is in the way.
    assert page.get_by_text("Nobody can bring it back.").is_visible()
    assert page.get_by_role("listitem").get_by_text("office@example.test").is_visible()
    page.get_by_label("Type the address of the account").fill(box.address)
    page.get_by_role("button", name="Erase for good").click()
    page.get_by_text("Nothing was changed").wait_for()
    page.get_by_text("To erase it before").wait_for()
    assert Mailbox.objects.get(pk=box.pk).state == "closing"

    Alias.objects.filter(local_part="office").delete()
    page.get_by_label("Erase it although its mail was to be kept longer").check()
    page.get_by_label("Type the address of the account").fill("somebody@example.test")
    page.get_by_role("button", name="Erase for good").click()
    page.get_by_text("That is not the address").wait_for()
    assert Mailbox.objects.get(pk=box.pk).state == "closing"
    page.get_by_label("Type the address of the account").fill(box.address)
    assert fits(page)
    page.get_by_role("button", name="Erase for good").click()
    page.get_by_text("was erased.").wait_for()
    assert Mailbox.objects.get(pk=box.pk).state == "erased"
    assert Erasure.objects.filter(address=box.address).exists()
    for verb in ("Edit", "Set password", "Suspend…", "Open again…"):
        assert page.get_by_text(verb, exact=True).count() == 0
    assert fits(page)
    watch.problems[:] = [each for each in watch.problems if "status of 4" not in each]
    assert not watch.problems


def test_several_are_closed_after_one_question(page, base, world, watch):
    page.goto(base + "/accounts/?state=active")
    active = Mailbox.objects.in_state("active").count()
    for box in page.get_by_role("checkbox", name="Tick ").all():
        if box.is_visible() and box.get_attribute("name"):
            box.check()
    page.get_by_role("button", name="Close…").click()
    assert page.get_by_role("heading", name=f"Close {active} accounts?").is_visible()
    assert Mailbox.objects.in_state("active").count() == active
    page.get_by_label("Days for which its mail is kept").fill("7")
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_text(f"{active} accounts are closed.").wait_for()
    assert Mailbox.objects.in_state("closing").count() == active
    assert fits(page) and not watch.problems


def test_an_alias_is_led_elsewhere_and_deleted(page, base, world, watch):
    alias = Alias.objects.get(local_part="office")
    page.goto(base + "/accounts/aliases/")
    page.get_by_role("link", name=f"Edit {alias.address}").click()
    targets = page.get_by_label("Goes to")
    assert targets.input_value() == "mei@example.test"
    targets.fill("mei@example.test\nnot an address")
    page.get_by_label("Remark").fill("Front desk")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Nothing was changed").wait_for()
    assert page.get_by_label("Remark").input_value() == "Front desk", "nothing typed is lost"
    alias.refresh_from_db()
    assert alias.targets == ["mei@example.test"]
    targets.fill("mei@example.test\npartner@elsewhere.test")
    assert fits(page)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert page.get_by_text("Elsewhere", exact=True).is_visible(), "its mail leaves our domains"
    alias.refresh_from_db()
    assert alias.targets == ["mei@example.test", "partner@elsewhere.test"]
    assert alias.note == "Front desk"
    assert fits(page)

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("was deleted.").wait_for()
    assert not Alias.objects.filter(pk=alias.pk).exists()
    assert not watch.problems


def test_the_second_who_edits_an_alias_is_told(page, base, world, watch):
    alias = Alias.objects.get(local_part="office")
    page.goto(f"{base}/accounts/aliases/{alias.pk}/edit/")
    Alias.objects.filter(pk=alias.pk).update(revision=2, note="somebody else's")
    page.get_by_label("Remark").fill("mine")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Somebody else changed this alias").wait_for()
    assert page.get_by_label("Remark").input_value() == "mine"
    alias.refresh_from_db()
    assert alias.note == "somebody else's"
    assert fits(page) and not watch.problems


def test_the_list_by_last_use_is_paged_forth_and_back(page, base, world, watch):
    now, domain = timezone.now(), world.mailbox.domain
    Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain, local_part=f"m{n:02}", address=f"m{n:02}@{domain.name}", password="x",
            password_set_at=now, state_since=now, created_at=now,
            last_used_at=now - timedelta(days=n),
        )
        for n in range(60)
    )  # fmt: skip
    page.goto(base + "/accounts/")
    page.get_by_label("Sort by").select_option("used")
    page.wait_for_url("**sort=used**")
    assert page.get_by_text("mei@example.test").first.is_visible(), "never used: the oldest"
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="Previous").wait_for()
    assert page.get_by_role("row").last.get_by_text("m00@example.test").is_visible()
    assert fits(page)
    page.get_by_role("link", name="Previous").click()
    page.get_by_role("link", name="m59@example.test").wait_for()
    assert page.get_by_text("mei@example.test").first.is_visible()
    assert not watch.problems
