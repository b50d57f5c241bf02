"""The pages of one mailbox: making, editing, passwords, suspending."""

import logging
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import hashing
from accounts.models import Mailbox
from accounts.sentences import SENTENCES
from core.models import AuditEvent

from .conftest import GOOD
from .pages import new_account, text_of


def test_making_an_account(signed_in: Client, domain: Any, owner: Any) -> None:
    url = reverse("accounts:new")
    given = new_account(domain, display_name="Bert", owner_contact="ext. 7", quota_mb="500")
    response = signed_in.post(url, given)
    made = Mailbox.objects.get(address="bert@example.test")
    assert response["Location"] == reverse("accounts:mailbox", args=[made.pk])
    assert (made.display_name, made.owner_contact, made.quota_mb) == ("Bert", "ext. 7", 500)
    event = AuditEvent.objects.latest("pk")
    assert (event.actor, event.address) == (owner, "127.0.0.1")


def test_sending_the_form_twice_makes_one(signed_in: Client, domain: Any) -> None:
    url, given = reverse("accounts:new"), new_account(domain)
    assert signed_in.post(url, given).status_code == 302
    again = signed_in.post(url, given)
    assert "There is a mailbox bert@example.test already." in text_of(again)
    assert Mailbox.objects.count() == 1


def test_test_with_the_password_test_is_refused_with_every_reason(
    signed_in: Client, domain: Any
) -> None:
    given = new_account(domain, local_part="test", password="test", note="remember me")
    shown = text_of(signed_in.post(reverse("accounts:new"), given))
    assert not Mailbox.objects.exists()
    assert "It has 4 characters; 12 are the least." in shown
    for code in ("equals_name", "common"):
        assert str(SENTENCES[code]) in shown
    assert "It is too easy to guess: 0 of 4 points" in shown
    assert "looks like an account for a test" in shown
    assert 'name="name_reason"' in shown
    assert "remember me" in shown


def test_a_test_account_with_a_reason(signed_in: Client, domain: Any) -> None:
    given = new_account(domain, local_part="test7", name_reason="Load test until Friday")
    signed_in.post(reverse("accounts:new"), given)
    made = Mailbox.objects.get(local_part="test7")
    shown = text_of(signed_in.get(reverse("accounts:mailbox", args=[made.pk])))
    assert "Load test until Friday" in shown


@pytest.mark.parametrize(
    "given",
    [
        {"domain": "4711"},
        {"domain": "x"},
        {"domain": ""},
        {"quota_mb": "many"},
        {"quota_mb": "-1"},
        {"quota_mb": "9" * 30},
        {"local_part": "x" * 400},
        {"local_part": ""},
        {"display_name": "x" * 201},
        {"password": ""},
        {"password": "kapim4-\x00tovuz7-relof2"},
    ],
)
def test_bad_forms_are_told_and_change_nothing(signed_in: Client, domain: Any, given: Any) -> None:
    response = signed_in.post(reverse("accounts:new"), new_account(domain, **given))
    assert response.status_code == 200
    assert 'class="invalid-feedback' in text_of(response)
    assert not Mailbox.objects.exists()


def test_no_answer_holds_the_password(
    signed_in: Client, domain: Any, anna: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "Anna-2026-Geheim"
    answers = [
        signed_in.post(
            reverse("accounts:new"), new_account(domain, local_part="a b", password=secret)
        ),
        signed_in.post(
            reverse("accounts:password_check"), {"password": secret, "mailbox": anna.pk}
        ),
        signed_in.post(reverse("accounts:password", args=[anna.pk]), {"password": "anna-anna-12"}),
        signed_in.post(reverse("accounts:password", args=[anna.pk]), {"password": secret}),
        signed_in.get(reverse("accounts:mailbox", args=[anna.pk])),
    ]
    for answer in answers:
        assert secret not in text_of(answer) and "anna-anna-12" not in text_of(answer)
        assert "argon2" not in text_of(answer)
        assert secret not in answer.get("Location", "")
    assert "no-store" in answers[1]["Cache-Control"]
    assert secret not in caplog.text


def test_a_password_that_was_not_the_reason_is_asked_for_again(
    signed_in: Client, domain: Any
) -> None:
    given = new_account(domain, local_part="a b")
    shown = text_of(signed_in.post(reverse("accounts:new"), given))
    assert "Type or make the password again" in shown and GOOD not in shown
    given = new_account(domain, password="short")
    shown = text_of(signed_in.post(reverse("accounts:new"), given))
    assert "Type or make the password again" not in shown


def test_the_password_check_says_every_reason(signed_in: Client, domain: Any) -> None:
    url = reverse("accounts:password_check")
    shown = text_of(
        signed_in.post(url, {"password": "test", "local_part": "Test", "domain": domain.pk})
    )
    for code in ("equals_name", "common"):
        assert str(SENTENCES[code]) in shown
    good = text_of(signed_in.post(url, {"password": GOOD, "local_part": "x", "domain": domain.pk}))
    assert "nothing speaks against it" in good
    assert "At least 12 characters" in text_of(signed_in.post(url, {"password": ""}))


def test_the_password_check_knows_the_account(signed_in: Client, anna: Any) -> None:
    url = reverse("accounts:password_check")
    shown = text_of(signed_in.post(url, {"password": "anna@example.test", "mailbox": anna.pk}))
    assert str(SENTENCES["equals_name"]) in shown


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 40, "²"])
def test_the_checks_survive_any_number(signed_in: Client, db: None, number: str) -> None:
    given = {"password": "x" * 5000, "mailbox": number, "domain": number, "local_part": "a"}
    for name in ("password_check", "name_check"):
        assert signed_in.post(reverse(f"accounts:{name}"), given).status_code == 200


def test_the_name_check(signed_in: Client, domain: Any, anna: Any) -> None:
    url = reverse("accounts:name_check")

    def shown(name: str) -> str:
        return text_of(signed_in.post(url, {"local_part": name, "domain": domain.pk}))

    assert "bert@example.test" in shown("Bert")
    assert "There is a mailbox anna@example.test already." in shown("anna")
    assert str(SENTENCES["local_plus"]) in shown("a+b")
    assert 'name="name_reason"' in shown("test")
    assert "name_reason" not in shown("testa")


def test_suspending_and_resuming(signed_in: Client, anna: Any) -> None:
    url = reverse("accounts:suspend", args=[anna.pk])
    shown = text_of(signed_in.post(url, {"reason": "<b>stolen</b>"}, follow=True))
    assert "anna@example.test is suspended" in shown
    anna.refresh_from_db()
    assert (anna.state, anna.refuses_mail) == ("suspended", False)
    raw = signed_in.get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()
    assert "&lt;b&gt;stolen" in raw and "<b>stolen" not in raw
    again = text_of(signed_in.post(url, follow=True))
    assert "is not active, so it cannot be suspended" in again
    resumed = text_of(signed_in.post(reverse("accounts:resume", args=[anna.pk]), follow=True))
    assert "anna@example.test is active again." in resumed


def test_suspending_and_refusing_mail(signed_in: Client, anna: Any) -> None:
    signed_in.post(reverse("accounts:suspend", args=[anna.pk]), {"refuses_mail": "on"})
    anna.refresh_from_db()
    assert anna.refuses_mail
    shown = text_of(signed_in.get(reverse("accounts:mailbox", args=[anna.pk])))
    assert "new mail is refused" in shown


def test_setting_a_password(signed_in: Client, anna: Any) -> None:
    url = reverse("accounts:password", args=[anna.pk])
    signed_in.post(url, {"password": "vesif3-kolab9-numat2-hodeg5"})
    anna.refresh_from_db()
    assert hashing.matches(anna.password, "vesif3-kolab9-numat2-hodeg5")
    spaces = "  " + GOOD + "  "
    signed_in.post(url, {"password": spaces})
    anna.refresh_from_db()
    assert hashing.matches(anna.password, spaces), "spaces at the ends belong to it"


def test_editing_and_the_second_who_is_told(signed_in: Client, anna: Any) -> None:
    url = reverse("accounts:edit", args=[anna.pk])
    first = signed_in.post(url, {"revision": 1, "display_name": "Anna M."}, follow=True)
    assert "Saved." in text_of(first)
    second = signed_in.post(url, {"revision": 1, "display_name": "Annette"})
    assert "Somebody else changed this account" in text_of(second)
    assert "Annette" in text_of(second)
    anna.refresh_from_db()
    assert anna.display_name == "Anna M."
