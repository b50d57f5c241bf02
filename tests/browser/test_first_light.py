"""The whole main job in a browser, on real daemons, then by mail clients nobody here wrote.

From the setup link: an owner, the practice host, an authority, a certificate, an account, one
click; then `swaks` sends on 587 and `curl` reads on 993 and 995, each trusting the new root alone.
"""

import imaplib
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.console import Console

FQDN = "mail1.example.test"
ANNA = "anna@example.test"
PASSPHRASE = "six honest serving men"
PASSWORD = "kapim4-tovuz7-relof2-dasik9"
pytestmark = pytest.mark.live


@pytest.fixture
def console() -> Iterator[Console]:
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs root")
    one = Console()
    try:
        yield one.start().ready()
    finally:
        one.clear()


class Clients:
    """swaks and curl, which know the root and the host's address and nothing else."""

    def __init__(self, address: str, root: Path) -> None:
        self.address, self.root = address, root

    def send(self, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        return self._run(
            "swaks", "--server", self.address, "--port", "587", "--helo", "laptop.example.test",
            "--tls", "--tls-verify", "--tls-ca-path", str(self.root),
            "--auth", "LOGIN", "--auth-user", ANNA, "--auth-password", password,
            "--from", ANNA, "--to", ANNA, "--header", "Subject: first light",
        )  # fmt: skip

    def read(self, scheme: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        port, path = {"imaps": (993, "/INBOX;MAILINDEX=1"), "pop3s": (995, "/1")}[scheme]
        return self._run(
            "curl", "-sS", "--max-time", "20", "--cacert", str(self.root),
            "--resolve", f"{FQDN}:{port}:{self.address}", "--user", f"{ANNA}:{password}",
            f"{scheme}://{FQDN}{path}",
        )  # fmt: skip

    def open_session(self) -> imaplib.IMAP4_SSL:
        # By the address: the name is in no resolver. The chain is checked, curl checks the name.
        context = ssl.create_default_context(cafile=str(self.root))
        context.check_hostname = False
        session = imaplib.IMAP4_SSL(self.address, 993, ssl_context=context, timeout=20)
        session.login(ANNA, PASSWORD)
        return session

    @staticmethod
    def _run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_from_the_setup_link_to_mail_that_others_read(console, browse, watch, tmp_path) -> None:
    for tool in ("swaks", "curl"):
        assert shutil.which(tool), f"{tool} is not installed"
    page = browse()
    page.set_default_timeout(20_000)
    home = f"http://localhost:{console.port}"

    page.goto(console.link())
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Email").fill("ann@example.test")
    page.locator("input[type=password]").fill("a quiet harbour 9")
    page.get_by_role("button", name="Make the owner and sign in").click()
    page.wait_for_url(re.compile(r"/(welcome/)?$"))

    page.goto(f"{home}/hosts/practice/")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("The practice host is ready.").wait_for(timeout=400_000)
    page.get_by_role("link", name="Open it").click()
    host = page.url

    page.goto(f"{home}/certificates/authorities/new/")
    page.locator("[name=organisation]").fill("Example")
    page.locator("[name=root_name]").fill("Example Root")
    page.locator("[name=issuing_name]").fill("Example Issuing")
    page.locator("[name=permitted]").fill("example.test")
    page.locator("[name=passphrase]").fill(PASSPHRASE)
    page.locator("[name=passphrase_again]").fill(PASSPHRASE)
    page.get_by_role("button", name="Make the root and the issuing authority").click()
    page.wait_for_url("**/ceremonies/**")
    waiting = time.monotonic() + 60
    while page.request.get(f"{host}certificate/").text().count('name="issuer"') == 0:
        assert time.monotonic() < waiting, page.inner_text("main")
        time.sleep(0.2)

    page.goto(f"{host}certificate/")
    page.get_by_role("button", name="Issue it").click()
    page.locator("#certificate-title").wait_for()
    page.get_by_text("not yet", exact=True).wait_for(timeout=60_000)

    page.goto(f"{home}/accounts/domains/")
    page.locator("form [name=name]").fill("example.test")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("always accepted").wait_for()

    page.goto(f"{home}/accounts/new/")
    page.locator("[name=local_part]").fill("test")
    page.locator("[name=password]").fill("test")
    page.get_by_role("button", name="Make the account").click()
    reasons = page.locator(".invalid-feedback").all_inner_texts()
    assert any("12" in reason for reason in reasons), reasons
    assert any("name" in reason for reason in reasons), reasons

    page.goto(f"{home}/accounts/new/")
    page.locator("[name=local_part]").fill("anna")
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url(re.compile(r"/accounts/\d+/$"))
    account = page.url

    page.goto(f"{home}/")
    page.locator(".change-bar").get_by_role("button", name="Put live").click()
    page.wait_for_url("**/rollouts/**")
    page.locator("#receipt").wait_for(timeout=120_000)
    assert "is live and proved" in page.locator("#receipt").inner_text(), page.inner_text("main")
    assert "TLS serves the certificate just deployed" in page.inner_text("main")

    root = tmp_path / "root.pem"
    page.goto(f"{home}/certificates/")
    number = re.search(r'href="/certificates/(\d+)/"', page.content())
    assert number, page.inner_text("main")
    root.write_bytes(page.request.get(f"{home}/certificates/{number[1]}/download/root").body())
    told = console.once("practice", "status").stdout
    found = re.search(r"192\.0\.2\.\d+", told + page.request.get(host).text())
    assert found, told
    clients = Clients(found[0], root)

    sent = clients.send()
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert clients.send("wrong-password").returncode != 0
    for scheme in ("imaps", "pop3s"):
        until = time.monotonic() + 20
        while "first light" not in (got := clients.read(scheme)).stdout:
            assert time.monotonic() < until, got.stderr
            time.sleep(0.3)

    session = clients.open_session()
    page.goto(account)
    page.get_by_role("button", name="Suspend…").click()
    page.locator("dialog[open]").get_by_role("button", name="Suspend", exact=True).click()
    asked = time.monotonic()
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        while time.monotonic() < asked + 10:
            session.noop()
            time.sleep(0.02)
    # The budget is a second; a shared, busy machine is given three before this is red.
    assert time.monotonic() - asked < 3
    assert clients.send().returncode != 0
    for scheme in ("imaps", "pop3s"):
        assert clients.read(scheme).returncode == 67, scheme  # curl(1): login denied
    assert watch.problems == []
