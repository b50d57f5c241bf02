"""Which addresses are ours to make, and why the others are not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import addresses
from accounts.addresses import NotAnAddress

LOCAL = [
    ("anna", "anna"),
    (" Anna ", "anna"),
    ("ANNA.Meier-2_x", "anna.meier-2_x"),
    ("a", "a"),
    ("2026", "2026"),
    ("x" * 64, "x" * 64),
]
NO_LOCAL = [
    ("", ["local_missing"]),
    ("  ", ["local_missing"]),
    ("x" * 65, ["local_long"]),
    ("ä" * 33, ["local_long", "local_characters"]),
    ("anna@example", ["local_has_at"]),
    ("anna+list", ["local_plus"]),
    ("an na", ["local_characters"]),
    ('"anna"', ["local_characters"]),
    ("an\tna", ["local_characters"]),
    ("an\nna", ["local_characters"]),
    ("an\x00na", ["local_characters"]),
    ("anna|sh", ["local_characters"]),
    ("anna/../x", ["local_characters"]),
    ("anna%b", ["local_characters"]),
    ("a!b", ["local_characters"]),
    ("a'b", ["local_characters"]),
    ("ａｎｎａ", ["local_characters"]),
    ("jürgen", ["local_characters"]),
    ("\u212a", ["local_characters"]),  # the Kelvin sign folds to k
    (".anna", ["local_dots"]),
    ("anna.", ["local_dots"]),
    ("an..na", ["local_dots"]),
    ("-anna", ["local_dots"]),
    ("_anna", ["local_dots"]),
    ("..", ["local_dots"]),
]
DOMAIN = [
    ("example.test", "example.test"),
    (" Example.TEST ", "example.test"),
    ("exämple.test", "xn--exmple-cua.test"),
    ("EXÄMPLE.test", "xn--exmple-cua.test"),
    ("xn--exmple-cua.test", "xn--exmple-cua.test"),
    ("郵件.台灣", "xn--5nqv22n.xn--kpry57d"),
    ("faß.test", "xn--fa-hia.test"),
    ("a-b.c.example.test", "a-b.c.example.test"),
    ("1.example.test", "1.example.test"),
]
NO_DOMAIN = [
    ("", "domain_missing"),
    ("localhost", "domain_one_label"),
    ("example.test.", "domain_trailing_dot"),
    ("a@example.test", "domain_has_at"),
    ("192.0.2.1", "domain_is_ip"),
    ("[192.0.2.1]", "domain_is_ip"),
    ("[2001:db8::1]", "domain_is_ip"),
    ("example.123", "domain_is_ip"),
    ("-a.test", "domain_characters"),
    ("a-.test", "domain_characters"),
    ("a_b.test", "domain_characters"),
    ("a b.test", "domain_characters"),
    ("a..test", "domain_characters"),
    (".test", "domain_characters"),
    ("a\x00.test", "domain_characters"),
    ("a\n.test", "domain_characters"),
    ("a/b.test", "domain_characters"),
    ("xn--a.test", "domain_characters"),
    ("☃.test", "domain_characters"),
    ("a" * 64 + ".test", "domain_long"),
    (".".join(["a" * 63] * 4) + ".test", "domain_long"),
    ("a" * 2000, "domain_long"),
]


@pytest.mark.parametrize(("text", "stored"), LOCAL)
def test_names_that_are_made(text: str, stored: str) -> None:
    assert addresses.local_part(text) == stored


@pytest.mark.parametrize(("text", "codes"), NO_LOCAL)
def test_names_that_are_refused_with_every_reason(text: str, codes: list[str]) -> None:
    with pytest.raises(NotAnAddress) as refused:
        addresses.local_part(text)
    assert [reason.code for reason in refused.value.reasons] == codes


@pytest.mark.parametrize(("text", "stored"), DOMAIN)
def test_domains_are_stored_as_a_labels(text: str, stored: str) -> None:
    assert addresses.domain_name(text) == stored


@pytest.mark.parametrize(("text", "code"), NO_DOMAIN)
def test_domains_that_are_refused(text: str, code: str) -> None:
    with pytest.raises(NotAnAddress) as refused:
        addresses.domain_name(text)
    assert [reason.code for reason in refused.value.reasons] == [code]


def test_an_address_collects_the_reasons_of_both_sides() -> None:
    with pytest.raises(NotAnAddress) as refused:
        addresses.parse("an na@localhost")
    assert [r.code for r in refused.value.reasons] == ["local_characters", "domain_one_label"]
    with pytest.raises(NotAnAddress):
        addresses.parse("anna")
    assert str(addresses.parse("Anna@Exämple.test")) == "anna@xn--exmple-cua.test"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Anna.Meier+x@Example.test", "Anna.Meier+x@example.test"),
        ("a=b@exämple.test", "a=b@xn--exmple-cua.test"),
    ],
)
def test_targets_may_be_elsewhere_and_keep_their_case(text: str, stored: str) -> None:
    assert addresses.target(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "|/bin/sh@example.test",
        "/etc/passwd@example.test",
        ":include:/etc/passwd",
        '"a b"@example.test',
        "a@b@example.test",
        "\\root@example.test",
        "-f@example.test",
        "anna",
        "a,b@example.test",
        "a\tb@example.test",
        ".a@example.test",
        "a..b@example.test",
    ],
)
def test_targets_that_a_mail_server_would_run_or_misread_are_refused(text: str) -> None:
    with pytest.raises(NotAnAddress):
        addresses.target(text)


# What the host does with an address: a folder, a map's key, a column, a word of a log line.
SAFE = re.compile(r"[a-z0-9][a-z0-9._-]*@[a-z0-9][a-z0-9.-]*[a-z0-9]\Z")


@given(st.one_of(st.text(max_size=80), st.from_regex(r"[!-~]{1,20}@[!-~]{1,20}\.[a-z]{2}")))
def test_whatever_is_accepted_is_safe_for_the_host(text: str) -> None:
    try:
        address = str(addresses.parse(text))
    except NotAnAddress as refused:
        assert refused.reasons
        return
    assert SAFE.match(address)
    assert ".." not in address and ".@" not in address and "@." not in address
    local, _at, domain = address.partition("@")
    assert len(local) <= 64 and len(domain) <= 253
    assert str(addresses.parse(address)) == address


@given(st.text(max_size=80))
def test_a_target_is_one_plain_word(text: str) -> None:
    try:
        target = addresses.target(text)
    except NotAnAddress:
        return
    assert target.isascii() and target.isprintable()
    assert not set(target) & set(" \t,;:|/\\\"'<>()[]!%&*?`$#~{}^")
    assert target.count("@") == 1


@given(st.text(max_size=60))
def test_showing_never_fails(text: str) -> None:
    addresses.unicode_domain(text)
    addresses.unicode_address(text)
    addresses.search_form(text)


def test_people_read_unicode() -> None:
    assert addresses.unicode_address("anna@xn--exmple-cua.test") == "anna@exämple.test"
    assert addresses.unicode_domain("xn--zzzzz99999.test") == "xn--zzzzz99999.test"


TESTS = "test TEST test7 tst tst01 scan-2 demo a.test guest_wifi тест 測試 gość prueba scanner2"


@pytest.mark.parametrize("name", TESTS.split())
def test_names_that_look_like_a_test(name: str) -> None:
    assert addresses.test_token(name)


@pytest.mark.parametrize(
    "name", ["testa", "barbara", "contest", "anna", "latest", "samples.de", "protest", "demeter"]
)
def test_surnames_are_not_tests(name: str) -> None:
    assert addresses.test_token(name) is None
