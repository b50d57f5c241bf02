"""The link with which a mailbox's owner sets the password: once, for a week, and nobody else."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import checks, delta, exporting, hashing, invitations, lifecycle, tasks, weakness
from accounts.lifecycle import MailboxRefused
from accounts.models import Change, Invitation, Mailbox, WeaknessVerdict
from accounts.refusals import NotInState
from accounts.rules import PasswordRefused
from core.api_auth import create_token
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
    with pytest.raises(NotInState, match="Once it is resumed"):
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


# A mailbox that is made with an invitation alone


def invited(domain: Any, owner: Any, name: str = "bert") -> tuple[Mailbox, str]:
    mailbox, _made, secret = invitations.create(
        domain=domain, local_part=name, by=owner, at=timezone.now()
    )
    return mailbox, secret


def test_made_without_a_password_its_owner_sets_it(domain: Any, owner: Any) -> None:
    mailbox, secret = invited(domain, owner)
    assert (mailbox.password, mailbox.has_password, mailbox.older_hash) == ("", False, False)
    (line,) = [each["mailbox"] for each in delta.whole(domain.host).lines if "mailbox" in each]
    assert (line["password"], line["can_login"]) == ("", True), (
        "the helper makes it one to no avail"
    )
    created = AuditEvent.objects.get(action="accounts.mailbox.created")
    assert created.detail["password"] is None
    invitations.accept(secret, password=OTHER, at=timezone.now())
    mailbox.refresh_from_db()
    assert mailbox.has_password and hashing.matches(mailbox.password, OTHER)


def test_what_is_refused_leaves_neither_mailbox_nor_link(domain: Any, owner: Any) -> None:
    with pytest.raises(checks.NameNeedsReason):
        invited(domain, owner, "test")
    with pytest.raises(MailboxRefused):
        invitations.create(
            domain=domain, local_part="a b", quota_mb=-1, by=owner, at=timezone.now()
        )
    assert not Mailbox.objects.exists() and not Invitation.objects.exists()


def test_no_password_is_guessed_nor_exported_and_a_file_may_bring_one(
    domain: Any, owner: Any
) -> None:
    invited(domain, owner)
    audit = weakness.start(by=owner, at=timezone.now())
    tasks.audit_passwords(audit.pk)
    audit.refresh_from_db()
    assert (audit.state, audit.looked_at, audit.found) == ("done", 1, 0)
    assert not WeaknessVerdict.objects.exists(), "there is nothing to guess"
    text = "".join(exporting.lines(Mailbox.objects.all(), hashes=True))
    assert text.splitlines()[1].endswith("active,,"), "neither an end nor a hash"


def test_an_invitation_may_end_the_password(anna: Mailbox, owner: Any) -> None:
    before = Change.objects.count()
    _made, secret = invitations.invite(mailbox=anna, end_password=True, by=owner, at=AT)
    anna.refresh_from_db()
    assert not anna.has_password
    assert Change.objects.count() == before + 1
    assert Change.objects.latest("pk").end_sessions
    event = AuditEvent.objects.get(action="accounts.invitation.made")
    assert event.detail["password_ended"] is True
    invitations.accept(secret, password=OTHER, at=AT)
    anna.refresh_from_db()
    assert anna.has_password


def test_the_page_makes_it_and_shows_the_link_once(client: Client, owner: Any, domain: Any) -> None:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    given = {"local_part": "bert", "domain": domain.pk, "password": "test", "invite": "on"}
    shown = client.post(reverse("accounts:new"), given)
    link = re.search(r'value="(http://[^"]+/accounts/invitation/[^"]+)"', shown.content.decode())
    assert shown.status_code == 200 and link, "what the password field held is not looked at"
    assert "no-store" in shown["Cache-Control"]
    mailbox = Mailbox.objects.get()
    day = f"{timezone.localtime(Invitation.objects.get().expires_at):%Y-%m-%d}"
    for url in (reverse("accounts:mailboxes"), reverse("accounts:mailbox", args=[mailbox.pk])):
        text = client.get(url).content.decode()
        assert f"no password yet: invited until {day}" in text, url
        assert link[1].rpartition("/")[0] not in text.replace(
            reverse("accounts:invite", args=[1]), ""
        )
    client.post(reverse("accounts:invitation_withdraw", args=[mailbox.pk]))
    text = client.get(reverse("accounts:mailboxes")).content.decode()
    assert "no password yet, and no invitation" in text
    path = "/accounts/invitation/" + link[1].split("/accounts/invitation/")[1]
    assert Client().get(path).status_code == 410
    again = client.post(reverse("accounts:invite", args=[mailbox.pk]))
    assert again.status_code == 200 and "Hand this link" in again.content.decode()


def test_the_page_can_end_the_password(client: Client, owner: Any, anna: Mailbox) -> None:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    client.post(reverse("accounts:invite", args=[anna.pk]))
    anna.refresh_from_db()
    assert anna.has_password
    client.post(reverse("accounts:invite", args=[anna.pk]), {"end_password": "on"})
    anna.refresh_from_db()
    assert not anna.has_password


def test_the_api_gives_the_link_once(client: Client, owner: Any, domain: Any) -> None:
    _token, secret = create_token(
        name="t", scopes=["accounts:read", "accounts:write"], expires_at=None, by=owner,
        at=timezone.now(),
    )  # fmt: skip
    given: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {secret}"},
        "content_type": "application/json",
    }
    body = {"address": "bert@example.test", "invite": True}
    both = client.post("/api/v1/mailboxes", body | {"password": GOOD}, **given)
    assert (both.status_code, Mailbox.objects.count()) == (422, 0)
    neither = client.post("/api/v1/mailboxes", {"address": "bert@example.test"}, **given)
    assert (neither.status_code, Mailbox.objects.count()) == (422, 0)
    made = client.post("/api/v1/mailboxes", body, **given)
    assert made.status_code == 201
    link = made.json()["invitation"]["url"]
    assert made.json()["has_password"] is False
    path = link.removeprefix("http://testserver")
    assert Client().post(path, {"password": OTHER}).status_code == 200
    read = client.get("/api/v1/mailboxes/bert@example.test", **given).json()
    assert read["has_password"] is True and "invitation" not in read
    plain = {"address": "carl@example.test", "password": GOOD}
    assert client.post("/api/v1/mailboxes", plain, **given).json()["invitation"] is None


def test_the_command_prints_the_link(domain: Any, owner: Any, settings: Any) -> None:
    settings.CONSOLE_URL = "https://console.example.test"
    out = io.StringIO()
    call_command("create_mailbox", "bert@example.test", "--invite", stdout=out)
    found = re.search(r"https://console\.example\.test(/accounts/invitation/\S+)", out.getvalue())
    assert found and Client().get(found[1]).status_code == 200
    out = io.StringIO()
    call_command("create_mailbox", "carl@example.test", "--invite", "--json", stdout=out)
    assert "/accounts/invitation/" in json.loads(out.getvalue())["invitation"]["url"]
    for argv in (["--invite", "--password-file", "x"], []):
        with pytest.raises(CommandError):
            call_command("create_mailbox", "dora@example.test", *argv, stdout=io.StringIO())
    assert not Mailbox.objects.filter(local_part="dora").exists()
