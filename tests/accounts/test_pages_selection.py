"""What was ticked in the list: asked about once, then done."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import lifecycle
from accounts.models import Mailbox
from core.models import AuditEvent

from .conftest import AT
from .pages import several, text_of


def test_bulk_asks_first_and_then_acts(signed_in: Client, domain: Any, anna: Any) -> None:
    rows = [anna, *several(domain, "bert", "carl")]
    lifecycle.suspend(mailbox=rows[2], by=None, at=AT)
    back = reverse("accounts:mailboxes") + "?state=active"
    given = {"verb": "suspend", "mailbox": [row.pk for row in rows], "next": back}
    asked = text_of(signed_in.post(reverse("accounts:selected"), given))
    assert "Suspend 2 accounts?" in asked and "1 more was ticked that is not active" in asked
    assert Mailbox.objects.in_state("active").count() == 2
    done = signed_in.post(reverse("accounts:selected"), given | {"sure": "yes", "reason": "stolen"})
    assert done["Location"] == back
    assert Mailbox.objects.in_state("suspended").count() == 3
    event = AuditEvent.objects.latest("pk")
    assert event.action == "accounts.mailbox.suspended_many"
    assert event.detail["count"] == 2 and len(event.detail["sha256"]) == 64
    assert event.detail["addresses"] == ["anna@example.test", "bert@example.test"]
    again = signed_in.post(reverse("accounts:selected"), given | {"sure": "yes"}, follow=True)
    assert "None of the ticked accounts is active." in text_of(again)


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_bulk_goes_back_only_to_our_pages(signed_in: Client, anna: Any, url: str) -> None:
    given = {"verb": "suspend", "mailbox": anna.pk, "sure": "yes", "next": url}
    response = signed_in.post(reverse("accounts:selected"), given)
    assert response["Location"] == reverse("accounts:mailboxes")


@pytest.mark.parametrize(
    "given", [{}, {"verb": "erase"}, {"verb": "suspend"}, {"verb": "suspend", "mailbox": "x"}]
)
def test_bulk_with_nonsense_changes_nothing(signed_in: Client, anna: Any, given: Any) -> None:
    assert signed_in.post(reverse("accounts:selected"), given | {"sure": "yes"}).status_code == 302
    anna.refresh_from_db()
    assert anna.state == "active"
