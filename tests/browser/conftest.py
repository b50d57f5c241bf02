"""A real browser: the system's Chromium, driven by Playwright, against Django's live server.

`watch` collects what must not happen on any page: script errors, console errors, and violations of
the content security policy.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread; Django would refuse the database in it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What went wrong in a page, in words."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def on(self, page) -> None:  # type: ignore[no-untyped-def]
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on(
            "console",
            lambda message: message.type == "error" and self.problems.append(message.text),
        )


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def all_answered() -> Iterator[object]:
    """Waits for the requests that the server still works on: emptying the database under one fails
    with "locked"."""
    from django.core.signals import request_finished, request_started

    under_way: list[int] = []

    def started(**_more: object) -> None:
        under_way.append(1)

    def finished(**_more: object) -> None:
        if under_way:
            under_way.pop()

    def wait() -> None:
        until = time.monotonic() + 5
        while under_way and time.monotonic() < until:
            time.sleep(0.02)

    request_started.connect(started)
    request_finished.connect(finished)
    yield wait
    request_started.disconnect(started)
    request_finished.disconnect(finished)


@pytest.fixture(scope="session", autouse=True)
def readers_wait_for_nobody() -> Iterator[None]:
    """The database is in memory and shared by threads, where a reader meets a writer with "table is
    locked" at once; the console's own file in WAL mode knows no such thing."""
    from django.db import connections
    from django.db.backends.signals import connection_created

    def read_on(connection, **_more: object) -> None:  # type: ignore[no-untyped-def]
        if connection.vendor == "sqlite" and connection.connection is not None:
            connection.connection.execute("PRAGMA read_uncommitted = 1")

    for each in connections.all():
        read_on(each)
    connection_created.connect(read_on)
    yield
    connection_created.disconnect(read_on)


@pytest.fixture
def browse(chromium, watch, all_answered):  # type: ignore[no-untyped-def]
    """`browse(width=…, dark=…, language=…)` opens a page; its problems go to `watch`."""
    contexts = []

    def open_page(*, width=1280, height=900, dark=False, language="en"):  # type: ignore[no-untyped-def]
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="zh-TW" if language == "zh-hant" else "en-GB",
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watch.on(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    all_answered()


@pytest.fixture
def sign_in(owner, live_server):  # type: ignore[no-untyped-def]
    """Gives a page the owner's session without the login form."""

    def do(page, operator=None):  # type: ignore[no-untyped-def]
        from django.test import Client

        client = Client()
        client.force_login(
            operator or owner, backend="allauth.account.auth_backends.AuthenticationBackend"
        )
        session = client.session  # as if the password had just been asked for again
        session["account_authentication_methods_user"] = str((operator or owner).pk)
        session["account_authentication_methods"] = [
            {"method": "password", "at": time.time(), "reauthenticated": True}
        ]
        session.save()
        cookie = client.cookies["mailadmin_session"]
        page.context.add_cookies(
            [{"name": "mailadmin_session", "value": cookie.value, "url": live_server.url}]
        )

    return do


@pytest.fixture
def world(owner, monkeypatch, settings):  # type: ignore[no-untyped-def]
    """A console in use; see tests/browser/world.py."""
    from argon2 import PasswordHasher

    from accounts import hashing
    from ca import keystore
    from tests.browser.world import build

    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(
        hashing, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    )
    keystore.forget()
    return build(owner)
