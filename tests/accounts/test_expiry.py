"""Temporary mailboxes: made with an end and an owner, suspended by themselves, extended."""

import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import bulk, due, expiry, lifecycle, states, tasks
from accounts.checks import Expired, ExpiryRefused, NameNeedsReason, OwnerMissing
from accounts.models import Change, Mailbox
from core.models import AuditEvent

from .conftest import AT, GOOD

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)
END = AT + 7 * DAY


def create(domain: Any, **changes: Any) -> Mailbox:
    given = {
        "domain": domain, "local_part": "guest", "password": GOOD, "expires_at": END,
        "owner_contact": "Bert", "by": None, "at": AT, **changes,
    }  # fmt: skip
    return lifecycle.create(**given)


@pytest.fixture
def guest(domain: Any) -> Mailbox:
    return create(domain)


def test_a_temporary_account_has_an_end_to_come_and_an_owner(domain: Any) -> None:
    for changes, refusal in (
        ({"owner_contact": " "}, OwnerMissing),
        ({"expires_at": AT}, ExpiryRefused),
    ):
        with pytest.raises(refusal):
            create(domain, **changes)
    made = create(domain)
    assert made.expires_at == END
    detail = AuditEvent.objects.get(action="accounts.mailbox.created").detail
    assert detail["expires_at"] == END.isoformat()


def test_a_name_that_looks_like_a_test_is_temporary_or_has_a_reason(domain: Any) -> None:
    with pytest.raises(NameNeedsReason):
        create(domain, local_part="test", expires_at=None)
    assert create(domain, local_part="test").expires_at == END
    kept = create(domain, local_part="demo", expires_at=None, name_reason="shown at fairs")
    assert (kept.expires_at, kept.name_reason) == (None, "shown at fairs")


def test_it_is_suspended_by_nobody_when_its_time_is_over(guest: Mailbox, anna: Any) -> None:
    assert not due.expired(END - datetime.timedelta(seconds=1)).exists()
    expiry.expire(guest.pk, at=END - datetime.timedelta(seconds=1))
    guest.refresh_from_db()
    assert guest.state == states.ACTIVE
    assert [row.pk for row in due.expired(END)] == [guest.pk]
    expiry.expire(guest.pk, at=END)
    guest.refresh_from_db()
    assert (guest.state, guest.state_reason) == (states.SUSPENDED, "expired")
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor) == ("accounts.mailbox.suspended", None)
    assert event.detail["reason"] == "expired"
    assert Change.objects.latest("id").end_sessions
    assert not due.expired(END).exists()


def test_the_task_is_the_same(guest: Mailbox) -> None:
    Mailbox.objects.filter(pk=guest.pk).update(expires_at=timezone.now())
    tasks.expire(guest.pk)
    guest.refresh_from_db()
    assert guest.state == states.SUSPENDED


def test_one_whose_time_is_over_is_extended_before_it_is_used_again(guest: Mailbox) -> None:
    expiry.expire(guest.pk, at=END)
    with pytest.raises(Expired):
        lifecycle.resume(mailbox=guest, by=None, at=END)
    assert bulk.resume(mailboxes=[guest.pk], by=None, at=END).left_out == 1
    expiry.set_end(mailbox=guest, expires_at=END + DAY, by=None, at=END)
    lifecycle.resume(mailbox=guest, by=None, at=END)
    guest.refresh_from_db()
    assert (guest.state, guest.expires_at) == (states.ACTIVE, END + DAY)


def test_extended_in_time_it_is_not_suspended(guest: Mailbox, owner: Any) -> None:
    expiry.set_end(mailbox=guest, expires_at=END + DAY, by=owner, at=AT)
    event = AuditEvent.objects.latest("pk")
    assert event.action == "accounts.mailbox.expiry_set"
    assert event.detail["before"] == END.isoformat()
    expiry.expire(guest.pk, at=END)
    guest.refresh_from_db()
    assert guest.state == states.ACTIVE


def test_a_test_account_stays_for_good_with_a_reason_alone(domain: Any, anna: Any) -> None:
    demo = create(domain, local_part="demo")
    with pytest.raises(NameNeedsReason):
        expiry.set_end(mailbox=demo, expires_at=None, by=None, at=AT)
    expiry.set_end(mailbox=demo, expires_at=None, name_reason="fairs", by=None, at=AT)
    demo.refresh_from_db()
    assert (demo.expires_at, demo.name_reason) == (None, "fairs")
    with pytest.raises(OwnerMissing):
        expiry.set_end(mailbox=anna, expires_at=END, by=None, at=AT)
    with pytest.raises(ExpiryRefused):
        expiry.set_end(mailbox=demo, expires_at=AT, by=None, at=AT)
    never = datetime.datetime.fromisoformat("9999-12-31T23:59:59-12:00")
    with pytest.raises(ExpiryRefused, match="too far away"):
        expiry.set_end(mailbox=demo, expires_at=never, by=None, at=AT)


def test_a_temporary_account_keeps_its_owner(guest: Mailbox) -> None:
    with pytest.raises(OwnerMissing):
        lifecycle.edit(
            mailbox=guest, revision=guest.revision, display_name="", owner_contact="", note="",
            quota_mb=None, by=None, at=AT,
        )  # fmt: skip


# --- pages ---------------------------------------------------------------------------------------


@pytest.fixture
def signed_in(client: Client, owner: Any) -> Client:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_the_pages_make_one_and_change_its_end(signed_in: Client, domain: Any) -> None:
    until = timezone.now().date() + 10 * DAY
    signed_in.post(
        reverse("accounts:new"),
        {
            "local_part": "test", "domain": domain.pk, "password": GOOD,
            "owner_contact": "Bert", "expires_at": f"{until:%Y-%m-%d}",
        },
    )  # fmt: skip
    made = Mailbox.objects.get(address="test@example.test")
    assert made.expires_at is not None
    # The day that was named is the last one.
    assert f"{made.expires_at:%H:%M:%S}" == "23:59:59"
    page = reverse("accounts:end", args=[made.pk])
    assert f'value="{until:%Y-%m-%d}"' in signed_in.get(page).content.decode()
    signed_in.post(page, {"expires_at": f"{until + DAY:%Y-%m-%d}"})
    made.refresh_from_db()
    assert made.expires_at.date() == until + DAY
    shown = signed_in.post(page, {"expires_at": ""}).content.decode()
    assert "looks like an account for a test" in shown
    signed_in.post(page, {"expires_at": "", "name_reason": "fairs"})
    made.refresh_from_db()
    assert made.expires_at is None


def test_the_page_says_that_its_time_was_over(signed_in: Client, guest: Mailbox) -> None:
    expiry.expire(guest.pk, at=END)
    page = signed_in.get(reverse("accounts:mailbox", args=[guest.pk])).content.decode()
    assert "Its time was over." in page
