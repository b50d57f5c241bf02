"""App passwords: made, told to the host, used, revoked, over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import app_passwords, closing, delta, due, lifecycle, usage
from accounts.app_passwords import AlreadyRevoked, NameMissing, ScopeMissing, TooMany
from accounts.checks import ExpiryRefused
from accounts.hashing import matches
from accounts.models import AppPassword, Change, Mailbox
from accounts.protection import MailboxProtected
from accounts.refusals import NotInState, TextRefused
from accounts.tasks import expire_app_password
from core import roles
from core.models import AuditEvent, Operator
from deploy.hostctl import deltas
from tests.accounts.conftest import AT, GOOD, HOST
from tests.accounts.test_api import Api

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(hours=1)


def make(mailbox: Mailbox, **given: Any) -> tuple[AppPassword, str]:
    given = {"name": "Phone", "imap": True, "sending": True, "by": None, "at": AT, **given}
    return app_passwords.create(mailbox=mailbox, **given)


def told() -> Any:
    """What its host is told of Anna now."""
    lines = delta.build(Change.objects.since(HOST, 0)).lines
    return next(line["mailbox"] for line in lines if "mailbox" in line)


def last_change() -> Change:
    return Change.objects.latest("pk")


def test_it_is_made_told_once_and_kept_as_a_hash(anna: Mailbox, owner: Any) -> None:
    row, secret = make(anna, by=owner, expires_at=LATER)
    assert len(secret) == 32 and set(secret) <= set(app_passwords.LETTERS)
    assert not set(secret) & set("l1o0")
    assert secret.startswith(row.selector) and len(row.selector) == 8
    assert matches(row.password, secret) and not matches(row.password, secret[:-1])
    assert secret[8:] not in row.password
    event = AuditEvent.objects.get(action="accounts.app_password.made")
    assert event.actor == owner and event.subject == anna.address
    assert event.detail["for"] == ["imap", "sending"]
    for each in AuditEvent.objects.all():
        assert secret[8:] not in str(each.detail)


def test_the_host_is_told_all_that_work(anna: Mailbox, owner: Any) -> None:
    assert "app_passwords" not in told()
    one, _secret = make(anna, expires_at=LATER)
    two, _secret = make(anna, imap=False, pop3=True, sending=False)
    lines = {line["selector"]: line for line in told()["app_passwords"]}
    assert lines == {
        one.selector: {
            "selector": one.selector, "password": one.password,
            "imap": True, "pop3": False, "sending": True, "expires_at": int(LATER.timestamp()),
        },
        two.selector: {
            "selector": two.selector, "password": two.password,
            "imap": False, "pop3": True, "sending": False, "expires_at": 0,
        },
    }  # fmt: skip
    assert not last_change().end_sessions, "making one disturbs nobody"
    for line in lines.values():
        assert deltas.HASH.fullmatch(line["password"])
        assert deltas.SELECTOR.fullmatch(line["selector"])
    whole = [line["mailbox"] for line in delta.whole(HOST).lines if "mailbox" in line]
    assert [line["app_passwords"] for line in whole] == [told()["app_passwords"]]
    app_passwords.revoke(app_password=two, by=owner, at=LATER)
    assert [line["selector"] for line in told()["app_passwords"]] == [one.selector]


def test_telling_asks_once_for_many(
    anna: Mailbox, domain: Any, owner: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        box = lifecycle.create(
            domain=domain, local_part=f"u{number}", password=GOOD, by=owner, at=AT
        )
        make(box)
    with django_assert_max_num_queries(5):
        assert len([line for line in delta.whole(HOST).lines if "mailbox" in line]) == 13


def test_revoked_it_is_gone_and_sessions_end(anna: Mailbox, owner: Any) -> None:
    row, _secret = make(anna)
    app_passwords.revoke(app_password=row, by=owner, at=LATER)
    assert last_change().end_sessions and last_change().subject == anna.address
    assert "app_passwords" not in told()
    event = AuditEvent.objects.get(action="accounts.app_password.revoked")
    assert (event.actor, event.detail) == (owner, {"name": "Phone", "selector": row.selector})
    row.refresh_from_db()
    assert row.revoked_at == LATER and not row.expired
    with pytest.raises(AlreadyRevoked):
        app_passwords.revoke(app_password=row, by=owner, at=LATER)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"name": " "}, NameMissing),
        ({"name": "Phone\x07"}, TextRefused),
        ({"imap": False, "sending": False}, ScopeMissing),
        ({"expires_at": AT}, ExpiryRefused),
    ],
)
def test_what_is_refused(anna: Mailbox, given: dict[str, Any], refusal: type[Exception]) -> None:
    before = Change.objects.count()
    with pytest.raises(refusal):
        make(anna, **given)
    assert (AppPassword.objects.count(), Change.objects.count()) == (0, before)


def test_there_is_a_most_and_revoked_ones_do_not_count(
    anna: Mailbox, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_passwords, "MOST", 2)
    row, _secret = make(anna)
    make(anna)
    with pytest.raises(TooMany):
        make(anna)
    app_passwords.revoke(app_password=row, by=owner, at=AT)
    make(anna)


def test_over_it_ends_by_itself_with_its_sessions(anna: Mailbox) -> None:
    row, _secret = make(anna, expires_at=LATER)
    assert not due.app_passwords_expired(LATER - timedelta(seconds=1))
    assert list(due.app_passwords_expired(LATER)) == [row]
    before = Change.objects.count()
    app_passwords.expire(row.pk, at=LATER - timedelta(seconds=1))
    assert Change.objects.count() == before
    app_passwords.expire(row.pk, at=LATER)
    row.refresh_from_db()
    assert row.expired and not due.app_passwords_expired(LATER)
    assert last_change().end_sessions and "app_passwords" not in told()
    event = AuditEvent.objects.get(action="accounts.app_password.expired")
    assert event.actor is None
    app_passwords.expire(row.pk, at=LATER)
    assert Change.objects.count() == before + 1, "once"


def test_the_task_names_a_row(anna: Mailbox) -> None:
    row, _secret = make(anna, at=AT, expires_at=AT + timedelta(seconds=1))
    expire_app_password(row.pk)
    row.refresh_from_db()
    assert row.expired


def test_a_suspended_mailbox_keeps_them_and_makes_no_more(anna: Mailbox, owner: Any) -> None:
    row, _secret = make(anna)
    lifecycle.suspend(mailbox=anna, by=owner, at=AT)
    assert told()["can_login"] is False and len(told()["app_passwords"]) == 1
    with pytest.raises(NotInState):
        make(anna)
    app_passwords.revoke(app_password=row, by=owner, at=AT)
    lifecycle.resume(mailbox=anna, by=owner, at=AT)
    make(anna)


def test_an_erased_mailbox_has_none(anna: Mailbox, owner: Any) -> None:
    make(anna)
    closing.close(mailbox=anna, days=0, by=owner, at=AT)
    closing.erase(mailbox=anna, typed=anna.address, by=owner, at=LATER)
    assert AppPassword.objects.count() == 0


def test_the_last_use_is_of_the_password_and_of_the_protocol(anna: Mailbox) -> None:
    row, _secret = make(anna)
    other, _secret = make(anna)
    at = AT + timedelta(minutes=5)

    def record(*uses: usage.Use, host: str = HOST) -> None:
        usage.record_use(
            uses=uses, host=host, recording={"imap": AT}, through=LATER, cursor="1", at=LATER
        )

    record(usage.Use(anna.address, f"imap:{row.selector}", at))
    record(usage.Use(anna.address, f"smtp:{row.selector}", at - timedelta(minutes=1)))
    record(usage.Use("else@example.test", f"imap:{other.selector}", at))
    record(usage.Use(anna.address, f"imap:{other.selector}", at), host="another-host")
    row.refresh_from_db()
    other.refresh_from_db()
    anna.refresh_from_db()
    assert (row.last_used_at, other.last_used_at, anna.last_used_at) == (at, None, at)
    assert {use.protocol: use.at for use in anna.uses.all()} == {
        "imap": at,
        "smtp": at - timedelta(minutes=1),
    }


# --- pages and calls -----------------------------------------------------------------------------


@pytest.fixture
def client_in(client: Client, owner: Any) -> Client:
    client.force_login(owner)
    return client


def test_the_page_shows_the_secret_once(client_in: Client, anna: Mailbox) -> None:
    url = reverse("accounts:app_password_new", args=[anna.pk])
    assert client_in.get(url).status_code == 200
    answer = client_in.post(url, {"name": "Scanner", "sending": "on"})
    row = AppPassword.objects.get()
    assert (row.name, row.imap, row.pop3, row.sending) == ("Scanner", False, False, True)
    secret = answer.context["secret"]
    assert f'data-copy="{secret}"' in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    page = client_in.get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()
    assert "Scanner" in page and row.selector in page and secret not in page


def test_the_page_says_what_is_missing(client_in: Client, anna: Mailbox) -> None:
    url = reverse("accounts:app_password_new", args=[anna.pk])
    answer = client_in.post(url, {"name": "Scanner"}).content.decode()
    assert "at least one" in answer
    assert not AppPassword.objects.exists()


def test_the_page_revokes_by_post_alone(client_in: Client, anna: Mailbox) -> None:
    row, _secret = make(anna)
    url = reverse("accounts:app_password_revoke", args=[row.pk])
    assert client_in.get(url).status_code == 405
    assert client_in.post(url).status_code == 302
    row.refresh_from_db()
    assert row.revoked_at
    page = client_in.get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()
    assert row.selector not in page


@pytest.mark.parametrize("also", [False, True])
def test_a_new_password_revokes_them_when_it_is_asked_to(
    client_in: Client, anna: Mailbox, also: bool
) -> None:
    url = reverse("accounts:password", args=[anna.pk])
    assert "revoke_app_passwords" not in client_in.get(url).content.decode()
    row, _secret = make(anna)
    assert "revoke_app_passwords" in client_in.get(url).content.decode()
    given = {"password": "felu3-ganit5-wopas8-hibok2", "mailbox": anna.pk}
    client_in.post(url, {**given, **({"revoke_app_passwords": "on"} if also else {})})
    row.refresh_from_db()
    assert bool(row.revoked_at) == also


def helpdesk(**given: Any) -> Operator:
    return Operator.objects.create_user(
        username="helper", role=roles.HELPDESK, domains=["example.test"], **given
    )


def test_the_helpdesk_makes_and_revokes_but_not_of_who_works_here(
    client: Client, anna: Mailbox, owner: Any
) -> None:
    client.force_login(helpdesk())
    url = reverse("accounts:app_password_new", args=[anna.pk])
    client.post(url, {"name": "Phone", "imap": "on"})
    row = AppPassword.objects.get()
    Operator.objects.filter(pk=owner.pk).update(email=anna.address)
    client.post(url, {"name": "Mine", "imap": "on"})
    client.post(reverse("accounts:app_password_revoke", args=[row.pk]))
    row.refresh_from_db()
    assert AppPassword.objects.count() == 1 and row.revoked_at is None
    with pytest.raises(MailboxProtected):
        make(anna, by=Operator.objects.get(username="helper"))
    with pytest.raises(MailboxProtected):
        app_passwords.revoke_all(
            mailbox=anna, by=Operator.objects.get(username="helper"), at=timezone.now()
        )


def test_the_api_makes_lists_and_revokes(owner: Any, anna: Mailbox) -> None:
    api = Api(owner, "accounts:read", "accounts:write")
    path = f"/mailboxes/{anna.address}/app-passwords"
    said = api("post", path, {"name": "Phone", "imap": True})
    assert said.status_code == 201
    made = said.json()
    row = AppPassword.objects.get()
    assert matches(row.password, made["secret"])
    listed = api("get", path).json()["items"]
    assert [(each["pk"], each["imap"], each["pop3"]) for each in listed] == [(row.pk, True, False)]
    assert "secret" not in listed[0] and "password" not in listed[0]
    assert api("post", path, {"name": "None"}).status_code == ScopeMissing.status
    assert api("delete", f"{path}/{row.pk}").json()["revoked_at"]
    assert api("delete", f"{path}/{row.pk}").status_code == 409
    assert api("delete", f"{path}/{row.pk + 1}").status_code == 404
