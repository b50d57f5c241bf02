"""The policy on its page and in the API."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import announcing, flags, policy
from accounts.models import Domain, Evidence, Flag, FlagPolicy, Mailbox
from core.api_auth import create_token
from core.models import Operator

from .conftest import HOST
from .test_policy import DAY, switch_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client, owner: Any) -> Client:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def posted(page: Client, **more: Any) -> Any:
    data = {"revision": "0", "on": "on", "kinds": ["never_used"], "notice_days": "14", **more}
    return page.post(reverse("accounts:policy"), {name: v for name, v in data.items() if v})


def flagged_now() -> None:
    now = timezone.now()
    Domain.objects.update(host_since=now - 100 * DAY)
    Mailbox.objects.update(created_at=now - 100 * DAY)
    for protocol in ("imap", "pop3", "smtp"):
        Evidence.objects.create(host=HOST, protocol=protocol, since=now - 99 * DAY, through=now)
    flags.refresh(at=now)


def test_the_page_shows_whom_it_would_reach_before_it_is_on(anna: Mailbox, page: Client) -> None:
    flagged_now()
    shown = page.get(reverse("accounts:policy")).content.decode()
    assert "Never used: 1 account now" in shown
    assert "Weak password: 0 accounts now" in shown
    assert "No mail server is set" in shown
    asked = posted(page)
    assert asked.status_code == 200
    text = asked.content.decode()
    assert "Announce the suspension of 1 account now?" in text
    assert "anna@example.test" in text
    assert not FlagPolicy.objects.exists()
    assert posted(page, sure="yes").status_code == 302
    assert policy.current().kinds == ["never_used"]
    announcing.announce(at=timezone.now())
    day = f"{timezone.localtime(Flag.objects.get(kind='never_used').suspends_at):%Y-%m-%d %H:%M}"
    listed = page.get(reverse("accounts:flags") + "?kind=announced").content.decode()
    assert f"Will be suspended on {day}" in listed
    own = page.get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()
    assert f"Will be suspended on {day} by the policy" in own
    assert "Keep it as it is" in own
    assert posted(page, revision="1", on="", notice_days="3").status_code == 302, "nothing to ask"
    assert not policy.announced().exists()


def test_the_page_says_what_is_wrong(page: Client) -> None:
    answer = posted(page, kinds=[])
    assert answer.status_code == 422
    assert "Choose what accounts are suspended for." in answer.content.decode()
    assert posted(page, notice_days="0").status_code == 422
    switch_on("weak")
    answer = posted(page, sure="yes")
    assert answer.status_code == 422
    assert "Somebody else changed the policy" in answer.content.decode()


def test_the_page_counts_what_exists_for_who_looks(
    anna: Mailbox, client: Client, domain: Any
) -> None:
    flagged_now()
    manager = Operator.objects.create_user(
        "m", password="x", role="domain_manager", domains=["other.test"]
    )
    client.force_login(manager, backend="allauth.account.auth_backends.AuthenticationBackend")
    shown = client.get(reverse("accounts:policy")).content.decode()
    assert "notice_days" not in shown, "read only"
    assert policy.preview(["never_used"], by=manager, at=timezone.now()).count == 0
    assert policy.preview(["never_used"], by=None, at=timezone.now()).names == [anna.address]
    assert posted(client).status_code == 403


def test_the_api(anna: Mailbox, client: Client, owner: Any) -> None:
    flagged_now()
    now = timezone.now()
    _token, secret = create_token(
        name="t", scopes=["accounts:read", "accounts:write"], expires_at=None, by=owner, at=now
    )
    given: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {secret}"},
        "content_type": "application/json",
    }
    read = client.get("/api/v1/flags/policy", **given).json()
    assert (read["on"], read["revision"], read["changed_at"]) == (False, 0, None)
    assert read["concerned"] == {"weak": 0, "test_named": 0, "never_used": 1, "dormant": 0}
    wanted = {"on": True, "kinds": ["never_used"], "notice_days": 7, "revision": 0}
    put = client.put("/api/v1/flags/policy", wanted, **given)
    assert (put.status_code, put.json()["revision"], put.json()["changed_by"]) == (200, 1, "owner")
    assert client.put("/api/v1/flags/policy", wanted, **given).status_code == 409
    wrong = {**wanted, "revision": 1, "kinds": ["no_owner"]}
    assert client.put("/api/v1/flags/policy", wrong, **given).status_code == 422
    announcing.announce(at=now)
    found = client.get("/api/v1/flags?kind=never_used", **given).json()["items"]
    assert found[0]["suspends_at"][:10] == f"{now + 7 * DAY:%Y-%m-%d}"
    assert client.get("/api/v1/flags/policy", **given).json()["announced"] == 1
