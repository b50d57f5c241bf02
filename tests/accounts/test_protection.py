"""Mailboxes where an operator's mail arrives: out of reach for who could become that operator."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import aliases, bulk, closing, domains, expiry, invitations, lifecycle, protection
from accounts.models import Alias, Domain, Erasure, Mailbox
from accounts.protection import MailboxProtected
from core.api_auth import create_token
from core.models import AuditEvent, Operator

from .conftest import AT, GOOD

pytestmark = pytest.mark.django_db
YEAR = datetime.timedelta(days=366)


def operator(role: str, email: str = "", **fields: Any) -> Operator:
    return Operator.objects.create_user(
        username=f"{role}-{email}", email=email, role=role, domains=["example.test"], **fields
    )


@pytest.fixture
def manager(db: None) -> Operator:
    return operator("domain_manager")


@pytest.fixture
def protected(anna: Mailbox) -> Mailbox:
    operator("auditor", "anna@example.test")
    return anna


def lead(domain: Domain, name: str, *targets: str) -> Alias:
    return aliases.create(domain=domain, local_part=name, targets=targets, by=None, at=AT)


@pytest.mark.parametrize(
    "email", ["anna@example.test", "Anna@EXAMPLE.test", "anna+me@example.test"]
)
def test_an_operators_address_is_protected_as_it_is_delivered(anna: Mailbox, email: str) -> None:
    assert anna.address not in protection.protected()
    operator("auditor", email)
    assert anna.address in protection.protected()


@pytest.mark.parametrize("email", ["bo@exämple.test", "Bo@EXÄMPLE.test", "bo@xn--exmple-cua.test"])
def test_whatever_script_it_is_written_in(email: str) -> None:
    operator("auditor", email)
    assert protection.protected() == {"bo@xn--exmple-cua.test"}


def test_aliases_are_followed_to_the_end_and_in_circles(domain: Domain) -> None:
    operator("owner", "boss@example.test")
    lead(domain, "boss", "first@example.test", "Somebody@elsewhere.test")
    lead(domain, "first", "anna+x@example.test")
    Alias.objects.filter(local_part="first").update(
        targets=["anna+x@example.test", "boss@example.test"]
    )
    assert protection.protected() == {
        "owner@example.test",  # who made the domain
        "boss@example.test",
        "first@example.test",
        "somebody@elsewhere.test",
        "anna@example.test",
    }


def test_where_no_mailbox_is_the_catch_all_takes_it(domain: Domain, anna: Mailbox) -> None:
    assert anna.address not in protection.protected()
    manager = operator("domain_manager")
    with pytest.raises(MailboxProtected):
        protection.check_address("*@example.test", manager)
    protection.check_address("*@other.test", manager)
    Alias.objects.create(
        domain=domain,
        local_part="*",
        address="*@example.test",
        targets=["anna@example.test"],
        created_at=AT,
    )
    assert {"*@example.test", "anna@example.test"} <= protection.protected()
    lifecycle.create(domain=domain, local_part="owner", password=GOOD, by=None, at=AT)
    assert protection.protected() == {"owner@example.test"}
    protection.check_address("*@example.test", manager)


def test_who_works_here_no_more_and_what_is_no_address_protect_nothing(anna: Mailbox) -> None:
    operator("auditor", "anna@example.test", is_active=False)
    operator("auditor", "not an address")
    operator("auditor", "")
    assert protection.protected() == {"owner@example.test"}


def changed_by(mailbox: Mailbox, by: Operator | None) -> dict[str, Callable[[], object]]:
    who: dict[str, Any] = {"by": by, "at": AT}
    return {
        "password": lambda: lifecycle.set_password(mailbox=mailbox, password=GOOD + "x", **who),
        "invite": lambda: invitations.invite(mailbox=mailbox, **who),
        "quota": lambda: lifecycle.edit(
            mailbox=mailbox,
            revision=mailbox.revision,
            display_name="",
            owner_contact="",
            note="",
            quota_mb=1,
            **who,
        ),
        "expiry": lambda: expiry.set_end(mailbox=mailbox, expires_at=None, name_reason="x", **who),
        "suspend": lambda: lifecycle.suspend(mailbox=mailbox, **who),
        "close": lambda: closing.close(mailbox=mailbox, days=0, **who),
        "erase": lambda: closing.erase(mailbox=mailbox, typed=mailbox.address, **who),
    }


@pytest.mark.parametrize("role", ["domain_manager", "helpdesk"])
def test_a_role_of_domains_touches_no_protected_mailbox(protected: Mailbox, role: str) -> None:
    by = operator(role)
    seen = AuditEvent.objects.count()
    for name, act in changed_by(protected, by).items():
        with pytest.raises(
            MailboxProtected, match=r"anna@example\.test is protected.*Ask an owner"
        ):
            act()
        protected.refresh_from_db()
        assert (protected.revision, AuditEvent.objects.count()) == (1, seen), name


@pytest.mark.parametrize("role", ["owner", "administrator", None])
def test_owners_administrators_and_the_console_do(protected: Mailbox, role: str | None) -> None:
    by = operator(role) if role else None
    for name, act in changed_by(protected, by).items():
        seen = AuditEvent.objects.count()
        protected.refresh_from_db()
        act()
        assert AuditEvent.objects.count() == seen + 1, name


def test_a_list_of_mailboxes_goes_without_them(
    domain: Domain, protected: Mailbox, manager: Operator, owner: Operator
) -> None:
    bo = lifecycle.create(domain=domain, local_part="bo", password=GOOD, by=None, at=AT)
    both = [protected.pk, bo.pk]
    assert bulk.suspend(mailboxes=both, by=manager, at=AT) == bulk.Done(1, 1)
    assert bulk.close(mailboxes=both, by=manager, at=AT) == bulk.Done(1, 1)
    protected.refresh_from_db()
    assert (protected.state, protected.revision) == ("active", 1)
    event = AuditEvent.objects.latest("pk")
    assert event.detail["addresses"] == ["bo@example.test"]
    assert bulk.close(mailboxes=both, by=owner, at=AT) == bulk.Done(1, 1)


def test_a_link_from_before_does_not_get_in_afterwards(anna: Mailbox, owner: Operator) -> None:
    helper = operator("helpdesk")
    _made, early = invitations.invite(mailbox=anna, by=helper, at=AT)
    assert invitations.look_up(early, at=AT).mailbox == anna
    operator("auditor", "anna@example.test")
    with pytest.raises(invitations.InvitationRefused):
        invitations.accept(early, password=GOOD + "x", at=AT)
    _made, late = invitations.invite(mailbox=anna, by=owner, at=AT)
    assert invitations.accept(late, password=GOOD + "x", at=AT) == anna


def test_an_operators_address_is_not_made_anew_by_others(
    domain: Domain, protected: Mailbox, manager: Operator, owner: Operator
) -> None:
    """Neither as a mailbox nor as an alias: both would have its mail."""
    operator("owner", "boss@example.test")
    with pytest.raises(MailboxProtected):
        lifecycle.create(domain=domain, local_part="boss", password=GOOD, by=manager, at=AT)
    with pytest.raises(MailboxProtected):
        aliases.create(
            domain=domain, local_part="boss", targets=["me@elsewhere.test"], by=manager, at=AT
        )
    closing.close(mailbox=protected, days=0, by=owner, at=AT)
    closing.erase(mailbox=protected, typed=protected.address, by=owner, at=AT)
    Erasure.objects.update(state=Erasure.DONE)
    with pytest.raises(MailboxProtected):
        lifecycle.create(domain=domain, local_part="anna", password=GOOD, by=manager, at=AT + YEAR)
    assert lifecycle.create(domain=domain, local_part="boss", password=GOOD, by=owner, at=AT)


def test_an_alias_on_an_operators_way_stays_as_it_is(domain: Domain, manager: Operator) -> None:
    operator("owner", "boss@example.test")
    boss = lead(domain, "boss", "anna@example.test")
    given: dict[str, Any] = {"alias": boss, "note": "", "expires_at": None, "at": AT}
    with pytest.raises(MailboxProtected):
        aliases.edit(revision=1, targets=["me@elsewhere.test"], by=manager, **given)
    with pytest.raises(MailboxProtected):
        aliases.delete(alias=boss, by=manager, at=AT)
    boss.refresh_from_db()
    assert boss.targets == ["anna@example.test"]
    assert aliases.edit(revision=1, targets=["me@elsewhere.test"], by=None, **given).revision == 2


def test_another_domains_operator_protects_nothing_here(anna: Mailbox, owner: Operator) -> None:
    domains.create(name="other.test", by=owner, at=AT)
    operator("owner", "anna@other.test")
    assert anna.address not in protection.protected()


def browser(by: Operator) -> Client:
    client = Client()
    client.force_login(by, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


OFFERED = ("password", "suspend", "invite", "end", "close")


def test_its_page_says_why_and_offers_nothing_that_is_refused(
    protected: Mailbox, manager: Operator, owner: Operator
) -> None:
    page = reverse("accounts:mailbox", args=[protected.pk])
    addresses = [reverse(f"accounts:{name}", args=[protected.pk]) for name in OFFERED]
    shown = browser(manager).get(page).content.decode()
    assert "Protected: mail of somebody who works with this console arrives here" in shown
    assert not [each for each in addresses if each in shown]
    assert reverse("accounts:edit", args=[protected.pk]) in shown
    shown = browser(owner).get(page).content.decode()
    assert "Protected: mail of somebody" in shown
    assert all(each in shown for each in addresses)


def test_another_mailboxs_page_says_nothing_of_it(anna: Mailbox, manager: Operator) -> None:
    shown = browser(manager).get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()
    assert "Protected" not in shown
    assert all(reverse(f"accounts:{name}", args=[anna.pk]) in shown for name in OFFERED)


@pytest.mark.parametrize("name", ["password", "end", "erase", "suspend", "close", "invite"])
def test_a_page_that_would_be_refused_leads_back_with_the_reason(
    protected: Mailbox, manager: Operator, name: str
) -> None:
    client = browser(manager)
    seen = AuditEvent.objects.count()
    given = {"password": GOOD + "x", "days": 30, "typed": protected.address}
    answer = client.post(reverse(f"accounts:{name}", args=[protected.pk]), given, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("accounts:mailbox", args=[protected.pk])
    assert "anna@example.test is protected" in answer.content.decode()
    assert AuditEvent.objects.count() == seen


def test_its_text_is_edited_and_its_quota_is_not(protected: Mailbox, manager: Operator) -> None:
    given = {"revision": 1, "display_name": "Boss", "quota_mb": "1"}
    browser(manager).post(reverse("accounts:edit", args=[protected.pk]), given)
    protected.refresh_from_db()
    assert (protected.display_name, protected.quota_mb) == ("Boss", None)


def test_a_list_says_which_stay_as_they_are(
    domain: Domain, protected: Mailbox, manager: Operator
) -> None:
    bo = lifecycle.create(domain=domain, local_part="bo", password=GOOD, by=None, at=AT)
    client = browser(manager)
    ticked = {"verb": "suspend", "mailbox": [protected.pk, bo.pk]}
    asked = client.post(reverse("accounts:selected"), ticked)
    assert [row.address for row in asked.context["applies"]] == ["bo@example.test"]
    assert [row.address for row in asked.context["protected"]] == ["anna@example.test"]
    done = client.post(reverse("accounts:selected"), ticked | {"sure": "yes"}, follow=True)
    assert "1 account stays as it is: it is protected" in done.content.decode()
    alone = {"verb": "close", "mailbox": [protected.pk]}
    back = client.post(reverse("accounts:selected"), alone, follow=True)
    assert "anna@example.test is protected" in back.content.decode()


def test_the_list_of_aliases_offers_no_change_on_an_operators_way(
    domain: Domain, manager: Operator, owner: Operator
) -> None:
    operator("owner", "boss@example.test")
    boss = lead(domain, "boss", "anna@example.test")
    address = reverse("accounts:alias_edit", args=[boss.pk])
    assert address not in browser(manager).get(reverse("accounts:aliases")).content.decode()
    assert address in browser(owner).get(reverse("accounts:aliases")).content.decode()
    away = browser(manager).get(address, follow=True)
    assert "boss@example.test is protected" in away.content.decode()
    delete = reverse("accounts:alias_delete", args=[boss.pk])
    refused = browser(manager).post(delete, follow=True)
    assert "boss@example.test is protected" in refused.content.decode()
    assert Alias.objects.filter(pk=boss.pk).exists()


def test_the_name_says_so_while_it_is_typed(domain: Domain, manager: Operator) -> None:
    operator("owner", "boss@example.test")
    given = {"local_part": "boss", "domain": domain.pk}
    shown = browser(manager).post(reverse("accounts:name_check"), given).content.decode()
    assert "boss@example.test is protected" in shown


@pytest.mark.parametrize("role", ["domain_manager", "helpdesk"])
def test_a_token_reaches_no_further_than_its_maker(protected: Mailbox, role: str) -> None:
    by = operator(role)
    _token, secret = create_token(
        name="t", scopes=["accounts:write"], expires_at=None, by=by, at=timezone.now()
    )
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    for name, given in (("password", {"password": GOOD + "x"}), ("suspend", {})):
        path = f"/api/v1/mailboxes/{protected.address}/{name}"
        answer = client.post(path, given, content_type="application/json")
        assert answer.status_code == 403 and "is protected" in answer.json()["detail"], name


def test_a_command_as_somebody_reaches_no_further(protected: Mailbox, manager: Operator) -> None:
    with pytest.raises(CommandError, match="is protected"):
        call_command("suspend", protected.address, operator=manager.username)
    call_command("suspend", protected.address)
    protected.refresh_from_db()
    assert protected.state == "suspended"
