"""Names and the subtrees they may stand in."""

from __future__ import annotations

import ipaddress
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca import names, wording


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Mail.Example.TEST", "dns", "mail.example.test"),
        (" mail.example.test\n", "dns", "mail.example.test"),
        ("*.Example.test", "dns", "*.example.test"),
        ("bücher.example.test", "dns", "xn--bcher-kva.example.test"),
        ("郵件.example.test", "dns", "xn--5nqv22n.example.test"),
        ("192.0.2.1", "ip", "192.0.2.1"),
        ("2001:DB8:0::1", "ip", "2001:db8::1"),
        ("[2001:db8::1]", "ip", "2001:db8::1"),
        ("Wang@Example.TEST", "email", "Wang@example.test"),
        ("wang.da-ming+x@郵件.example.test", "email", "wang.da-ming+x@xn--5nqv22n.example.test"),
        ("*.郵件.example.test", "dns", "*.xn--5nqv22n.example.test"),
        ("*.mail.internal", "dns", "*.mail.internal"),
        ("*.example.com.tw", "dns", "*.example.com.tw"),
        ("*.www.ck", "dns", "*.www.ck"),
        ("com.tw", "dns", "com.tw"),
    ],
)
def test_normal_form(text: str, kind: str, value: str) -> None:
    parsed = names.parse(text)
    assert (parsed.kind, parsed.value) == (kind, value)
    assert names.parse(parsed.value) == parsed, "a normal form is its own normal form"
    assert names.parse(parsed.shown()) == parsed


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "name_empty"),
        ("a b.test", "name_control"),
        ("a\n.example.test", "name_control"),
        ("mail", "name_single_label"),
        ("mail.example.test.", "name_trailing_dot"),
        ("*", "name_wildcard_place"),
        ("*.*.example.test", "name_wildcard_place"),
        ("*.com", "name_wildcard_wide"),
        ("a..example.test", "name_label"),
        ("a" * 64 + ".example.test", "name_label"),
        ("300.0.2.1", "name_label"),
        ("192.0.2.1/24", "name_label"),
        ("ab--cd.example.test", "name_label"),
        ("*.com.tw", "name_wildcard_wide"),
        ("*.co.uk", "name_wildcard_wide"),
        ("*.台灣", "name_wildcard_wide"),
        ("*.github.io", "name_wildcard_wide"),
        ("*.anything.ck", "name_wildcard_wide"),
        ("user@mail", "email_domain"),
        ("@example.test", "email_local"),
        (".user@example.test", "email_local"),
        ("a..b@example.test", "email_local"),
        ('"a"@example.test', "email_local"),
        ("a@b@example.test", "email_local"),
        ("*@example.test", "email_local"),
        ("王@example.test", "email_local"),
        ("user@*.example.test", "name_wildcard_place"),
        ("user@example.test.", "name_trailing_dot"),
        ("user@192.0.2.1", "name_label"),
        ("user@[192.0.2.1]", "name_label"),
        ("user@exa_mple.test", "name_label"),
        ("u" * 65 + "@example.test", "email_long"),
        ("wangwang@" + ".".join(["a" * 49] * 5), "email_long"),
        ("user<b@example.test", "email_local"),
        ("http://example.test", "name_label"),
        ("☃.example.test", "name_idn"),
    ],
)
def test_bad_names(text: str, code: str) -> None:
    with pytest.raises(names.BadName) as refused:
        names.parse(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00.example.test", "a\\x00.example.test"),
        ("a\ud800.example.test", "a\\ud800.example.test"),
        ("a b.test", "a b.test"),
        ("*" + "a" * 10_000, "*" + "a" * 299 + "…"),
    ],
)
def test_what_was_refused_can_be_shown_and_stored(text: str, shown: str) -> None:
    with pytest.raises(names.BadName) as refused:
        names.parse(text)
    assert refused.value.value == shown


SUBTREES = names.parse_subtrees(["Example.TEST", ".corp.test", "192.0.2.0/24", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("text", "permitted"),
    [
        ("example.test", True),
        ("a.b.example.test", True),
        ("*.example.test", True),
        ("notexample.test", False),
        ("example.test.evil.test", False),
        ("mail.corp.test", True),
        ("*.test", None),
        ("192.0.2.255", True),
        ("192.0.3.1", False),
        ("2001:db8:1::1", True),
        ("2001:db9::1", False),
        ("wang@example.test", True),
        ("wang@mail.example.test", True),
        ("wang@notexample.test", False),
        ("example.test@elsewhere.test", False),
    ],
)
def test_the_console_and_the_extension_agree(text: str, permitted: bool | None) -> None:
    if permitted is None:
        with pytest.raises(names.BadName):
            names.parse(text)
        return
    name = names.parse(text)
    extension = names.constraints(SUBTREES)
    assert extension is not None
    assert SUBTREES.permit(name) is permitted
    assert names.within(extension, name) is permitted


@pytest.mark.parametrize(
    ("texts", "inside", "outside"),
    [
        (
            ["example.test"],
            ["a.example.test", "a@example.test", "a@b.example.test"],
            ["192.0.2.1", "2001:db8::1", "a.test.test", "a@test.test"],
        ),
        (
            ["192.0.2.0/24"],
            ["192.0.2.1"],
            ["a.example.test", "2001:db8::1", "198.51.100.1", "a@example.test"],
        ),
    ],
)
def test_a_kind_that_is_not_named_is_excluded(
    texts: list[str], inside: list[str], outside: list[str]
) -> None:
    subtrees = names.parse_subtrees(texts)
    extension = names.constraints(subtrees)
    assert extension is not None
    for text in inside:
        assert names.within(extension, names.parse(text)) and subtrees.permit(names.parse(text))
    for text in outside:
        assert not names.within(extension, names.parse(text))
        assert not subtrees.permit(names.parse(text))


def test_nothing_named_is_no_limit() -> None:
    assert names.constraints(names.Subtrees()) is None
    assert names.Subtrees().permit(names.parse("anything.test"))


def test_an_imported_issuers_exclusion_counts() -> None:
    extension = x509.NameConstraints(
        permitted_subtrees=None,
        excluded_subtrees=[
            x509.DNSName("secret.example.test"),
            x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
        ],
    )
    assert names.within(extension, names.parse("mail.example.test"))
    assert not names.within(extension, names.parse("a.secret.example.test"))
    assert not names.within(extension, names.parse("192.0.2.9"))


@pytest.mark.parametrize(
    ("subtree", "inside", "outside"),
    [
        # RFC 5280 4.2.1.10: one mailbox, all of one host, all below a domain
        ("Wang@example.test", ["Wang@example.test"], ["wang@example.test", "Li@example.test"]),
        ("example.test", ["wang@example.test"], ["wang@mail.example.test"]),
        (".example.test", ["wang@mail.example.test"], ["wang@example.test"]),
    ],
)
def test_an_imported_issuers_mail_subtrees(
    subtree: str, inside: list[str], outside: list[str]
) -> None:
    general = [x509.RFC822Name(subtree)]
    only, never = x509.NameConstraints(general, None), x509.NameConstraints(None, general)
    for text in inside:
        assert names.within(only, names.parse(text)) and not names.within(never, names.parse(text))
    for text in outside:
        assert not names.within(only, names.parse(text)) and names.within(never, names.parse(text))
    assert names.within(only, names.parse("mail.elsewhere.test")), "speaks of mail addresses only"


@pytest.mark.parametrize("text", ["com.tw", "*.com.tw", ".co.uk", "github.io", "com", "台灣"])
def test_an_issuer_is_not_let_loose_on_a_public_suffix(text: str) -> None:
    with pytest.raises(names.BadName) as refused:
        names.parse_subtrees([text])
    assert refused.value.code == "domain_wide"


def test_a_private_top_is_the_organisations_own() -> None:
    assert names.parse_subtrees(["internal", "test"]).domains == ("internal", "test")


@pytest.mark.parametrize("text", ["j.wang", "a_b.example", "x@y", "::1", "192.0.2.1", "-.-"])
def test_what_others_take_for_a_name(text: str) -> None:
    assert names.looks_like_a_name(text)


@pytest.mark.parametrize("text", ["王大明", "J. Wang", "Wang Ta-ming", "mail", "王.大明", "Li: 2"])
def test_what_nobody_takes_for_a_name(text: str) -> None:
    assert not names.looks_like_a_name(text)


def test_split_takes_what_people_type() -> None:
    assert names.split("a.test, b.test;c.test\n d.test、e.test") == [
        "a.test",
        "b.test",
        "c.test",
        "d.test",
        "e.test",
    ]


# Properties, over names as people and hostile requests write them.

LETTERS = st.sampled_from("abz09-_.*@AÄß王郵件१\u200d\u0301xn--İ ")
LABELS = st.one_of(
    st.sampled_from(["mail", "example", "test", "com", "tw", "github", "io", "a", "xn--5nqv22n"]),
    st.text(LETTERS, min_size=1, max_size=12),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
)
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
LOCAL_PARTS = st.one_of(
    st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9+-]+)?", fullmatch=True),
    st.text(LETTERS, max_size=8),
)
TEXTS = st.one_of(
    st.text(max_size=40),
    HOSTS,
    HOSTS.map("*.".__add__),
    st.tuples(LOCAL_PARTS, HOSTS).map("@".join),
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())
AT = datetime.now(UTC)


def certificate(*extensions: x509.ExtensionType, subject: str = "Root") -> x509.Certificate:
    """Signed by "Root", whose key is the only one here."""
    builder = (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root")]))
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .public_key(ISSUER_KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(AT - timedelta(hours=1))
        .not_valid_after(AT + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(ISSUER_KEY, hashes.SHA256())


def parsed(text: str) -> names.Name | None:
    try:
        return names.parse(text)
    except names.BadName as refused:
        assert refused.code in wording.SENTENCES
        return None


NAMES = TEXTS.map(parsed).filter(bool)


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_what_is_accepted_has_one_normal_form(text: str) -> None:
    name = parsed(text)
    if name is None:
        return
    assert names.parse(name.value) == name
    assert names.parse(name.shown()) == name
    assert names.parse(f" {name.value}\n") == name
    assert name.value.isascii() and name.value.isprintable() and " " not in name.value
    assert name.kind in names.KINDS


@given(NAMES)
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_is_read_back_from_a_certificate(name: names.Name) -> None:
    written = certificate(x509.SubjectAlternativeName([name.general_name()]), subject="Leaf")
    read = x509.load_der_x509_certificate(written.public_bytes(Encoding.DER))
    (general,) = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert general == name.general_name()
    assert names.parse(str(general.value)) == name


@given(NAMES)
@settings(max_examples=200, deadline=None)
def test_no_wildcard_reaches_over_strangers(name: names.Name) -> None:
    if name.value.startswith("*."):
        assert "." in name.value[2:] and not names.is_public_suffix(name.value[2:])


# Two labels, so that names often stand in a subtree and often just beside it.
NEAR = st.lists(st.sampled_from(["b", "ab"]), max_size=2)
NEAR_HOSTS = NEAR.map(lambda labels: ".".join([*labels, "b", "test"]))
NEAR_ADDRESSES = st.one_of(
    st.integers(0, 7).map(lambda number: f"192.0.2.{number}"),
    st.integers(0, 7).map(lambda number: f"2001:db8::{number}"),
)
NEAR_TEXTS = st.one_of(
    NEAR_HOSTS,
    NEAR_HOSTS.map("*.".__add__),
    NEAR_HOSTS.map("wang@".__add__),
    NEAR_ADDRESSES,
)
NEAR_SUBTREES = st.lists(
    st.one_of(
        NEAR_HOSTS,
        st.sampled_from(["192.0.2.0/30", "192.0.2.4/32", "2001:db8::/126", "2001:db8::4/128"]),
    ),
    min_size=1,
    max_size=3,
).map(names.parse_subtrees)


@given(NEAR_SUBTREES, NEAR_TEXTS)
@settings(max_examples=300, deadline=None)
def test_what_is_permitted_is_within_what_is_written(subtrees: names.Subtrees, text: str) -> None:
    name, extension = names.parse(text), names.constraints(subtrees)
    assert extension is not None
    assert subtrees.permit(name) is names.within(extension, name)
    read = certificate(extension).extensions.get_extension_for_class(x509.NameConstraints).value
    assert names.within(read, name) is subtrees.permit(name)


@given(NEAR_SUBTREES, st.lists(NEAR_TEXTS, min_size=12, max_size=24, unique=True))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_openssl_agrees(tmp_path: Path, subtrees: names.Subtrees, texts: list[str]) -> None:
    """Its verdict on a leaf with each name, under an issuer with the constraints."""
    extension = names.constraints(subtrees)
    assert extension is not None
    root = certificate(x509.BasicConstraints(ca=True, path_length=None), extension)
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-CAfile", "root.pem"]
    for number, text in enumerate(texts):
        san = x509.SubjectAlternativeName([names.parse(text).general_name()])
        leaf = certificate(san, subject="Some leaf")
        (tmp_path / f"{number}.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        command.append(f"{number}.pem")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "subtree violation" in done.stderr or "error" not in done.stderr
    for number, text in enumerate(texts):
        verified = f"{number}.pem: OK" in done.stdout.splitlines()
        assert verified is subtrees.permit(names.parse(text)), (text, subtrees, done.stderr)
