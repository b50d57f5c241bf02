"""What a domain allows: its settings, its limits, and its rule for passwords."""

import html
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import aliases, domains, hashing, lifecycle, rules
from accounts.models import Change, Domain, Mailbox
from accounts.passwords import LONG, STRONG, Policy
from accounts.refusals import SeveralRefused
from core import api_auth
from core.models import AuditEvent

from .conftest import AT, GOOD

LONG_ONE = "kapimtovuzrelofdasik"
FIFTEEN = "abcabcabcabcabc"  # long enough, and easy to guess


def settings_of(domain: Domain) -> dict[str, Any]:
    names = ("note", "most_mailboxes", "quota_mb", "most_quota_mb", "password_rule")
    names += ("least_length", "least_score", "revision")
    return {name: getattr(domain, name) for name in names}


def edit(domain: Domain, **new: Any) -> Domain:
    domain.refresh_from_db()
    return domains.edit(domain=domain, **(settings_of(domain) | new), by=None, at=AT)


def make(domain: Domain, local: str, **given: Any) -> Mailbox:
    given = {"password": GOOD} | given
    return lifecycle.create(domain=domain, local_part=local, **given, by=None, at=AT)


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


# The verb


def test_an_edit_is_stored_and_audited_with_what_was_before(domain: Any, owner: Any) -> None:
    changes = Change.objects.count()
    given = settings_of(domain) | {"most_mailboxes": 5, "note": " ours "}
    made = domains.edit(domain=domain, **given, by=owner, at=AT)
    assert (made.most_mailboxes, made.note, made.revision) == (5, "ours", 2)
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.subject) == ("accounts.domain.edited", "example.test")
    assert event.detail == {
        "before": {"most_mailboxes": None, "note": ""},
        "after": {"most_mailboxes": 5, "note": "ours"},
    }
    assert Change.objects.count() == changes, "a host need not know a console's limits"


def test_an_edit_that_changes_nothing_leaves_no_trace(domain: Any) -> None:
    events = AuditEvent.objects.count()
    assert edit(domain).revision == 1
    assert AuditEvent.objects.count() == events


def test_the_second_of_two_is_told(domain: Any) -> None:
    seen = settings_of(domain)
    edit(domain, note="first")
    with pytest.raises(domains.DomainEditedMeanwhile) as refused:
        domains.edit(domain=domain, **(seen | {"note": "second"}), by=None, at=AT)
    assert "this domain" in refused.value.sentence and refused.value.status == 409
    domain.refresh_from_db()
    assert domain.note == "first"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("least_length", 7),
        ("least_length", 65),
        ("least_length", 0),
        ("least_length", -1),
        ("least_score", 5),
        ("least_score", -1),
        ("most_mailboxes", -1),
        ("most_mailboxes", 2**40),
        ("quota_mb", 0),
        ("quota_mb", 2**40),
        ("most_quota_mb", 0),
        ("most_quota_mb", 2**40),
        ("password_rule", "none"),
        ("password_rule", ""),
    ],
)
def test_settings_out_of_range(domain: Any, field: str, value: Any) -> None:
    with pytest.raises((domains.NumberRefused, domains.RuleUnknown)) as refused:
        edit(domain, **({"password_rule": "own"} | {field: value}))
    assert refused.value.field == field and refused.value.sentence
    assert Domain.objects.get().revision == 1


@pytest.mark.parametrize(
    "given",
    [
        {"least_length": 8},
        {"least_length": 64},
        {"least_score": 0},
        {"least_score": 4},
        {"most_mailboxes": 0},
        {"quota_mb": 100, "most_quota_mb": 100},
        {"quota_mb": None, "most_quota_mb": 1},
    ],
)
def test_settings_at_the_edge(domain: Any, given: dict[str, Any]) -> None:
    made = edit(domain, password_rule="own", **given)
    assert {name: getattr(made, name) for name in given} == given


def test_all_that_is_wrong_is_told_at_once(domain: Any) -> None:
    with pytest.raises(SeveralRefused) as refused:
        edit(domain, least_length=3, quota_mb=0, password_rule="x")
    assert {each.field for each in refused.value.refusals} == {
        "least_length",
        "quota_mb",
        "password_rule",
    }


def test_a_usual_quota_above_the_most(domain: Any) -> None:
    with pytest.raises(domains.DefaultAboveMost):
        edit(domain, quota_mb=200, most_quota_mb=100)


# Limits


def test_a_domain_that_is_full(domain: Any, anna: Any) -> None:
    edit(domain, most_mailboxes=2)
    make(domain, "bert")
    with pytest.raises(rules.DomainFull) as refused:
        make(domain, "carl")
    assert "2 mailboxes" in refused.value.sentence
    assert Mailbox.objects.count() == 2
    Mailbox.objects.filter(address="bert@example.test").update(state="erased")
    make(domain, "carl")


def test_the_limit_that_counts_is_the_stored_one(domain: Any, anna: Any) -> None:
    """Another operator lowered it while this one's page was open."""
    stale = Domain.objects.get(pk=domain.pk)
    Domain.objects.filter(pk=domain.pk).update(most_mailboxes=1)
    with pytest.raises(rules.DomainFull):
        make(stale, "bert")


@pytest.mark.parametrize(
    ("usual", "most", "asked", "given"),
    [
        (None, None, None, None),
        (None, None, 7, 7),
        (50, None, None, 50),
        (50, 100, None, 50),
        (None, 100, None, 100),
        (50, 100, 100, 100),
        (50, 100, 101, "refused"),
        (50, None, 101, 101),
    ],
)
def test_the_quota_of_a_new_mailbox(
    domain: Any, usual: int | None, most: int | None, asked: int | None, given: Any
) -> None:
    edit(domain, quota_mb=usual, most_quota_mb=most)
    domain.refresh_from_db()
    if given == "refused":
        with pytest.raises(rules.QuotaRefused) as refused:
            make(domain, "anna", quota_mb=asked)
        assert str(most) in refused.value.sentence
    else:
        assert make(domain, "anna", quota_mb=asked).quota_mb == given


def test_a_quota_from_before_the_limit_stays_until_it_is_edited(domain: Any) -> None:
    anna = make(domain, "anna", quota_mb=500)
    edit(domain, most_quota_mb=100)

    def change(**new: Any) -> Mailbox:
        anna.refresh_from_db()
        said = {"display_name": "", "owner_contact": "", "note": "", "quota_mb": anna.quota_mb}
        return lifecycle.edit(mailbox=anna, revision=anna.revision, **(said | new), by=None, at=AT)

    assert change(note="seen").quota_mb == 500
    for quota in (400, None):
        with pytest.raises(rules.QuotaRefused):
            change(quota_mb=quota)
    assert change(quota_mb=100).quota_mb == 100


# Passwords


def test_which_rule_counts(domain: Any) -> None:
    assert rules.policy_of(None) == rules.policy_of(domain) == STRONG
    domain.password_rule = "long"
    assert rules.policy_of(domain) == LONG
    domain.password_rule, domain.least_length, domain.least_score = "own", 20, 4
    assert rules.policy_of(domain) == Policy(20, 4)


@pytest.mark.parametrize(
    ("rule", "password", "codes"),
    [
        ({"password_rule": "strong"}, FIFTEEN, {"guessable"}),
        ({"password_rule": "long"}, FIFTEEN, set()),
        ({"password_rule": "long"}, "xk92-vbqq-37d", {"too_short"}),
        ({"password_rule": "strong"}, "xk92-vbqq-37d", set()),
        ({"password_rule": "own", "least_length": 30}, GOOD, {"too_short"}),
        ({"password_rule": "own", "least_length": 8, "least_score": 0}, "abcdwxyz", set()),
    ],
)
def test_each_domain_has_its_own(
    domain: Any, anna: Any, rule: dict[str, Any], password: str, codes: set[str]
) -> None:
    edit(domain, **rule)
    anna = Mailbox.objects.get(pk=anna.pk)
    if not codes:
        lifecycle.set_password(mailbox=anna, password=password, by=None, at=AT)
        anna.refresh_from_db()
        assert hashing.matches(anna.password, password)
        return
    with pytest.raises(rules.PasswordRefused) as refused:
        lifecycle.set_password(mailbox=anna, password=password, by=None, at=AT)
    assert set(refused.value.codes) == codes


def test_the_story_is_refused_whatever_the_rule(domain: Any) -> None:
    edit(domain, password_rule="own", least_length=8, least_score=0)
    for password in ("test", "testtest", "Test2026", "example2026", "3x4mpl3-t3st"):
        with pytest.raises(rules.PasswordRefused):
            make(domain, "test", password=password, name_reason="shown in a talk")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("kurz-weil.test", "kurz2026!"),
        ("kurz-weil.test", "weilkurz1"),
        ("kurz-weil.test", "kurzweil2026"),
        ("kurzweil.test", "liewzruk1"),
        ("büro-nord.test", "büro2026!"),
        ("büro-nord.test", "buro2026!"),
        ("mail.kurzweil.test", "Kurzw31l!"),
        ("x.test", "mailadmin2026"),
        ("x.test", "Password-2026"),
    ],
)
def test_words_of_the_organisation(db: None, name: str, password: str) -> None:
    home = domains.create(name=name, by=None, at=AT)
    home = edit(home, password_rule="own", least_length=8, least_score=0)
    verdict = rules.judge_password(password, local="zoe", domain=home)
    assert "derived_from_domain" in verdict.codes


# Pages


def test_the_page_of_a_domain(signed_in: Client, domain: Any, anna: Any) -> None:
    aliases.create(domain=domain, local_part="x", targets=["anna@example.test"], by=None, at=AT)
    edit(domain, most_mailboxes=1, most_quota_mb=2048)
    shown = text_of(signed_in.get(reverse("accounts:domain", args=[domain.pk])))
    assert "of 1 at most" in shown and "2,048 MB" in shown and "12 characters" in shown
    assert "postmaster@, abuse@" in shown and "cannot be deleted" in shown
    assert "It has as many mailboxes as it may" in shown
    assert "asks for 15 characters" in shown
    assert reverse("accounts:domain_remove", args=[domain.pk]) not in shown
    assert "once it is empty" in shown
    refused = signed_in.post(reverse("accounts:domain_remove", args=[domain.pk]), follow=True)
    assert "still has 2 mailboxes and aliases" in text_of(refused)


def test_saving_settings_in_the_page(signed_in: Client, domain: Any) -> None:
    url = reverse("accounts:domain_edit", args=[domain.pk])
    assert signed_in.get(url).status_code == 200
    given = {"revision": 1, "password_rule": "own", "least_length": 9, "least_score": ""}
    saved = signed_in.post(url, given, follow=True)
    assert "9 characters" in text_of(saved) and "3 of 4" in text_of(saved)
    again = signed_in.post(url, given | {"note": "x"})
    assert "Somebody else changed this domain" in text_of(again)
    wrong = signed_in.post(url, given | {"revision": 2, "least_length": 7, "quota_mb": 0})
    assert "Give a length from 8 to 64" in text_of(wrong) and "megabytes" in text_of(wrong)


def test_a_viewer_reads_a_domain(client: Client, viewer: Any, domain: Any) -> None:
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    shown = client.get(reverse("accounts:domain", args=[domain.pk]))
    assert shown.status_code == 200
    url = reverse("accounts:domain_edit", args=[domain.pk])
    assert url not in text_of(shown)
    assert client.get(url).status_code == 403 and client.post(url).status_code == 403


def test_the_pages_say_the_domains_rule(signed_in: Client, domain: Any, anna: Any) -> None:
    edit(domain, password_rule="own", least_length=40, least_score=2)
    for url in (
        reverse("accounts:password", args=[anna.pk]),
        reverse("accounts:new") + "?domain=example.test",
        reverse("accounts:new"),
    ):
        shown = text_of(signed_in.get(url))
        assert "At least 40 characters" in shown and 'data-least="40"' in shown
    check = reverse("accounts:password_check")
    for about in ({"mailbox": anna.pk}, {"domain": domain.pk, "local_part": "bert"}):
        verdict = text_of(signed_in.post(check, {"password": GOOD, **about}))
        assert "40 are the least" in verdict
    full = {"domain": domain.pk, "local_part": "bert", "password": LONG_ONE}
    assert "40 are the least" in text_of(signed_in.post(reverse("accounts:new"), full))


def test_a_full_domain_is_told_at_the_field(signed_in: Client, domain: Any, anna: Any) -> None:
    edit(domain, most_mailboxes=1)
    given = {"domain": domain.pk, "local_part": "bert", "password": GOOD}
    assert "no room for another" in text_of(signed_in.post(reverse("accounts:new"), given))


@pytest.mark.parametrize(
    ("stored", "older"),
    [("{SHA512-CRYPT}$6$x$y", True), ("{BLF-CRYPT}$2y$x", True), (None, False)],
)
def test_an_older_hash_is_said(
    signed_in: Client, anna: Any, stored: str | None, older: bool
) -> None:
    if stored:
        Mailbox.objects.filter(pk=anna.pk).update(password=stored)
    shown = text_of(signed_in.get(reverse("accounts:mailbox", args=[anna.pk])))
    assert ("older kind of hash" in shown) is older
    anna.refresh_from_db()
    lifecycle.set_password(mailbox=anna, password=GOOD, by=None, at=AT)
    assert not Mailbox.objects.get(pk=anna.pk).older_hash


# API


@pytest.fixture
def call(owner: Any, client: Client) -> Any:
    _row, secret = api_auth.create_token(
        name="t", scopes=["accounts:read", "accounts:write"], expires_at=None, by=owner, at=AT
    )

    def ask(method: str, path: str, **body: Any) -> Any:
        return getattr(client, method)(
            f"/api/v1{path}",
            body,
            content_type="application/json",
            headers={"authorization": f"Bearer {secret}"},
        )

    return ask


def test_a_domain_by_the_api(call: Any, domain: Any, anna: Any) -> None:
    read = call("get", "/domains/EXAMPLE.test").json()
    assert (read["mailboxes"], read["most_mailboxes"], read["revision"]) == (1, None, 1)
    done = call("patch", "/domains/example.test", revision=1, most_mailboxes=1, note="ours")
    assert done.status_code == 200
    assert (done.json()["most_mailboxes"], done.json()["revision"]) == (1, 2)
    assert call("patch", "/domains/example.test", revision=2).json()["note"] == "ours"
    unset = call("patch", "/domains/example.test", revision=2, most_mailboxes=None)
    assert unset.json()["most_mailboxes"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"revision": 9}, 409, "DomainEditedMeanwhile"),
        ({"revision": 1, "least_length": 7}, 422, "NumberRefused"),
        ({"revision": 1, "password_rule": "weak"}, 422, "RuleUnknown"),
        ({"revision": 1, "least_length": None}, 422, "Invalid"),
        ({}, 422, "Invalid"),
    ],
)
def test_what_the_api_refuses(
    call: Any, domain: Any, body: dict[str, Any], status: int, code: str
) -> None:
    answer = call("patch", "/domains/example.test", **body)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert call("get", "/domains/nowhere.test").status_code == 404
