"""What is written is what is read back, or it is refused with a sentence."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.render import CannotRender, lines, render
from deploy.render.values import HostConfig, Snapshot
from tests.render import strategies
from tests.render.examples import TLS


def rendered(**settings: object) -> dict[str, str]:
    snapshot = Snapshot(host=HostConfig(**{"fqdn": "mail.example.test", **settings}), tls=TLS)
    return {path: content.decode() for path, content in render(snapshot).files.items()}


@given(strategies.fqdn)
def test_a_host_name_is_kept_as_it_is(name):
    assert lines.host_name("fqdn", name) == name


@given(st.one_of(strategies.hostile, strategies.near_misses))
def test_a_host_name_is_harmless_or_refused(text):
    """Whatever is typed, nothing but letters, digits, dots and hyphens gets into a file."""
    try:
        name = lines.host_name("fqdn", text)
    except CannotRender as refused:
        assert refused.setting == "fqdn"
        assert str(refused).isprintable()
    else:
        assert re.fullmatch(r"[a-z0-9.-]+", name, re.ASCII)
        assert name == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not_a_host_name"),
        ("mail", "not_fully_qualified"),
        ("192.0.2.1", "not_fully_qualified"),
        ("Mail.example.test", "not_a_host_name"),
        ("mail.example.test.", "not_a_host_name"),
        ("-mail.example.test", "not_a_host_name"),
        ("mail..example.test", "not_a_host_name"),
        ("mail.example.test\n", "not_a_host_name"),
        ("mail_1.example.test", "not_a_host_name"),
        ("bücher.example", "not_a_host_name"),
        ("a" * 64 + ".example.test", "not_a_host_name"),
        (".".join(["a" * 60] * 5), "not_a_host_name"),
    ],
)
def test_a_bad_host_name_says_what_is_wrong(text, problem):
    with pytest.raises(CannotRender) as refused:
        lines.host_name("fqdn", text)
    assert refused.value.problem == problem


@given(st.text())
def test_a_word_means_itself_or_is_refused(text):
    try:
        word = lines.word("setting", text)
    except CannotRender:
        return
    assert word == text
    assert re.fullmatch(r"[A-Za-z0-9._:/@+-]+", word, re.ASCII)


@given(strategies.inet, strategies.inet6)
def test_addresses_keep_their_meaning(inet, inet6):
    for given_, version in ((inet, 4), (inet6, 6)):
        written = lines.addresses("listen", given_, version)
        assert {ipaddress.ip_address(a) for a in written} == {
            ipaddress.ip_address(a) for a in given_
        }


@pytest.mark.parametrize(
    ("values", "version"),
    [
        (["mail.example.test"], 4),
        (["::1"], 4),
        (["192.0.2.1"], 6),
        (["fe80::1%eth0"], 6),
        (["192.0.2.1, M=a"], 4),
        (["192.0.2.1\n"], 4),
        ([""], 4),
    ],
)
def test_what_is_no_address_is_refused(values, version):
    with pytest.raises(CannotRender, match="not an IPv"):
        lines.addresses("listen_inet", values, version)


def test_a_wildcard_beside_addresses_is_refused():
    with pytest.raises(CannotRender) as refused:
        rendered(listen_inet=("192.0.2.1",), listen_inet6=("::",))
    assert refused.value.problem == "wildcard_beside_addresses"


@pytest.mark.parametrize("size", [0, -1, 2048, True, "50"])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(CannotRender, match="between 1 and 2047"):
        lines.megabytes("message_size_mb", size)


def test_the_hosts_own_mail_has_a_port_when_only_addresses_listen():
    text = rendered(listen_inet=("192.0.2.25",))["sendmail/sendmail.mc"]
    assert "Addr=127.0.0.1, Port=25, M=A" in text
    assert "Addr=127.0.0.1, Port=587" not in text


def test_one_socket_serves_both_families_where_everything_listens():
    text = rendered(listen_inet6=("::",))["sendmail/sendmail.mc"]
    assert text.count("DAEMON_OPTIONS(") == 3
    assert "Family=inet," not in text


# --- templates -----------------------------------------------------------------------------------


def test_a_placeholder_without_a_value_is_a_mistake():
    with pytest.raises(KeyError):
        lines.fill("@NAME@")
    with pytest.raises(KeyError):
        lines.fill("", NAME="x")


def test_values_are_not_filled_in_again():
    filled = lines.fill("@ONE@ @GENERATION@", ONE="@TWO@ @ONE@")
    assert filled == b"@TWO@ @ONE@ @GENERATION@"


# --- snippets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("syscmd(`id')", "syscmd"),
        ("define(`x', esyscmd(`id'))", "esyscmd"),
        ("define(`x', sys`'cmd(`id'))", "syscmd"),
        ("define(`x', `sys'`cmd')x(`id')", "syscmd"),
        ("include(`/etc/shadow')", "include"),
        ("sinclude(`/etc/shadow')", "sinclude"),
        ("undivert(`/etc/passwd')", "undivert"),
        ("builtin(`esyscmd', `id')", "builtin"),
        ("indir(`x')", "indir"),
        ("changequote([, ])", "changequote"),
        ("dnl syscmd", "syscmd"),
    ],
)
def test_a_sendmail_snippet_runs_and_reads_nothing(line, word):
    with pytest.raises(CannotRender) as refused:
        lines.sendmail_snippet(f"dnl first\n{line}\n")
    assert refused.value.problem == "refused_word"
    assert refused.value.detail == word
    assert "Line 2" in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "define(`confMAX_HOP', `30')dnl",
        "FEATURE(`greet_pause', `2000')dnl",
        "INPUT_MAIL_FILTER(`clamav', `S=local:/run/clamav/milter.sock')dnl",
        "dnl 這裡是說明",
        "# Überschrift",
        "define(`my_include_path', `x')dnl",
    ],
)
def test_an_ordinary_sendmail_snippet_is_taken(line):
    assert lines.sendmail_snippet(line + "\r\n\r\n") == line + "\n"


def test_signs_outside_ascii_are_for_comments():
    with pytest.raises(CannotRender) as refused:
        lines.sendmail_snippet("define(`confX', `é')dnl")
    assert refused.value.problem == "not_ascii"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("auth_debug = yes", "auth_debug"),
        ("  auth_debug_passwords=yes", "auth_debug_passwords"),
        ("auth_verbose_passwords = plain", "auth_verbose_passwords"),
        ("auth_cache_size = 10M", "auth_cache_size"),
        ("!include /etc/dovecot/conf.d/*.conf", "!include"),
        ("\t!include_try local.conf", "!include_try"),
        ("dovecot_config_version = 2.4.0", "dovecot_config_version"),
    ],
)
def test_a_dovecot_snippet_cannot_break_what_is_promised(line, name):
    with pytest.raises(CannotRender) as refused:
        lines.dovecot_snippet(f"mail_debug = no\n{line}\n")
    assert refused.value.problem == "refused_setting"
    assert refused.value.detail == name


def test_a_dovecot_line_may_not_go_on():
    with pytest.raises(CannotRender, match="backslash"):
        lines.dovecot_snippet("login_greeting = a \\\nauth_debug = yes")


@pytest.mark.parametrize("sign", ["\0", "\x1b", "\x85", "\u2028", "\u202e", "\x0b", "\r"])
@pytest.mark.parametrize("check", [lines.sendmail_snippet, lines.dovecot_snippet])
def test_signs_that_hide_a_line_are_refused(check, sign):
    with pytest.raises(CannotRender) as refused:
        check(f"# one{sign}auth_debug = yes\n")
    assert refused.value.problem == "control_character"


@pytest.mark.parametrize("check", [lines.sendmail_snippet, lines.dovecot_snippet])
def test_a_snippet_has_a_greatest_size(check):
    with pytest.raises(CannotRender, match="64 KB"):
        check("# x\n" * 20_000)


@given(st.text(max_size=200))
def test_a_snippet_is_kept_or_refused(text):
    for check in (lines.sendmail_snippet, lines.dovecot_snippet):
        try:
            kept = check(text)
        except CannotRender:
            continue
        assert kept.rstrip("\n") == text.replace("\r\n", "\n").rstrip()
