"""Settings → Operators, and the same from the command line."""

import json
import logging
import re
import time
from html import unescape
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts import domains
from core import operators
from core.models import AuditEvent, Operator

pytestmark = pytest.mark.django_db
INDEX = "/settings/operators/"
ADD = "/settings/operators/add/"


@pytest.fixture
def proved(signed_in):
    """The owner, who has just said who it is."""
    session = signed_in.session
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session.save()
    return signed_in


@pytest.fixture
def anna(owner):
    return operators.add(username="anna", role="administrator", by=owner, at=timezone.now())[0]


@pytest.fixture
def two_domains(owner):
    now = timezone.now()
    return [domains.create(name=name, by=owner, at=now) for name in ("a.test", "bücher.test")]


def url(name, row):
    return reverse(name, args=[row.pk])


def text(answer):
    return unescape(answer.content.decode())


def edited(row, **changes):
    given = {"email": row.email, "role": row.role, "domains": row.domains}
    return {**given, "seen": operators.stamp(row), **changes}


def test_an_owner_adds_a_colleague_who_signs_in_by_the_link(proved, client, two_domains) -> None:
    assert "a.test" in text(proved.get(ADD)) and "bücher.test" in text(proved.get(ADD))
    given = {
        "username": "anna", "email": "anna@example.test", "role": "domain_manager",
        "domains": ["xn--bcher-kva.test"],
    }  # fmt: skip
    answer = proved.post(ADD, given)
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    link = re.search(r"http://testserver(/setup/\S+/)", text(answer))[1]
    assert link not in text(proved.get(INDEX))
    row = Operator.objects.get(username="anna")
    assert (row.role, row.domains) == ("domain_manager", ["xn--bcher-kva.test"])

    client.logout()
    page = text(client.get(link))
    assert "Welcome, anna" in page and "Domain manager" in page and 'name="username"' not in page
    assert client.post(link, {"password": "short"}).status_code == 422
    assert client.post(link, {"password": "a whole new sentence"}).status_code == 302
    assert "bücher.test" in text(client.get("/"))
    assert "sessions" in text(client.get("/session/sessions/"))
    assert client.get(INDEX).status_code == 403


def test_what_is_wrong_is_said_at_its_field_and_nobody_is_added(proved, two_domains) -> None:
    given = {"username": "two words", "email": "no", "role": "helpdesk"}
    answer = proved.post(ADD, given)
    assert answer.status_code == 422 and "A username has 1 to 150" in text(answer)
    answer = proved.post(ADD, {**given, "username": "anna", "email": ""})
    assert "Choose at least one domain" in text(answer)
    answer = proved.post(ADD, {**given, "username": "anna", "domains": ["other.test"]})
    assert answer.status_code == 422
    answer = proved.post(ADD, {**given, "username": "anna", "role": "viewer"})
    assert answer.status_code == 422
    assert Operator.objects.count() == 1


def test_power_is_given_by_those_who_just_proved_who_they_are(signed_in, anna) -> None:
    operators.switch_off(operator=anna, by=None, at=timezone.now())
    seen = AuditEvent.objects.count()
    posts = {
        ADD: {"username": "bert", "role": "owner"},
        url("operator", anna): edited(anna, role="owner"),
        url("operator_on", anna): {},
        url("operator_link", anna): {},
    }
    for address, given in posts.items():
        assert "reauthenticate" in signed_in.post(address, given)["Location"], address
    assert AuditEvent.objects.count() == seen and Operator.objects.count() == 2


def test_the_proof_leads_back_to_what_was_asked_for(signed_in, anna) -> None:
    address = url("operator_link", anna)
    asked = signed_in.post(address)
    answer = signed_in.post(asked["Location"], {"password": "correct horse 42"}, follow=True)
    assert "/setup/" in text(answer)


def test_switching_off_may_be_urgent_and_ends_the_session(signed_in, anna, client) -> None:
    from django.test import Client

    link = operators.let_in(operator=anna, by=None, at=timezone.now())
    hers = Client()
    hers.post(link.path, {"password": "a whole new sentence"})
    assert hers.get("/settings/").status_code == 200
    page = signed_in.post(url("operator_off", anna), follow=True)
    assert "is switched off" in text(page) and "Switched off" in text(page)
    assert hers.get("/settings/").status_code == 302
    assert AuditEvent.objects.latest("pk").action == "core.operator.switched_off"
    hers.post("/session/login/", {"login": "anna", "password": "a whole new sentence"})
    assert hers.get("/settings/").status_code == 302


def test_an_owner_changes_role_domains_and_address(proved, anna, two_domains) -> None:
    given = edited(anna, role="helpdesk", domains=["a.test"], email="anna@example.test")
    page = proved.post(url("operator", anna), given, follow=True)
    assert "Saved." in text(page) and "a.test" in text(page)
    anna.refresh_from_db()
    assert (anna.role, anna.domains, anna.email) == ("helpdesk", ["a.test"], "anna@example.test")
    answer = proved.post(url("operator", anna), given)
    assert answer.status_code == 422 and "Somebody else changed this operator" in text(answer)


def test_ones_own_role_is_not_on_offer(proved, owner) -> None:
    page = text(proved.get(url("operator", owner)))
    assert "another owner can change your role" in page
    assert url("operator_off", owner) not in page and url("operator_link", owner) not in page
    answer = proved.post(
        url("operator", owner), edited(owner, role="auditor", email="new@example.test")
    )
    assert answer.status_code == 302
    owner.refresh_from_db()
    assert (owner.role, owner.email) == ("owner", "new@example.test")
    for name in ("operator_off", "operator_link"):
        page = proved.post(url(name, owner), follow=True)
        assert "Nobody does this to his own account" in text(page)
    owner.refresh_from_db()
    assert owner.is_active and owner.has_usable_password()


def test_a_new_link_is_shown_once_and_replaces_the_old_one(proved, anna, client) -> None:
    first = operators.let_in(operator=anna, by=None, at=timezone.now())
    answer = proved.post(url("operator_link", anna))
    link = re.search(r"http://testserver(/setup/\S+/)", text(answer))[1]
    assert link != first.path
    assert client.get(first.path).status_code == 410
    assert client.get(link).status_code == 200


def test_switching_on_again(proved, anna) -> None:
    operators.switch_off(operator=anna, by=None, at=timezone.now())
    page = text(proved.get(url("operator", anna)))
    assert url("operator_on", anna) in page and url("operator_link", anna) not in page
    proved.post(url("operator_on", anna))
    anna.refresh_from_db()
    assert anna.is_active


def test_the_list_says_who_is_alone_who_sees_nothing_and_who_waits(signed_in, owner) -> None:
    assert "You are alone here" in text(signed_in.get(INDEX))
    operators.add(username="anna", role="helpdesk", domains=["a.test"], by=owner, at=timezone.now())
    page = text(signed_in.get(INDEX))
    assert "You are alone here" not in page
    assert "Link not used yet" in page and "a.test" in page
    operators.forget_domain(name="a.test", by=owner, at=timezone.now())
    assert "No domain: sees nothing" in text(signed_in.get(INDEX))


def test_the_list_asks_the_same_however_many_there_are(
    signed_in, owner, django_assert_max_num_queries
) -> None:
    for n in range(60):
        Operator.objects.create(username=f"op{n:02}", role="auditor")
    with django_assert_max_num_queries(10):
        page = text(signed_in.get(INDEX))
    assert "op49" in page and "op50" not in page and "Next" in page


# --- the command ---------------------------------------------------------------------------------


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_operator", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_a_link_that_works(client, two_domains) -> None:
    said = create("anna", "--role", "helpdesk", "--domain", "Bücher.test", "--domain", "a.test")
    link = re.search(r"http://\S+?(/setup/\S+)", said)[1]
    row = Operator.objects.get(username="anna")
    assert row.domains == ["a.test", "xn--bcher-kva.test"]
    assert client.get(link).status_code == 200
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor_name) == ("core.operator.added", "console")


def test_the_command_speaks_json(owner) -> None:
    said = json.loads(create("bert", "--role", "auditor", "--json"))
    assert said["role"] == "auditor" and "/setup/" in said["link"] and said["link_until"]


def test_the_command_gives_codes_to_scripts(owner, capsys, monkeypatch) -> None:
    from mailadmin.management.commands.create_operator import Command

    # A command makes its process quiet, and this one has other tests to run.
    monkeypatch.setattr(logging.getLogger("core.nudge"), "setLevel", lambda level: None)
    command = Command()
    command._called_from_command_line = True
    with pytest.raises(SystemExit):
        command.run_from_argv(["manage.py", "create_operator", "owner", "--role=auditor", "--json"])
    assert json.loads(capsys.readouterr().out)["code"] == "username_taken"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("owner", "--role", "auditor"), "already"),
        (("anna", "--role", "helpdesk"), "at least one domain"),
        (("anna", "--role", "helpdesk", "--domain", "c.test"), "Known: a.test"),
        (("anna", "--role", "auditor", "--as", "viewer"), "needs the role Owner"),
    ],
)
def test_the_command_says_why_not(owner, viewer, two_domains, arguments, why) -> None:
    with pytest.raises(CommandError, match=why):
        create(*arguments)
    assert Operator.objects.count() == 2
