"""Whose reason lets a name that looks like a test stay, or hands an erased address on."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import closing, expiry, lifecycle
from accounts.checks import NameNeedsReason
from accounts.models import Domain, Erasure, Mailbox
from accounts.refusals import AddressTaken
from core.models import Operator

from .conftest import AT, GOOD
from .test_scope import body, browser, operator

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(db: None) -> Operator:
    return operator("domain_manager")


def test_only_an_administrator_lets_a_test_stay(domain: Domain, manager: Operator) -> None:
    """A manager's reason does not count; one that was given before him does."""
    given: dict[str, Any] = {"domain": domain, "password": GOOD, "by": manager, "at": AT}
    with pytest.raises(NameNeedsReason, match="ask an owner or an administrator"):
        lifecycle.create(**given, local_part="test", name_reason="the printer")
    end = AT + timedelta(days=7)
    short = lifecycle.create(**given, local_part="test", owner_contact="Anna", expires_at=end)
    with pytest.raises(NameNeedsReason):
        expiry.set_end(mailbox=short, expires_at=None, name_reason="it runs", by=manager, at=AT)
    expiry.set_end(mailbox=short, expires_at=None, name_reason="the printer", by=None, at=AT)
    expiry.set_end(mailbox=short, expires_at=end, by=manager, at=AT)
    expiry.set_end(mailbox=short, expires_at=None, by=manager, at=AT)
    short.refresh_from_db()
    assert (short.expires_at, short.name_reason) == (None, "the printer")


def erase(mailbox: Mailbox) -> None:
    """Its host has deleted the mail, too."""
    closing.close(mailbox=mailbox, days=0, by=None, at=AT)
    closing.erase(mailbox=mailbox, typed=mailbox.address, by=None, at=AT)
    Erasure.objects.update(state=Erasure.DONE, done_at=AT)


def test_only_an_administrator_hands_an_address_on(anna: Mailbox, manager: Operator) -> None:
    erase(anna)
    given: dict[str, Any] = {"domain": anna.domain, "local_part": "anna", "password": GOOD}
    given["reuse_reason"] = "the new Anna"
    with pytest.raises(AddressTaken, match="is not handed on"):
        lifecycle.create(**given, by=manager, at=AT)
    assert lifecycle.create(**given, by=None, at=AT).state == "active"


def test_a_manager_is_asked_for_no_reason_that_would_not_count(
    anna: Mailbox, manager: Operator, signed_in: Client
) -> None:
    """Nor is an administrator asked for none."""
    erase(anna)
    named = {"local_part": "test", "domain": anna.domain_id, "password": GOOD}
    again = named | {"local_part": "anna"}
    for client, asked in ((browser(manager), False), (signed_in, True)):
        made = body(client.post(reverse("accounts:new"), named))
        typed = body(client.post(reverse("accounts:name_check"), named))
        for shown in (made, typed):
            assert "looks like an account for a test" in shown
            assert ('name="name_reason"' in shown) is asked
        reused = body(client.post(reverse("accounts:new"), again))
        assert "is not handed on" in reused and ('name="reuse_reason"' in reused) is asked
