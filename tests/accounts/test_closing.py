"""The end of a mailbox's life: closing, opening again, erasing; and the address afterwards."""

import datetime
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import aliases, bulk, closing, domains, invitations, lifecycle, states
from accounts.closing import AliasesLeadHere, ConfirmationWrong, KeepingRefused, KeptStill
from accounts.models import Alias, Change, Domain, Erasure, Invitation, Mailbox
from accounts.refusals import AddressTaken, NotInState
from core.api_auth import create_token
from core.models import AuditEvent

from .conftest import AT, GOOD, HOST

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)


def close(mailbox: Mailbox, **changes: Any) -> Mailbox:
    return closing.close(mailbox=mailbox, **{"by": None, "at": AT, **changes})


def erase(mailbox: Mailbox, **changes: Any) -> Mailbox:
    given = {"typed": mailbox.address, "by": None, "at": AT + 31 * DAY, **changes}
    return closing.erase(mailbox=mailbox, **given)


def alias(domain: Domain, name: str, *targets: str) -> Alias:
    return aliases.create(domain=domain, local_part=name, targets=targets, by=None, at=AT)


def erased_mail() -> None:
    Erasure.objects.update(state=Erasure.DONE)


@pytest.fixture
def closed(anna: Any) -> Mailbox:
    return close(anna)


def test_closing_takes_every_right_and_ends_the_sessions(anna: Any, owner: Any) -> None:
    lifecycle.suspend(mailbox=anna, refuses_mail=True, by=owner, at=AT)
    row = close(anna, days=7, reason=" left ", by=owner)
    row.refresh_from_db()
    assert row.state == states.CLOSING
    assert row.rights == states.NO_RIGHTS
    assert row.kept_until == AT + 7 * DAY
    assert (row.state_reason, row.refuses_mail) == ("left", False)
    change = Change.objects.latest("id")
    assert (change.subject, change.host, change.end_sessions) == (row.address, HOST, True)
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.subject) == ("accounts.mailbox.closed", row.address)
    assert event.detail["kept_until"] == row.kept_until.isoformat()


@pytest.mark.parametrize("days", [-1, closing.MOST_DAYS + 1])
def test_mail_is_not_kept_for_less_than_nothing_or_for_ever(anna: Any, days: int) -> None:
    with pytest.raises(KeepingRefused):
        close(anna, days=days)
    anna.refresh_from_db()
    assert anna.state == states.ACTIVE


def test_an_open_invitation_ends_with_the_closing(anna: Any) -> None:
    invitations.invite(mailbox=anna, by=None, at=AT)
    close(anna)
    assert not Invitation.objects.open(AT).exists()


def test_a_closed_account_opens_again_with_its_password(closed: Any) -> None:
    before = closed.password
    row = closing.reopen(mailbox=closed, by=None, at=AT + DAY)
    row.refresh_from_db()
    assert (row.state, row.kept_until, row.password) == (states.ACTIVE, None, before)
    assert Change.objects.latest("id").subject == row.address


def test_verbs_refuse_what_is_not_in_their_state(anna: Any) -> None:
    for verb in (closing.reopen, erase):
        given = {"by": None, "at": AT} if verb is closing.reopen else {}
        with pytest.raises(NotInState):
            verb(mailbox=anna, **given)
    close(anna)
    with pytest.raises(NotInState):
        close(anna)


def test_erasing_leaves_the_address_and_nothing_about_a_person(
    domain: Any, closed: Any, owner: Any
) -> None:
    lifecycle.edit(
        mailbox=closed, revision=closed.revision, display_name="Anna", owner_contact="Bert",
        note="on leave", quota_mb=5, by=None, at=AT,
    )  # fmt: skip
    row = erase(closed, by=owner)
    row.refresh_from_db()
    assert row.state == states.ERASED
    left = (row.display_name, row.owner_contact, row.note, row.search_text, row.state_reason)
    assert left == ("", "", "", "", "")
    assert (row.password, row.quota_mb, row.kept_until) == (closing.NO_PASSWORD, None, None)
    change = Change.objects.latest("id")
    assert (change.subject, change.end_sessions) == (row.address, True)
    (erasure,) = Erasure.objects.due(AT)
    assert (erasure.address, erasure.host) == (row.address, HOST)
    assert AuditEvent.objects.latest("pk").action == "accounts.mailbox.erased"
    with pytest.raises(NotInState):
        erase(row)
    with pytest.raises(NotInState):
        lifecycle.edit(
            mailbox=row, revision=row.revision, display_name="Anna", owner_contact="", note="",
            quota_mb=None, by=None, at=AT,
        )  # fmt: skip


def test_mail_of_a_domain_on_no_host_needs_no_erasing(owner: Any) -> None:
    nowhere = domains.create(name="nowhere.test", by=owner, at=AT)
    made = lifecycle.create(domain=nowhere, local_part="bert", password=GOOD, by=None, at=AT)
    erase(close(made))
    assert not Erasure.objects.exists()


def test_the_address_must_be_typed(closed: Any) -> None:
    for typed in ("", "anna", "bert@example.test"):
        with pytest.raises(ConfirmationWrong):
            erase(closed, typed=typed)
    assert erase(closed, typed=" Anna@Example.Test ").state == states.ERASED


def test_mail_is_kept_as_long_as_it_was_said_unless_somebody_says_otherwise(closed: Any) -> None:
    with pytest.raises(KeptStill):
        erase(closed, at=AT + 29 * DAY)
    assert erase(closed, at=AT + DAY, early=True).state == states.ERASED


def test_an_alias_to_it_alone_is_named_and_holds_the_erasing_up(domain: Any, closed: Any) -> None:
    only = alias(domain, "only", "anna@example.test")
    shared = alias(domain, "shared", "anna@example.test", "far@else.test")
    other = alias(domain, "other", "joanna@example.test")
    with pytest.raises(AliasesLeadHere) as refused:
        erase(closed)
    assert refused.value.aliases == (only,)
    assert "only@example.test" in refused.value.sentence
    shared.refresh_from_db()
    assert shared.targets == ["anna@example.test", "far@else.test"]
    aliases.delete(alias=only, by=None, at=AT)
    last = Change.objects.latest("id").pk
    erase(closed)
    shared.refresh_from_db()
    other.refresh_from_db()
    assert shared.targets == ["far@else.test"]
    assert other.targets == ["joanna@example.test"]
    told = Change.objects.since(HOST, last).values_list("kind", "subject")
    assert list(told) == [("alias", "shared@example.test"), ("mailbox", "anna@example.test")]


def test_a_target_with_a_detail_leads_to_it_too(domain: Any, closed: Any) -> None:
    both = aliases.create(
        domain=domain, local_part="both", by=None, at=AT,
        targets=["anna+lists@example.test", "far@else.test"],
    )  # fmt: skip
    only = aliases.create(
        domain=domain, local_part="only", targets=["anna+shop@example.test"], by=None, at=AT
    )
    with pytest.raises(closing.AliasesLeadHere) as refused:
        erase(closed)
    assert refused.value.aliases == (only,)
    aliases.delete(alias=only, by=None, at=AT)
    erase(closed)
    both.refresh_from_db()
    assert both.targets == ["far@else.test"]


def test_an_erased_address_is_handed_on_after_a_year_or_when_somebody_insists(
    domain: Any, closed: Any
) -> None:
    erase(closed)
    erased_at = AT + 31 * DAY

    def again(days: int, **changes: Any) -> Mailbox:
        return lifecycle.create(
            domain=domain, local_part="anna", password=GOOD, by=None,
            at=erased_at + days * DAY, **changes,
        )  # fmt: skip

    with pytest.raises(AddressTaken) as taken:
        again(0, reuse_reason="she came back")
    assert taken.value.holder == "erasing"
    erased_mail()
    with pytest.raises(AddressTaken) as taken:
        again(364)
    assert taken.value.holder == "erased"
    made = again(10, reuse_reason="she came back")
    assert Mailbox.objects.get(address="anna@example.test") == made
    event = AuditEvent.objects.filter(action="accounts.mailbox.created").latest("pk")
    assert event.detail["reuse_reason"] == "she came back"
    erase(close(made), early=True, at=erased_at + 10 * DAY)
    erased_mail()
    assert again(400).state == states.ACTIVE


def test_erased_addresses_do_not_keep_a_domain_and_the_log_counts_them(
    domain: Any, closed: Any
) -> None:
    with pytest.raises(domains.DomainNotEmpty):
        domains.remove(domain=domain, by=None, at=AT)
    erase(closed)
    domains.remove(domain=domain, by=None, at=AT)
    assert not Domain.objects.filter(pk=domain.pk).exists()
    assert AuditEvent.objects.latest("pk").detail == {"erased_addresses": 1}
    again = domains.create(name="example.test", host=HOST, by=None, at=AT)
    # Its former owner's mail is on the host still.
    with pytest.raises(AddressTaken):
        lifecycle.create(domain=again, local_part="anna", password=GOOD, by=None, at=AT)
    erased_mail()
    lifecycle.create(domain=again, local_part="anna", password=GOOD, by=None, at=AT)


def test_a_ticked_list_is_closed_in_one_go(domain: Any, anna: Any) -> None:
    bert = lifecycle.create(domain=domain, local_part="bert", password=GOOD, by=None, at=AT)
    lifecycle.suspend(mailbox=bert, refuses_mail=True, by=None, at=AT)
    invitations.invite(mailbox=anna, by=None, at=AT)
    last = Change.objects.latest("id").pk
    done = bulk.close(mailboxes=[anna.pk, bert.pk], days=3, reason="left", by=None, at=AT)
    assert (done.changed, done.left_out) == (2, 0)
    for row in Mailbox.objects.all():
        assert (row.state, row.kept_until, row.refuses_mail) == ("closing", AT + 3 * DAY, False)
    told = Change.objects.since(HOST, last)
    assert list(told.values_list("end_sessions", flat=True)) == [True, True]
    assert not Invitation.objects.open(AT).exists()
    assert bulk.close(mailboxes=[anna.pk], by=None, at=AT).left_out == 1


# --- pages ---------------------------------------------------------------------------------------


@pytest.fixture
def signed_in(client: Client, owner: Any) -> Client:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def url(name: str, mailbox: Mailbox) -> str:
    return reverse(f"accounts:{name}", args=[mailbox.pk])


def confirm_who_it_is(client: Client) -> None:
    session = client.session
    session["account_authentication_methods_user"] = client.session["_auth_user_id"]
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session.save()


def test_the_page_closes_and_opens_again(signed_in: Client, anna: Any) -> None:
    page = signed_in.post(url("close", anna), {"days": "14", "reason": "left"}, follow=True)
    anna.refresh_from_db()
    assert anna.state == states.CLOSING
    assert f"{anna.kept_until:%Y-%m-%d}" in page.content.decode()
    signed_in.post(url("reopen", anna))
    anna.refresh_from_db()
    assert anna.state == states.ACTIVE


def test_days_that_make_no_sense_open_the_dialog_again(signed_in: Client, anna: Any) -> None:
    page = signed_in.post(url("close", anna), {"days": "-3"})
    assert page.status_code == 422
    assert "data-open" in page.content.decode()
    anna.refresh_from_db()
    assert anna.state == states.ACTIVE


def test_erasing_asks_who_it_is_then_for_the_address(signed_in: Client, closed: Any) -> None:
    page = signed_in.get(url("erase", closed))
    assert "reauthenticate" in page["Location"]
    given = {"typed": closed.address, "early": "on"}
    assert "reauthenticate" in signed_in.post(url("erase", closed), given)["Location"]
    confirm_who_it_is(signed_in)
    page = signed_in.post(url("erase", closed), {**given, "typed": "anna"})
    assert "Type anna@example.test" in page.content.decode()
    closed.refresh_from_db()
    assert closed.state == states.CLOSING
    page = signed_in.post(url("erase", closed), given, follow=True)
    closed.refresh_from_db()
    assert closed.state == states.ERASED
    assert url("erase", closed) not in page.content.decode()
    assert "not deleted from the host yet" in page.content.decode()
    Erasure.objects.update(state=Erasure.DONE, done_at=AT)
    page = signed_in.get(url("mailbox", closed))
    assert "was deleted from the host" in page.content.decode()


def test_an_active_account_is_not_erased_by_its_address(signed_in: Client, anna: Any) -> None:
    confirm_who_it_is(signed_in)
    signed_in.post(url("erase", anna), {"typed": anna.address, "early": "on"})
    anna.refresh_from_db()
    assert anna.state == states.ACTIVE


def test_the_list_closes_what_is_ticked(signed_in: Client, anna: Any) -> None:
    chosen = {"verb": "close", "mailbox": [anna.pk]}
    page = signed_in.post(reverse("accounts:selected"), chosen)
    assert "anna@example.test" in page.content.decode()
    signed_in.post(reverse("accounts:selected"), {**chosen, "sure": "yes", "days": "5"})
    anna.refresh_from_db()
    assert anna.state == states.CLOSING


def test_the_page_says_why_an_address_is_kept_and_takes_a_reason(
    signed_in: Client, domain: Any, closed: Any
) -> None:
    erase(closed, early=True, at=AT)
    erased_mail()
    given = {"local_part": "anna", "domain": domain.pk, "password": GOOD}
    page = signed_in.post(reverse("accounts:new"), given)
    assert 'name="reuse_reason"' in page.content.decode()
    signed_in.post(reverse("accounts:new"), {**given, "reuse_reason": "she came back"})
    assert Mailbox.objects.get(address="anna@example.test").state == states.ACTIVE


# --- API -----------------------------------------------------------------------------------------


def test_the_calls_close_open_and_erase(owner: Any, anna: Any, client: Client) -> None:
    _row, token = create_token(
        name="t", scopes=["accounts:write"], expires_at=None, by=owner, at=timezone.now()
    )

    def ask(verb: str, body: dict[str, Any]) -> Any:
        return client.post(
            f"/api/v1/mailboxes/{anna.address}/{verb}", body, content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    said = ask("close", {"days": 0}).json()
    assert (said["state"], said["kept_until"] is not None) == ("closing", True)
    assert ask("reopen", {}).json()["state"] == "active"
    assert ask("erase", {"typed": anna.address}).status_code == 409
    ask("close", {})
    assert ask("erase", {"typed": "x"}).json()["code"] == "ConfirmationWrong"
    assert ask("erase", {"typed": anna.address, "early": True}).json()["state"] == "erased"


def test_the_question_names_the_aliases_that_lead_here(
    client: Client, owner: Any, anna: Mailbox, domain: Any
) -> None:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")

    def asked() -> str:
        return client.get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()

    assert "no longer arrives here" not in asked()
    given: dict[str, Any] = {"domain": domain, "targets": [anna.address], "by": owner, "at": AT}
    aliases.create(local_part="sales", **given)
    assert "sales@example.test leads here: mail to it no longer arrives here." in asked()
    aliases.create(local_part="team", **given)
    aliases.create(local_part="office", **given)
    aliases.create(local_part="other", **{**given, "targets": ["xanna@example.test"]})
    assert "and 2 more aliases lead here: mail to them no longer arrives here." in asked()
