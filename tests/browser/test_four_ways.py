"""The four ways to a certificate in a browser, up to what other programs make of the files."""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import OperationalError

from tests.browser.test_axe import examine, open_in
from tests.browser.world import csr_for

PHRASE = "violet tram 93 harbour"
# A screenshot run looks at every dressing; otherwise the hardest one is enough.
DRESSINGS = (
    ["light", "dark", "phone", "zh"] if os.environ.get("MAILADMIN_SCREENSHOTS") else ["phone"]
)


def signer() -> None:
    """The signer's turn: every order that waits for it."""
    from django.utils import timezone

    from ca import tasks
    from ca.models import Order

    for _ in range(20):
        try:
            for order in Order.objects.due(timezone.now()):
                tasks.sign_order(order.pk)
            return
        except OperationalError:  # "locked": see `forgive`
            time.sleep(0.05)
            Order.objects.update(lease_until=None)


def until_asked(page, count: int) -> None:  # type: ignore[no-untyped-def]
    """The page's script has sent its order."""
    from ca.models import Order

    for _ in range(200):
        with suppress(OperationalError):  # "locked": see `forgive`
            if Order.objects.count() >= count:
                return
        page.wait_for_timeout(50)
    raise AssertionError(page.inner_text("main"))


def forgive(watch, *expected: str) -> None:  # type: ignore[no-untyped-def]
    """Drop what the test itself brought about. The signer here shares one database in memory with
    the console, which then answers "locked" to a page that asks in that moment: it asks again."""
    allowed = (*expected, "status of 500")
    watch.problems[:] = [p for p in watch.problems if not any(each in p for each in allowed)]


def run(*words: str, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def opens_everywhere(path: Path, name: str) -> None:
    """OpenSSL and NSS open it, the key is the certificate's, and the chain verifies."""
    folder = path.parent
    told = run(
        "openssl", "pkcs12", "-in", str(path), "-passin", f"pass:{PHRASE}", "-nodes", "-info",
        "-out", "all.pem", cwd=folder,
    )  # fmt: skip
    assert "MAC: sha256" in told and told.count("AES-256-CBC") == 2, told
    run("openssl", "pkcs12", "-in", str(path), "-passin", f"pass:{PHRASE}", "-clcerts", "-nokeys",
        "-out", "leaf.pem", cwd=folder)  # fmt: skip
    run("openssl", "pkcs12", "-in", str(path), "-passin", f"pass:{PHRASE}", "-cacerts", "-nokeys",
        "-out", "chain.pem", cwd=folder)  # fmt: skip
    keys = [
        run("openssl", *words, cwd=folder)
        for words in (
            ("pkey", "-in", "all.pem", "-pubout"),
            ("x509", "-in", "leaf.pem", "-pubkey", "-noout"),
        )
    ]
    assert keys[0] == keys[1]
    names = ["openssl", "x509", "-in", "leaf.pem", "-noout", "-ext", "subjectAltName"]
    assert name in run(*names, cwd=folder)
    verified = run(
        "openssl", "verify", "-x509_strict", "-auth_level", "2", "-CAfile", "chain.pem", "leaf.pem",
        cwd=folder,
    )  # fmt: skip
    assert "OK" in verified
    wrong = subprocess.run(
        ["openssl", "pkcs12", "-in", str(path), "-passin", "pass:wrong", "-noout"],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert wrong.returncode != 0
    if shutil.which("pk12util"):
        store = folder / "nss"
        store.mkdir()
        run("certutil", "-N", "-d", f"sql:{store}", "--empty-password", cwd=folder)
        run("pk12util", "-i", str(path), "-d", f"sql:{store}", "-W", PHRASE, "-K", "", cwd=folder)
        assert "u,u,u" in run("certutil", "-L", "-d", f"sql:{store}", cwd=folder)
        assert "orphan" not in run("certutil", "-K", "-d", f"sql:{store}", cwd=folder)


@pytest.fixture
def at(browse, live_server, sign_in, world):  # type: ignore[no-untyped-def]
    """Gives a signed-in page at the chooser, and the console's address."""

    def do(dressing: str = "phone"):  # type: ignore[no-untyped-def]
        page, base = open_in(browse, live_server, dressing)
        sign_in(page)
        page.goto(f"{base}/certificates/new/")
        return page, base

    return do


@pytest.mark.parametrize("dressing", DRESSINGS)
def test_the_pages_of_every_way(at, watch, dressing) -> None:  # type: ignore[no-untyped-def]
    page, base = at(dressing)
    problems = examine(page, watch, f"{dressing}/new")
    for way in ("host", "request", "browser", "signer"):
        page.goto(f"{base}/certificates/new/{way}/")
        problems += examine(page, watch, f"{dressing}/new-{way}")
        page.locator("[name=names]").fill("mail9.example.test")
        if way == "request":
            page.locator("[name=csr]").fill(csr_for("mail8.example.test"))
        page.locator("form.card .btn-primary").click()
        page.locator("#rules summary").click()
        problems += examine(page, watch, f"{dressing}/preview-{way}")
    assert not problems, "\n".join(problems)


def test_a_managed_host(at, world) -> None:  # type: ignore[no-untyped-def]
    page, _base = at()
    page.get_by_role("link", name="See what would be signed").click()
    page.locator("[name=names]").fill("mail1.example.test")
    page.get_by_role("button", name="Check it").click()
    assert "made on the host" in page.inner_text("dl.facts")
    page.get_by_role("link", name="Choose the host").click()
    page.get_by_role("link", name="mail1.example.test").first.click()
    page.get_by_role("heading", name="mail1.example.test").first.wait_for()
    page.goto(f"{page.url}certificate/")
    assert page.get_by_role("heading").count()


def test_a_pasted_request(at, watch) -> None:  # type: ignore[no-untyped-def]
    page, _base = at()
    page.get_by_role("link", name="Bring a request").click()
    page.locator("[name=csr]").fill(csr_for("mail9.example.test"))
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("The request's own signature is right.").wait_for()
    page.get_by_role("button", name="Change it").click()
    assert page.locator("[name=csr]").input_value().startswith("-----BEGIN CERTIFICATE REQUEST")
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("button", name="Sign with Example Issuing").click()
    page.wait_for_url("**/orders/**")
    signer()
    page.get_by_role("link", name="Open the certificate").click()
    page.get_by_role("heading", name="mail9.example.test").first.wait_for()
    forgive(watch)
    assert not watch.problems


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_a_key_made_in_the_browser(at, watch, tmp_path, sign_in, kind) -> None:  # type: ignore[no-untyped-def]
    from ca.models import Order

    page, base = at("light" if kind == "rsa2048" else "phone")
    sent = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.get_by_role("link", name="Make the key here").click()
    page.locator("[name=profile]").select_option("person")
    page.locator("[name=names]").fill("anna@example.test")
    page.locator("[name=common_name]").fill("Anna 林")
    page.locator("[name=key_algorithm]").select_option(kind)
    page.get_by_role("button", name="Check it").click()
    asked = Order.objects.count()
    page.get_by_role("button", name="Make the key and sign").click()
    page.locator("[name=passphrase]").fill("short")
    page.locator("[name=passphrase_again]").fill("other")
    page.keyboard.press("Enter")
    assert page.locator("#browser-ask").is_visible() and Order.objects.count() == asked
    page.locator("[name=passphrase]").fill(PHRASE)
    page.locator("[name=passphrase_again]").fill(PHRASE)
    if kind == "p256":
        # The network goes away while it works, and comes back.
        page.context.set_offline(True)
        page.keyboard.press("Enter")
        page.get_by_text("The console does not answer.").wait_for()
        page.context.set_offline(False)
    else:
        # The session ends meanwhile; somebody signs in again in another tab.
        page.context.clear_cookies()
        page.keyboard.press("Enter")
        page.get_by_text("You were signed out.").wait_for()
        sign_in(page)
    until_asked(page, asked + 1)
    signer()
    page.locator("#browser-p12").wait_for()
    forgive(watch, "ERR_INTERNET_DISCONNECTED", "status of 403")
    problems = examine(page, watch, f"phone/browser-key-{kind}")
    assert not problems, "\n".join(problems)
    # Leaving now would lose the key: the browser asks.
    asks = []
    page.on("dialog", lambda dialog: (asks.append(dialog.type), dialog.dismiss()))
    page.evaluate(f"location.href = '{base}/certificates/'")
    page.wait_for_timeout(300)
    assert asks == ["beforeunload"] and "/new/" in page.url
    for link, name in (
        ("#browser-p12", "anna-example.test.p12"),
        ("#browser-pem", "anna-example.test.pem"),
    ):
        with page.expect_download() as saved:
            page.locator(link).click()
        assert saved.value.suggested_filename == name
        saved.value.save_as(tmp_path / name)
    opens_everywhere(tmp_path / "anna-example.test.p12", "anna@example.test")
    key = run(
        "openssl", "pkey", "-in", "anna-example.test.pem", "-passin", f"pass:{PHRASE}", "-pubout",
        cwd=tmp_path,
    )  # fmt: skip
    assert key == run("openssl", "pkey", "-in", "all.pem", "-pubout", cwd=tmp_path)
    secret = (tmp_path / "all.pem").read_text().split("PRIVATE KEY-----")[1].split()[1]
    everything = "".join(sent)
    assert "CERTIFICATE REQUEST" in everything
    assert PHRASE not in everything and secret not in everything
    page.goto(f"{base}/certificates/")
    assert asks == ["beforeunload"], "what was downloaded may be left"
    order = Order.objects.latest("pk")
    assert order.way == Order.BROWSER and order.subject == {"CN": "Anna 林"}


def test_without_a_secure_context_the_page_says_so(at) -> None:  # type: ignore[no-untyped-def]
    page, base = at()
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.goto(f"{base}/certificates/new/browser/")
    assert page.locator("#browser-unable").is_visible()
    assert page.get_by_role("button", name="Check it").is_disabled()
    page.locator("#browser-unable").get_by_role("link", name="let the signer").click()
    page.wait_for_url("**/new/signer/")


def test_a_refusal_after_the_key_was_made_is_said(at) -> None:  # type: ignore[no-untyped-def]
    from django.utils import timezone

    from ca.models import Issuer, Order

    page, _base = at()
    page.get_by_role("link", name="Make the key here").click()
    page.locator("[name=names]").fill("mail9.example.test")
    page.get_by_role("button", name="Check it").click()
    page.locator("[name=passphrase]").fill(PHRASE)
    page.locator("[name=passphrase_again]").fill(PHRASE)
    asked = Order.objects.count()
    Issuer.objects.exclude(parent=None).update(retired_at=timezone.now())
    page.get_by_role("button", name="Make the key and sign").click()
    page.locator("#browser-problem").wait_for()
    assert "The console refused it" in page.inner_text("#browser-problem")
    assert Order.objects.count() == asked
    page.get_by_role("button", name="Start over").click()
    assert page.locator("#browser-ask").is_visible()


def test_a_key_made_by_the_signer(at, watch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    page, _base = at()
    page.get_by_role("link", name="Let the signer make it").click()
    page.locator("[name=profile]").select_option("person")
    page.locator("[name=names]").fill("anna@example.test")
    page.get_by_role("button", name="Check it").click()
    page.locator("[name=passphrase]").fill("short")
    page.locator("[name=passphrase_again]").fill("short")
    page.get_by_role("button", name="Make the key and sign").click()
    page.get_by_text("needs at least 12 characters").wait_for()
    assert page.locator("[name=passphrase]").input_value() == ""
    page.locator("[name=passphrase]").fill(PHRASE)
    page.locator("[name=passphrase_again]").fill(PHRASE)
    page.get_by_role("button", name="Make the key and sign").click()
    page.wait_for_url("**/orders/**")
    signer()
    button = page.get_by_role("button", name="Download it, once")
    button.wait_for()
    forgive(watch, "status of 422")
    problems = examine(page, watch, "phone/parcel")
    with page.expect_download() as saved:
        button.click()
    saved.value.save_as(tmp_path / "it.p12")
    page.get_by_text("Downloaded, and erased here:").wait_for()
    opens_everywhere(tmp_path / "it.p12", "anna@example.test")
    problems += examine(page, watch, "phone/parcel-taken")
    assert not problems, "\n".join(problems)
    page.get_by_role("link", name="Issue it again").click()
    assert page.locator("[name=names]").input_value() == "anna@example.test"
