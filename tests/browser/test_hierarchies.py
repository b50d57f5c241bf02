"""The tree of authorities and a rollover, from the overlap to the retired one, on a phone."""

from django.utils import timezone

from ca import authorities, tasks
from ca.models import Ceremony, Issuer
from ca.wishes import AuthorityWish, Wish
from tests.browser.test_axe import as_name, examine, open_in

PASSPHRASE = "six honest serving men"


def carried_out(ceremony: Ceremony) -> Ceremony:
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    return ceremony


def grow(world) -> dict[str, Issuer]:  # type: ignore[no-untyped-def]
    """An authority between with one below it, and one whose root is elsewhere."""
    now, root = timezone.now(), world.issuer.parent

    def wish(name: str, levels: int = 0, domain: str = "example.test") -> Wish:
        part = AuthorityWish(name, "p256", 1000, organisation="Example", path_length=levels)
        return Wish(issuing=part, permitted=(domain,))

    asked = {"by": world.owner, "at": now}
    between = carried_out(
        authorities.request_issuing(
            under=root, wish=wish("Example Region North", 1), passphrase=PASSPHRASE, **asked
        )
    ).made
    lower = carried_out(
        authorities.request_issuing(
            under=between, wish=wish("Example Branch Office with a long name"), **asked
        )
    ).made
    waiting = carried_out(authorities.request_key(wish=wish("Example Vault Issuing"), **asked)).made
    return {"root": root, "between": between, "lower": lower, "waiting": waiting}


def test_the_tree_and_its_pages(browse, live_server, watch, sign_in, world):  # type: ignore[no-untyped-def]
    made = grow(world)
    base_paths = [
        "/certificates/authorities/",
        "/certificates/authorities/new/root/",
        "/certificates/authorities/new/request/",
        f"/certificates/authorities/{made['root'].pk}/",
        f"/certificates/authorities/{made['root'].pk}/reissue/",
        f"/certificates/authorities/{made['root'].pk}/subordinate/",
        f"/certificates/authorities/{made['between'].pk}/",
        f"/certificates/authorities/{made['between'].pk}/new/",
        f"/certificates/authorities/{made['waiting'].pk}/",
        f"/certificates/authorities/{world.issuer.pk}/successor/",
    ]
    problems = []
    for dressing in ("phone", "dark"):
        page, base = open_in(browse, live_server, dressing)
        sign_in(page)
        for path in base_paths:
            answer = page.goto(base + path)
            assert answer.status == 200, path
            problems += examine(page, watch, f"{dressing}/hierarchies-{as_name(path)}")
        page.goto(f"{base}/certificates/authorities/new/")
        page.fill("[name=organisation]", "Beispiel")
        assert page.input_value("[name=root_name]") == "Beispiel Root CA"
        page.fill("[name=permitted]", "beispiel.test")
        page.select_option("[name=root_algorithm]", "ed25519")
        page.locator("button[name=preview]").click()
        page.locator("#preview").wait_for()
        assert page.input_value("[name=organisation]") == "Beispiel", "what was typed is kept"
        problems += examine(page, watch, f"{dressing}/hierarchies-preview")
    assert not problems, "\n".join(problems)


def test_a_rollover(browse, live_server, watch, sign_in, world):  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    problems = []
    page.goto(f"{base}/certificates/authorities/{world.issuer.pk}/")
    page.get_by_role("link", name="Roll over to a new issuing authority").click()
    assert page.input_value("[name=issuing_name]") == "Example Issuing 2"
    page.fill("[name=passphrase]", PASSPHRASE)
    page.get_by_role("button", name="Sign the successor").click()
    page.locator("#ceremony").wait_for()
    carried_out(Ceremony.objects.latest("pk"))
    page.locator("#ceremony .status-ok").wait_for()
    problems += examine(page, watch, "phone/rollover-done")

    world.issuer.refresh_from_db()
    new = world.issuer.successor
    assert new is not None and new.name == "Example Issuing 2"
    page.goto(f"{base}/certificates/authorities/{world.issuer.pk}/")
    problems += examine(page, watch, "phone/rollover-overlap")
    page.locator("[data-dialog=retire]").click()
    problems += examine(page, watch, "phone/rollover-asked")
    page.locator("dialog[open] button:not([data-close])").click()
    page.locator("form[action$='/reinstate'] button").wait_for()
    problems += examine(page, watch, "phone/rollover-retired")
    world.issuer.refresh_from_db()
    assert world.issuer.retired_at is not None
    assert world.issuer.in_charge(timezone.now()) == new
    page.locator("form[action$='/reinstate'] button").click()
    page.locator("[data-dialog=retire]").wait_for()
    world.issuer.refresh_from_db()
    assert world.issuer.retired_at is None
    assert not problems, "\n".join(problems)
