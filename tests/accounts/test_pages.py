"""Every page of accounts: for each role, empty, and in both languages."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import aliases, domains
from core.models import AuditEvent

from .conftest import AT
from .pages import BACKEND, new_account, several, text_of


@pytest.fixture
def looking(viewer: Any) -> Client:
    client = Client()
    client.force_login(viewer, backend=BACKEND)
    return client


PAGES = ["mailboxes", "new", "domains", "aliases", "alias_new"]
OF_ONE = ["mailbox", "edit", "password"]
ACTS = ["new", "selected", "name_check", "password_check", "alias_new"]
ACTS_ON_ONE = ["edit", "password", "suspend", "resume"]
READABLE = ["mailboxes", "domains", "aliases", "mailbox"]


@pytest.mark.parametrize("page", PAGES + OF_ONE)
def test_every_page_shows_itself_to_the_owner(signed_in: Client, anna: Any, page: str) -> None:
    url = reverse(f"accounts:{page}", args=[anna.pk] if page in OF_ONE else [])
    response = signed_in.get(url)
    assert response.status_code == 200
    assert "<h1" in text_of(response)


@pytest.mark.parametrize("page", PAGES + OF_ONE)
def test_every_page_asks_to_sign_in(client: Client, anna: Any, page: str) -> None:
    url = reverse(f"accounts:{page}", args=[anna.pk] if page in OF_ONE else [])
    response = client.get(url)
    assert response.status_code == 302 and "/session/" in response["Location"]


@pytest.mark.parametrize("page", PAGES + OF_ONE)
def test_a_viewer_reads_and_nothing_else(looking: Client, anna: Any, page: str) -> None:
    url = reverse(f"accounts:{page}", args=[anna.pk] if page in OF_ONE else [])
    assert looking.get(url).status_code == (200 if page in READABLE else 403)


@pytest.mark.parametrize("act", ACTS + ACTS_ON_ONE + ["domains"])
def test_a_viewer_changes_nothing(looking: Client, anna: Any, act: str) -> None:
    url = reverse(f"accounts:{act}", args=[anna.pk] if act in ACTS_ON_ONE else [])
    events = AuditEvent.objects.count()
    given = {"name": "new.test", "password": "x", "verb": "suspend", "mailbox": anna.pk}
    assert looking.post(url, given).status_code == 403
    assert AuditEvent.objects.count() == events
    anna.refresh_from_db()
    assert anna.state == "active"


@pytest.mark.parametrize("page", READABLE)
def test_a_viewer_is_shown_no_buttons_that_refuse(looking: Client, anna: Any, page: str) -> None:
    url = reverse(f"accounts:{page}", args=[anna.pk] if page in OF_ONE else [])
    shown = text_of(looking.get(url))
    for act in ("new", "selected", "alias_new"):
        assert f'action="{reverse(f"accounts:{act}")}"' not in shown or act == "selected"
        assert f'href="{reverse(f"accounts:{act}")}"' not in shown
    assert "data-selection-act" not in shown
    for act in ACTS_ON_ONE:
        assert reverse(f"accounts:{act}", args=[anna.pk]) not in shown


@pytest.mark.parametrize("act", ["suspend", "resume"])
def test_acts_are_posts(signed_in: Client, anna: Any, act: str) -> None:
    assert signed_in.get(reverse(f"accounts:{act}", args=[anna.pk])).status_code == 405


def test_what_is_not_there(signed_in: Client, db: None) -> None:
    for act in (*OF_ONE, "suspend", "resume"):
        url = reverse(f"accounts:{act}", args=[4711])
        answer = signed_in.get(url) if act in OF_ONE else signed_in.post(url)
        assert answer.status_code == 404


def test_the_empty_pages_teach_the_next_step(signed_in: Client) -> None:
    for page in ("mailboxes", "new", "aliases", "alias_new"):
        assert reverse("accounts:domains") in text_of(signed_in.get(reverse(f"accounts:{page}")))
    assert "No domain yet" in text_of(signed_in.get(reverse("accounts:domains")))
    domains.create(name="example.test", by=None, at=AT)
    assert "No account yet" in text_of(signed_in.get(reverse("accounts:mailboxes")))
    assert "No alias yet" in text_of(signed_in.get(reverse("accounts:aliases")))


@pytest.mark.parametrize("page", ["mailboxes", "domains", "aliases", "mailbox", "new"])
def test_no_page_asks_the_database_more_than_ten_times(
    signed_in: Client, domain: Any, anna: Any, page: str, django_assert_max_num_queries: Any
) -> None:
    for row in several(domain, "bert", "carl", "dora"):
        aliases.create(
            domain=domain,
            local_part=f"to-{row.local_part}",
            targets=[row.address],
            by=None,
            at=AT,
        )
        domains.create(name=f"{row.local_part}.test", by=None, at=AT)
    url = reverse(f"accounts:{page}", args=[anna.pk] if page == "mailbox" else [])
    with django_assert_max_num_queries(10):
        signed_in.get(url)


def test_inline_script_and_style_are_in_no_page(signed_in: Client, anna: Any) -> None:
    for page in PAGES + OF_ONE:
        url = reverse(f"accounts:{page}", args=[anna.pk] if page in OF_ONE else [])
        shown = signed_in.get(url).content.decode()
        assert "<script>" not in shown and "<style" not in shown
        assert " style=" not in shown and " onclick=" not in shown


ENGLISH = ["New account", "Suspend", "Set password", "Who looks after it", "Password"]


@pytest.mark.parametrize("page", PAGES + OF_ONE)
def test_traditional_chinese_is_complete(signed_in: Client, anna: Any, page: str) -> None:
    url = reverse(f"accounts:{page}", args=[anna.pk] if page in OF_ONE else [])
    shown = text_of(signed_in.get(url, headers={"accept-language": "zh-hant"}))
    assert 'lang="zh-hant"' in shown
    for words in ENGLISH:
        assert words not in shown


def test_reasons_are_said_in_chinese_too(signed_in: Client, domain: Any) -> None:
    shown = text_of(
        signed_in.post(
            reverse("accounts:new"),
            new_account(domain, local_part="test", password="test"),
            headers={"accept-language": "zh-hant"},
        )
    )
    for words in ("It has", "It is", "looks like"):
        assert words not in shown
    assert "12" in shown and "密碼" in shown
