"""The setup link makes the owner once, and only while it is fresh."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from core import setup
from core.models import AuditEvent, OneTimeLink, Operator

GOOD = {"username": "mei", "email": "mei@example.test", "password": "seventeen blue herons"}


@pytest.fixture
def link(db):
    return setup.new_link(at=timezone.now())


def test_makes_the_owner_signs_in_and_is_used_up(client, link):
    assert client.get(link).status_code == 200
    answer = client.post(link, GOOD)
    assert answer.status_code == 302 and answer["Location"] == reverse("welcome")
    owner = Operator.objects.get()
    assert (owner.username, owner.role) == ("mei", "owner")
    assert owner.check_password(GOOD["password"])
    assert client.get(reverse("welcome")).status_code == 200
    client.logout()
    again = client.post(link, {**GOOD, "username": "mallory"})
    assert again.status_code == 410
    assert Operator.objects.count() == 1


def test_the_act_is_in_the_log_without_the_password(client, link):
    client.post(link, GOOD)
    event = AuditEvent.objects.get(action="core.owner.created")
    assert event.subject == "mei" and event.address == "127.0.0.1"
    assert GOOD["password"] not in str(event.detail)


def test_expires(client, link):
    OneTimeLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = client.get(link)
    assert answer.status_code == 410
    assert "more than an hour old" in answer.content.decode()
    assert client.post(link, GOOD).status_code == 410
    assert not Operator.objects.exists()


def test_an_unknown_link_says_so(client, db):
    answer = client.get(reverse("setup", args=["nonsense"]))
    assert answer.status_code == 410 and "not known" in answer.content.decode()


@pytest.mark.parametrize("password", ["short", "123456789012", "password1234", "meiexample.test"])
def test_a_weak_password_is_refused_and_the_link_stays_good(client, link, password):
    answer = client.post(link, {**GOOD, "password": password})
    assert answer.status_code == 422
    assert not Operator.objects.exists()
    assert client.post(link, GOOD).status_code == 302


def test_what_was_typed_is_kept_but_never_the_password(client, link):
    page = client.post(link, {**GOOD, "password": "short"}).content.decode()
    assert 'value="mei@example.test"' in page
    assert "short" not in page.replace("too short", "")
