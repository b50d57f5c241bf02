"""The pages of domains and aliases: adding, showing, deleting."""

from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import Alias, Domain, Mailbox
from accounts.sentences import SENTENCES

from .pages import text_of


def test_adding_a_domain(signed_in: Client) -> None:
    url = reverse("accounts:domains")
    shown = signed_in.post(url, {"name": "Exämple.test"}, follow=True)
    assert "exämple.test" in text_of(shown) and "xn--exmple-cua.test" in text_of(shown)
    assert "postmaster@, abuse@" in text_of(shown)
    again = signed_in.post(url, {"name": "exämple.test"})
    assert "There is a domain exämple.test already." in text_of(again)
    wrong = signed_in.post(url, {"name": "192.0.2.1"})
    assert str(SENTENCES["domain_is_ip"]) in text_of(wrong)
    assert 'value="192.0.2.1"' in text_of(wrong), "nothing typed is lost"
    assert Domain.objects.count() == 1


def test_aliases_are_made_shown_and_deleted(signed_in: Client, domain: Any, anna: Any) -> None:
    given = {"local_part": "info", "domain": domain.pk}
    wrong = text_of(
        signed_in.post(
            reverse("accounts:alias_new"), given | {"targets": "anna@example.test\n|/bin/sh"}
        )
    )
    assert "|/bin/sh: " in wrong and not Alias.objects.exists()
    targets = "anna@example.test, x@elsewhere.test\ny@elsewhere.test"
    shown = text_of(
        signed_in.post(reverse("accounts:alias_new"), given | {"targets": targets}, follow=True)
    )
    assert "info@example.test was made." in shown and "y@elsewhere.test" in shown
    alias = Alias.objects.get()
    assert len(alias.targets) == 3
    found = signed_in.get(reverse("accounts:aliases"), {"q": "elsewhere"})
    assert len(found.context["page"]) == 1
    gone = signed_in.post(reverse("accounts:alias_delete", args=[alias.pk]), follow=True)
    assert "info@example.test was deleted." in text_of(gone)


def test_a_domain_in_use_is_not_removed(signed_in: Client, domain: Any, anna: Any) -> None:
    url = reverse("accounts:domain_remove", args=[domain.pk])
    assert "still has 1 mailbox or alias" in text_of(signed_in.post(url, follow=True))
    Mailbox.objects.all().delete()
    assert "example.test was removed." in text_of(signed_in.post(url, follow=True))
