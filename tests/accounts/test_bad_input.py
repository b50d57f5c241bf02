"""What does harm when it is stored comes in by no door: page, API or verb. Each refusal says why,
and nothing was changed."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import aliases, bulk, closing, domains, flags, lifecycle
from accounts.models import Alias, AppPassword, Domain, Flag, Mailbox
from accounts.refusals import TextRefused
from accounts.sentences import SENTENCES
from core.errors import Refusal
from core.models import AuditEvent

from .conftest import AT, GOOD
from .test_api import READ, WRITE, Api

FULLWIDTH = "ｋａｐｉｍ4-tovuz7-relof2"
LIGATURE = "oﬃce7-tovuz7-relof2"
CONTROLS = ["\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "a\nb"]


@pytest.fixture
def api(owner: Any) -> Api:
    return Api(owner, READ, WRITE)


def told(response: Any) -> str:
    """A page as it is read, or an API's answer."""
    if response["Content-Type"].startswith("text/html"):
        return html.unescape(response.content.decode())
    return str(response.json())


def untouched() -> tuple[Any, ...]:
    """All that a form or a call could change."""
    return tuple(
        list(model.objects.order_by("pk").values())
        for model in (Domain, Mailbox, Alias, Flag, AppPassword, AuditEvent)
    )


Door = Callable[..., str]


@pytest.fixture(params=["page", "api", "verb"])
def make(request: pytest.FixtureRequest, domain: Domain, signed_in: Client, api: Api) -> Door:
    """Tries to make a mailbox in example.test; what it was told."""

    def by_page(name: str, password: str = GOOD) -> str:
        given = {"local_part": name, "domain": domain.pk, "password": password}
        answer = signed_in.post(reverse("accounts:new"), given)
        assert answer.status_code in (200, 422), answer.status_code
        return told(answer)

    def by_api(name: str, password: str = GOOD) -> str:
        given = {"address": f"{name}@example.test", "password": password}
        answer = api("post", "/mailboxes", given)
        assert 400 <= answer.status_code < 500, answer.status_code
        return told(answer)

    def by_verb(name: str, password: str = GOOD) -> str:
        with pytest.raises(Refusal) as refused:
            lifecycle.create(domain=domain, local_part=name, password=password, by=None, at=AT)
        return refused.value.sentence

    return {"page": by_page, "api": by_api, "verb": by_verb}[request.param]


@pytest.mark.parametrize("password", [FULLWIDTH, LIGATURE, "①kapim4-tovuz7-relof2"])
def test_a_password_that_programs_send_in_two_forms(make: Door, password: str) -> None:
    before = untouched()
    said = make("bert", password)
    assert str(SENTENCES["compatibility"]) in said and password not in said
    assert untouched() == before


@pytest.mark.parametrize("password", [FULLWIDTH, LIGATURE])
def test_such_a_password_is_not_set_either(
    signed_in: Client, api: Api, anna: Mailbox, password: str
) -> None:
    before = untouched()
    answers = [
        signed_in.post(reverse("accounts:password", args=[anna.pk]), {"password": password}),
        api("post", f"/mailboxes/{anna.address}/password", {"password": password}),
    ]
    for answer in answers:
        assert str(SENTENCES["compatibility"]) in told(answer)
    assert untouched() == before


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ('"bert"', "local_characters"),
        ('"bert smith"', "local_characters"),
        ("bert+lists", "local_plus"),
        ("b" * 65, "local_long"),
        ("ä" * 33, "local_long"),
        ("bürt", "local_characters"),
        ("bert.", "local_dots"),
        ("b..ert", "local_dots"),
        # What a line of a map or of passwd is made of, a shell, a path, a pipe.
        ("bert\tOK", "local_characters"),
        ("bert\nroot: evil", "local_characters"),
        ("bert:x:0:0::/root:/bin/sh", "local_characters"),
        ("bert|/bin/sh", "local_characters"),
        (":include:/etc/passwd", "local_characters"),
        ("../../etc/passwd", "local_characters"),
        ("$(reboot)", "local_characters"),
        ("bert%elsewhere.test", "local_characters"),
        ("elsewhere!bert", "local_characters"),
        ("x'; DROP TABLE accounts_mailbox; --", "local_characters"),
        ("{{ 7 }}", "local_characters"),
        ("be\x00rt", "local_characters"),
        ("be\x07rt", "local_characters"),
        ("be\u202ert", "local_characters"),
    ],
)
def test_names_that_would_break_something(make: Door, name: str, code: str) -> None:
    before = untouched()
    said = make(name)
    # A form's field says so of a null character itself.
    words = str(SENTENCES[code]).partition("%")[0]
    assert words in said or ("\x00" in name and "ull characters" in said), said
    assert untouched() == before


@pytest.mark.parametrize("name", ["Anna", "ANNA", " anna "])
def test_a_twin_in_upper_case_is_the_same_mailbox(make: Door, anna: Mailbox, name: str) -> None:
    before = untouched()
    assert "There is a mailbox anna@example.test already." in make(name)
    assert untouched() == before


@pytest.mark.parametrize("name", ["exämple.test", "EXÄMPLE.test", "xn--exmple-cua.test"])
def test_a_domain_written_otherwise_is_the_same_domain(
    signed_in: Client, api: Api, name: str
) -> None:
    domains.create(name="exämple.test", by=None, at=AT)
    before = untouched()
    page = signed_in.post(reverse("accounts:domains"), {"name": name})
    for answer in (page, api("post", "/domains", {"name": name})):
        assert "There is a domain exämple.test already." in told(answer)
    assert untouched() == before


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("example.test.", "domain_trailing_dot"),
        ("a" * 64 + ".test", "domain_long"),
        ("[192.0.2.1]", "domain_is_ip"),
        ("a\tb.test", "domain_characters"),
        ("a.test\nevil.test", "domain_characters"),
        ("a.test'; DROP TABLE accounts_domain; --", "domain_characters"),
    ],
)
def test_domains_that_would_break_something(
    signed_in: Client, api: Api, name: str, code: str
) -> None:
    before = untouched()
    page = signed_in.post(reverse("accounts:domains"), {"name": name})
    for answer in (page, api("post", "/domains", {"name": name})):
        assert str(SENTENCES[code]).partition("%")[0] in told(answer)
    assert untouched() == before


@pytest.mark.parametrize(
    "target", ["|/bin/sh", ":include:/etc/passwd", "a\x07b@x.test", '"a b"@x.test']
)
def test_an_alias_leads_to_nothing_that_a_server_would_run(
    signed_in: Client, api: Api, domain: Domain, target: str
) -> None:
    before = untouched()
    given = {"local_part": "info", "domain": domain.pk, "targets": target}
    page = signed_in.post(reverse("accounts:alias_new"), given)
    called = api("post", "/aliases", {"address": "info@example.test", "targets": [target]})
    assert page.status_code in (200, 422) and "invalid-feedback" in told(page)
    assert 400 <= called.status_code < 500
    assert untouched() == before


@pytest.mark.parametrize("control", CONTROLS)
def test_words_with_control_characters_by_page(
    signed_in: Client, domain: Domain, anna: Mailbox, control: str
) -> None:
    """In each field of each form; several lines only where the field has several."""
    flag = Flag.objects.create(mailbox=anna, kind="no_owner", since=AT, found_at=AT)
    alias = aliases.create(domain=domain, local_part="info", targets=[anna.address], by=None, at=AT)
    words = f"Anna{control}Meier"
    new = {"local_part": "bert", "domain": domain.pk, "password": GOOD}
    edit = {"revision": 1, "display_name": "Anna"}
    forms: list[tuple[str, dict[str, Any]]] = [
        (reverse("accounts:new"), new | {"display_name": words}),
        (reverse("accounts:new"), new | {"owner_contact": words}),
        (reverse("accounts:new"), new | {"local_part": "test", "name_reason": words}),
        (reverse("accounts:edit", args=[anna.pk]), edit | {"display_name": words}),
        (reverse("accounts:edit", args=[anna.pk]), edit | {"owner_contact": words}),
        (reverse("accounts:suspend", args=[anna.pk]), {"reason": words}),
        (reverse("accounts:close", args=[anna.pk]), {"days": 30, "reason": words}),
        (
            reverse("accounts:selected"),
            {"verb": "suspend", "mailbox": anna.pk, "sure": "yes", "reason": words},
        ),
        (
            reverse("accounts:flags_selected"),
            {"verb": "exempt", "flag": flag.pk, "sure": "yes", "reason": words},
        ),
    ]
    if "\n" not in control:
        noted = {"targets": anna.address, "revision": 1, "note": words}
        forms += [
            (reverse("accounts:new"), new | {"note": words}),
            (reverse("accounts:edit", args=[anna.pk]), edit | {"note": words}),
            (reverse("accounts:domains"), {"name": "new.test", "note": words}),
            (reverse("accounts:alias_edit", args=[alias.pk]), noted),
        ]
    before = untouched()
    for url, given in forms:
        answer = signed_in.post(url, given, follow=True)
        assert answer.status_code in (200, 422), (url, answer.status_code)
        shown = told(answer)
        assert "control character" in shown or "ull characters" in shown, (url, given)
        assert untouched() == before, (url, given)


@pytest.mark.parametrize("control", CONTROLS)
def test_words_with_control_characters_by_api(
    api: Api, domain: Domain, anna: Mailbox, control: str
) -> None:
    flag = Flag.objects.create(mailbox=anna, kind="no_owner", since=AT, found_at=AT)
    words = f"Anna{control}Meier"
    new = {"address": "bert@example.test", "password": GOOD}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("post", "/mailboxes", new | {"display_name": words}),
        ("post", "/mailboxes", new | {"owner_contact": words}),
        ("post", f"/mailboxes/{anna.address}/suspend", {"reason": words}),
        ("post", f"/mailboxes/{anna.address}/close", {"days": 30, "reason": words}),
        ("post", f"/mailboxes/{anna.address}/app-passwords", {"name": words, "imap": True}),
        ("post", f"/flags/{flag.pk}/exempt", {"reason": words}),
    ]
    if "\n" not in control:
        calls += [
            ("post", "/mailboxes", new | {"note": words}),
            ("post", "/domains", {"name": "new.test", "note": words}),
            ("patch", "/domains/example.test", {"revision": 1, "note": words}),
            (
                "post",
                "/aliases",
                {"address": "info@example.test", "targets": [anna.address], "note": words},
            ),
        ]
    before = untouched()
    for method, path, body in calls:
        answer = api(method, path, body)
        assert answer.status_code == 400 or "control character" in told(answer), (
            path,
            told(answer),
        )
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
        assert untouched() == before, path


def test_words_with_control_characters_by_verb(domain: Domain, anna: Mailbox) -> None:
    flag = Flag.objects.create(mailbox=anna, kind="no_owner", since=AT, found_at=AT)
    given: dict[str, Any] = {"by": None, "at": AT}
    before = untouched()
    for act in (
        lambda: lifecycle.suspend(mailbox=anna, reason="a\x00b", **given),
        lambda: closing.close(mailbox=anna, reason="a\x1bb", **given),
        lambda: bulk.suspend(mailboxes=[anna.pk], reason="a\nb", **given),
        lambda: bulk.close(mailboxes=[anna.pk], reason="a\x7fb", **given),
        lambda: flags.exempt(flag=flag, reason="a\x85b", until=None, **given),
        lambda: domains.create(name="new.test", note="a\x00b", **given),
    ):
        with pytest.raises(TextRefused) as refused:
            act()
        assert "control character" in refused.value.sentence
        assert untouched() == before


def test_a_note_may_have_several_lines_and_a_tab(domain: Domain) -> None:
    note = "first\r\nsecond\tcolumn"
    made = lifecycle.create(
        domain=domain, local_part="bert", password=GOOD, note=note, by=None, at=AT
    )
    assert made.note == note


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\x1b", "' OR 1=1 --", "%", "_", "\\", "\ud800"]
)
def test_no_word_breaks_a_search_or_finds_what_it_does_not_name(
    signed_in: Client, api: Api, anna: Mailbox, text: str
) -> None:
    pages = ["mailboxes", "aliases", "domains", "csv"]
    for page in pages:
        answer = signed_in.get(
            reverse(f"accounts:{page}"), {"q": text.encode("utf-8", "surrogatepass")}
        )
        assert answer.status_code in (200, 302), (page, answer.status_code)
        if text.strip() and page == "mailboxes" and "\x00" not in text and text.isprintable():
            assert not list(answer.context["page"])
    for page in ("new", "alias_new"):
        answer = signed_in.get(
            reverse(f"accounts:{page}"), {"domain": text.encode("utf-8", "surrogatepass")}
        )
        assert answer.status_code == 200, page
    for name in ("domain", "state", "sort", "after", "before"):
        answer = signed_in.get(reverse("accounts:mailboxes"), {name: "x\x00'"})
        assert answer.status_code == 200, name
    if text.isprintable():
        assert api("get", "/mailboxes", q=text).json()["items"] == []
    assert api("get", "/mailboxes", q="\x00", after="\x00").status_code == 200


def test_a_domain_with_mailboxes_is_kept_and_says_what_comes_first(
    signed_in: Client, domain: Domain, anna: Mailbox
) -> None:
    before = untouched()
    url = reverse("accounts:domain_remove", args=[domain.pk])
    shown = told(signed_in.post(url, follow=True))
    assert "1 mailbox" in shown and "erase" in shown.lower()
    assert untouched() == before
    assert url not in told(signed_in.get(reverse("accounts:domain", args=[domain.pk])))


def test_the_second_of_two_operators_is_told_whatever_they_edit(
    signed_in: Client, api: Api, domain: Domain, anna: Mailbox
) -> None:
    alias = aliases.create(domain=domain, local_part="info", targets=[anna.address], by=None, at=AT)
    rows = {
        reverse("accounts:edit", args=[anna.pk]): ({"display_name": "first"}, anna),
        reverse("accounts:alias_edit", args=[alias.pk]): (
            {"targets": anna.address, "note": "first"},
            alias,
        ),
        reverse("accounts:domain_edit", args=[domain.pk]): (
            {"note": "first", "password_rule": "long", "least_length": 12, "least_score": 3},
            domain,
        ),
    }
    for url, (given, row) in rows.items():
        assert signed_in.post(url, given | {"revision": 1}).status_code == 302, url
        before = untouched()
        second = told(signed_in.post(url, given | {"revision": 1, "note": "second"}))
        assert "Somebody else changed this" in second and "second" in second
        assert untouched() == before, row
    for path, body in (
        ("/domains/example.test", {"revision": 1, "note": "third"}),
        (f"/aliases/{alias.address}", {"revision": 1, "note": "third"}),
    ):
        answer = api("patch", path, body)
        assert answer.status_code == 409 and "Somebody else" in told(answer)
