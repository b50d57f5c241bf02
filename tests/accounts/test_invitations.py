"""The link with which a mailbox's owner sets the password: once, for a week, and nobody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import invitations, lifecycle
from accounts.models import Change, Invitation, Mailbox
from accounts.refusals import NotInState
from accounts.rules import PasswordRefused
from core.models import AuditEvent
from tests.accounts.conftest import AT, GOOD

pytestmark = pytest.mark.django_db
OTHER = "felu3-ganit5-wopas8-hibok2"


@pytest.fixture
def link(anna: Mailbox, owner: Any) -> str:
    _made, secret = invitations.invite(mailbox=anna, by=owner, at=timezone.now())
    return reverse("accounts:invitation", args=[secret])


def test_the_owner_sets_the_password(anna: Mailbox, owner: Any) -> None:
    made, secret = invitations.invite(mailbox=anna, by=owner, at=AT)
    before = Change.objects.count()
    row = invitations.accept(
        secret, password=OTHER, at=AT + timedelta(hours=1), address="192.0.2.7"
    )
    assert row.password != anna.password and row.password_set_at == AT + timedelta(hours=1)
    assert Change.objects.count() == before + 1, "the host learns of it"
    assert Change.objects.latest("pk").end_sessions
    accepted = AuditEvent.objects.get(action="accounts.invitation.accepted")
    assert (accepted.actor, accepted.detail) == (None, {"from": "192.0.2.7"})
    for event in AuditEvent.objects.all():
        assert secret not in str(event.detail) and made.digest not in str(event.detail)
    assert not Invitation.objects.filter(digest=secret).exists(), "only its hash is stored"


@pytest.mark.parametrize(
    "spoil",
    ["used", "a newer one", "withdrawn", "a week", "suspended", "password set", "another", "half"],
)
def test_a_link_that_no_longer_works(spoil: str, anna: Mailbox, owner: Any) -> None:
    _made, secret = invitations.invite(mailbox=anna, by=owner, at=AT)
    later = AT + timedelta(hours=1)
    if spoil == "used":
        invitations.accept(secret, password=OTHER, at=later)
    elif spoil == "a newer one":
        invitations.invite(mailbox=anna, by=owner, at=later)
    elif spoil == "withdrawn":
        invitations.withdraw(mailbox=anna, by=owner, at=later)
    elif spoil == "a week":
        later = AT + invitations.LIFE
    elif spoil == "suspended":
        lifecycle.suspend(mailbox=anna, by=owner, at=later)
    elif spoil == "password set":
        lifecycle.set_password(mailbox=anna, password=OTHER, by=owner, at=later)
    elif spoil == "another":
        secret = secret[::-1]
    else:
        secret = "\ud800"
    before = Mailbox.objects.get(pk=anna.pk).password
    with pytest.raises(invitations.InvitationRefused, match="Ask whoever sent it"):
        invitations.accept(secret, password=GOOD, at=later)
    assert Mailbox.objects.get(pk=anna.pk).password == before


def test_a_refused_password_leaves_the_link_good(anna: Mailbox, owner: Any) -> None:
    _made, secret = invitations.invite(mailbox=anna, by=owner, at=AT)
    with pytest.raises(PasswordRefused):
        invitations.accept(secret, password="anna", at=AT + timedelta(hours=1))
    invitations.accept(secret, password=OTHER, at=AT + timedelta(hours=2))


def test_only_an_active_account_is_invited(anna: Mailbox, owner: Any) -> None:
    lifecycle.suspend(mailbox=anna, by=owner, at=AT)
    with pytest.raises(NotInState, match="resume it first"):
        invitations.invite(mailbox=anna, by=owner, at=AT)


def test_the_pages(link: str, anna: Mailbox) -> None:
    stranger = Client()
    page = stranger.get(link)
    assert page.status_code == 200 and "anna@example.test" in page.text
    assert "no-store" in page.headers["Cache-Control"]
    weak = stranger.post(link, {"password": "anna2026"})
    assert weak.status_code == 422 and "anna2026" not in weak.text
    assert stranger.post(link + "check/", {"password": "anna"}).text.count("<li") >= 2
    done = stranger.post(link, {"password": OTHER})
    assert done.status_code == 200 and "password is set" in done.text
    for again in (stranger.get(link), stranger.post(link, {"password": GOOD})):
        assert again.status_code == 410 and "Ask whoever sent it" in again.text
    assert stranger.post(link + "check/", {"password": OTHER}).status_code == 410


def test_the_operators_page_shows_it_once(client: Client, owner: Any, anna: Mailbox) -> None:
    client.force_login(owner)
    page = client.post(reverse("accounts:invite", args=[anna.pk]))
    link = reverse("accounts:invitation", args=["x"]).removesuffix("x/")
    assert link in page.text and "no-store" in page.headers["Cache-Control"]
    assert link not in client.get(reverse("accounts:mailbox", args=[anna.pk])).text
    client.post(reverse("accounts:invitation_withdraw", args=[anna.pk]))
    assert not Invitation.objects.open(timezone.now()).exists()
