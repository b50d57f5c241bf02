"""An authority made by hand is taken over and crosses over, as its owner would, on a phone."""

import os

from ca import authorities, tasks
from ca.models import Ceremony, Issuer
from ca.wishes import AuthorityWish, Wish
from tests.browser.test_axe import examine, open_in
from tests.browser.world import issue
from tests.ca.byhand import PASSPHRASE, by_hand

DRESSING = os.environ.get("MAILADMIN_DRESSING", "phone")


def carry_out() -> Ceremony:
    """What the signer does."""
    ceremony = Ceremony.objects.latest("pk")
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    return ceremony


def choose(page, files) -> None:  # type: ignore[no-untyped-def]
    def file(name: str, content: bytes) -> dict[str, object]:
        return {"name": name, "mimeType": "application/octet-stream", "buffer": content}

    issued = [file(name.partition("/")[2], content) for name, content in files.issued()]
    issued.append(
        file("a-name-without-any-place-to-break-it-that-is-very-long.key", files.key_plain)
    )
    page.locator("#id_certificate").set_input_files(file("myrootca.crt", files.root))
    page.locator("#id_issued").set_input_files(issued)
    page.locator("#id_serial").set_input_files(file("serial", files.serial))


def test_from_2004_to_today(browse, live_server, watch, sign_in, world) -> None:  # type: ignore[no-untyped-def]
    files, problems = by_hand(), []
    page, base = open_in(browse, live_server, DRESSING)
    sign_in(page)

    def look(name: str) -> None:
        problems.extend(examine(page, watch, f"{DRESSING}/import-{name}"))

    page.goto(f"{base}/certificates/authorities/import/")
    look("1-empty")
    sent = []
    page.on("request", lambda request: sent.append(request))
    choose(page, files)
    page.locator("#id_key").set_input_files(
        {"name": "myrootca.key", "mimeType": "text/plain", "buffer": files.key}
    )
    page.locator("button[form=look]").click()
    page.locator("#found table").wait_for()
    look("2-looked")
    asked = [each for each in sent if each.url.endswith("/import/look")]
    assert len(asked) == 1 and b"PRIVATE KEY-----\nProc-Type" not in (
        asked[0].post_data_buffer or b""
    )
    assert not Ceremony.objects.filter(kind=Ceremony.IMPORT).exists()

    page.locator("#id_name").fill("Old Root")
    page.locator("#id_passphrase").fill("not the right one")
    page.locator("form.narrow > .btn-list button").click()
    page.locator("#import [aria-busy=true], #import[aria-busy=true]").first.wait_for()
    look("3-waiting")
    carry_out()
    page.locator("#import input[type=file]").wait_for()
    look("4-refused")
    page.locator("#id_key").set_input_files(
        {"name": "myrootca.key", "mimeType": "text/plain", "buffer": files.key}
    )
    page.locator("#id_passphrase").fill(PASSPHRASE)
    page.locator("#import form button").click()
    page.locator("#import[aria-busy=true]").wait_for()
    assert carry_out().state == Ceremony.DONE
    page.locator("a.btn-primary[href$='/crossing/']").wait_for()
    look("5-done")

    page.locator("a.btn-primary[href$='/crossing/']").click()
    page.locator("form[action$='/crossing/sign']").wait_for()
    look("6-crossing")
    page.locator("#id_passphrase").fill(PASSPHRASE)
    page.locator("form[action$='/crossing/sign'] button").click()
    page.locator(".steps-list").wait_for()
    assert carry_out().state == Ceremony.DONE
    root = Issuer.objects.get(name="Old Root")
    page.goto(f"{base}/certificates/authorities/{root.pk}/crossing/")
    look("7-signed")
    page.locator(f"a[href$='/authorities/{root.pk}/new/']").click()
    page.locator("#id_issuing_name, [name=issuing_name]").first.wait_for()

    asked_for = Wish(issuing=AuthorityWish("New Issuing", "p256", 1826), permitted=("new.test",))
    authorities.request_issuing(
        under=root, wish=asked_for, passphrase=PASSPHRASE, by=world.owner, at=root.created_at
    )
    made = carry_out()
    assert made.made is not None, made.reason
    issue("mail.new.test", made.made, world.owner, root.created_at)
    page.goto(f"{base}/certificates/authorities/{root.pk}/crossing/")
    assert page.locator(".status-ok").count() == 4
    look("8-crossed")
    assert not problems, "\n".join(problems)
