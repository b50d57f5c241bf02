"""Fixtures for every test: a data folder of its own, an owner, a signed-in client."""

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sink import Sink

_data = tempfile.TemporaryDirectory(prefix="mailadmin-test-", ignore_cleanup_errors=True)
os.environ["MAILADMIN_DATA"] = os.environ.get("MAILADMIN_TEST_DATA") or _data.name
os.environ.setdefault("MAILADMIN_ENV", "local")


@pytest.fixture(scope="session", autouse=True)
def keyrings() -> None:
    """Tests hold every ring; what a single process holds is tested in tests/core and tests/run."""
    from core import seal

    seal.ensure_keys(Path(os.environ["MAILADMIN_DATA"]))
    seal.load("all", Path(os.environ["MAILADMIN_DATA"]))


@pytest.fixture
def sent_nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Messages that would have gone to the broker, in order."""
    from core import nudge

    sent: list[tuple[str, object]] = []
    monkeypatch.setattr(nudge, "send", lambda task, pk: sent.append((task, pk)))
    return sent


@pytest.fixture(autouse=True)
def no_broker(request: pytest.FixtureRequest) -> None:
    """No test sends to a broker, unless it starts a console of its own."""
    if "sent_nudges" not in request.fixturenames:
        monkeypatch = request.getfixturevalue("monkeypatch")
        from core import nudge

        monkeypatch.setattr(nudge, "send", lambda task, pk: None)


@pytest.fixture
def owner(db: None):  # type: ignore[no-untyped-def]
    from core.models import Operator

    return Operator.objects.create_user(
        username="owner", email="owner@example.test", password="correct horse 42", role="owner"
    )


@pytest.fixture
def viewer(db: None):  # type: ignore[no-untyped-def]
    from core.models import Operator

    return Operator.objects.create_user(
        username="viewer", password="only look 1234", role="auditor"
    )


@pytest.fixture
def signed_in(owner, client):  # type: ignore[no-untyped-def]
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture(autouse=True)
def in_english() -> None:
    """A request leaves its language active in the thread; the next test begins in English."""
    from django.utils import translation

    translation.activate("en")


@pytest.fixture
def sink(settings) -> Iterator[Sink]:  # type: ignore[no-untyped-def]
    """The console's mail goes to it."""
    from django.core.cache import cache

    cache.clear()
    with Sink() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_TIMEOUT = 5
        settings.DEFAULT_FROM_EMAIL = "Mailadmin <console@example.test>"
        settings.CONSOLE_URL = "https://console.example.test"
        settings.MAIL_CONFIGURED = True
        yield server
        server.shutdown()
