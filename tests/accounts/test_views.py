"""The pages: for each role, for success and for refusal, in both languages."""

import html
import logging
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import aliases, domains, hashing, lifecycle
from accounts.models import Alias, Domain, Mailbox
from accounts.sentences import SENTENCES
from core.models import AuditEvent

from .conftest import AT, GOOD

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def looking(viewer: Any) -> Client:
    client = Client()
    client.force_login(viewer, backend=BACKEND)
    return client


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def new_account(home: Domain, **given: Any) -> dict[str, Any]:
    return {"local_part": "bert", "domain": home.pk, "password": GOOD} | given


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


def several(domain: Any, *names: str) -> list[Mailbox]:
    return [
        lifecycle.create(domain=domain, local_part=name, password=GOOD, by=None, at=AT)
        for name in names
    ]


def test_bulk_asks_first_and_then_acts(signed_in: Client, domain: Any, anna: Any) -> None:
    rows = [anna, *several(domain, "bert", "carl")]
    lifecycle.suspend(mailbox=rows[2], by=None, at=AT)
    back = reverse("accounts:mailboxes") + "?state=active"
    given = {"verb": "suspend", "mailbox": [row.pk for row in rows], "next": back}
    asked = text_of(signed_in.post(reverse("accounts:selected"), given))
    assert "Suspend 2 accounts?" in asked and "1 more was ticked that is not active" in asked
    assert Mailbox.objects.in_state("active").count() == 2
    done = signed_in.post(reverse("accounts:selected"), given | {"sure": "yes", "reason": "stolen"})
    assert done["Location"] == back
    assert Mailbox.objects.in_state("suspended").count() == 3
    event = AuditEvent.objects.latest("pk")
    assert event.action == "accounts.mailbox.suspended_many"
    assert event.detail["count"] == 2 and len(event.detail["sha256"]) == 64
    assert event.detail["addresses"] == ["anna@example.test", "bert@example.test"]
    again = signed_in.post(reverse("accounts:selected"), given | {"sure": "yes"}, follow=True)
    assert "None of the ticked accounts is active." in text_of(again)


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_bulk_goes_back_only_to_our_pages(signed_in: Client, anna: Any, url: str) -> None:
    given = {"verb": "suspend", "mailbox": anna.pk, "sure": "yes", "next": url}
    response = signed_in.post(reverse("accounts:selected"), given)
    assert response["Location"] == reverse("accounts:mailboxes")


@pytest.mark.parametrize(
    "given", [{}, {"verb": "erase"}, {"verb": "suspend"}, {"verb": "suspend", "mailbox": "x"}]
)
def test_bulk_with_nonsense_changes_nothing(signed_in: Client, anna: Any, given: Any) -> None:
    assert signed_in.post(reverse("accounts:selected"), given | {"sure": "yes"}).status_code == 302
    anna.refresh_from_db()
    assert anna.state == "active"


def test_filters_sorting_and_search(signed_in: Client, domain: Any, anna: Any) -> None:
    other = domains.create(name="exämple.test", by=None, at=AT)
    several(other, "anna", "zoe")
    lifecycle.suspend(mailbox=Mailbox.objects.get(local_part="zoe"), by=None, at=AT)

    def shown(**given: str) -> list[str]:
        response = signed_in.get(reverse("accounts:mailboxes"), given)
        assert response.status_code == 200
        return [row.unicode_address for row in response.context["page"]]

    every = ["anna@example.test", "anna@exämple.test", "zoe@exämple.test"]
    assert shown() == every
    assert shown(sort="-address") == every[::-1]
    assert shown(sort="-id") == every[::-1]
    assert shown(state="suspended") == ["zoe@exämple.test"]
    assert shown(domain="example.test") == ["anna@example.test"]
    assert shown(q="ANNA") == every[:2]
    assert shown(q="exämple") == every[1:]
    assert shown(q="anna@exämple.test") == [every[1]]
    assert shown(q="zoe anna") == []
    assert shown(q="%") == [] and shown(q="'; --") == []
    assert shown(state="nonsense", sort="password", domain="nonsense") == every


def test_pages_follow_one_another(signed_in: Client, domain: Any) -> None:
    Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain,
            local_part=f"m{n:03}",
            address=f"m{n:03}@example.test",
            password="{ARGON2ID}x",
            password_set_at=AT,
            state_since=AT,
            created_at=AT,
        )
        for n in range(120)
    )
    seen: list[str] = []
    after: Any = None
    for _ in range(4):
        response = signed_in.get(reverse("accounts:mailboxes"), {"after": after} if after else {})
        page = response.context["page"]
        seen += [row.address for row in page]
        after = page.next
        if not after:
            break
    assert len(seen) == 120 and seen == sorted(seen)
    response = signed_in.get(reverse("accounts:mailboxes"), {"before": seen[100]})
    assert [row.address for row in response.context["page"]] == seen[50:100]


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
