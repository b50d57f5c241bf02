"""What of a hand-changed file becomes own lines, and what is said to need a hand."""

import re

import pytest

from deploy import adoption
from deploy.render import lines, render
from tests.render.examples import snapshot

FILES = render(snapshot("plain")).files
DOVECOT = FILES["dovecot/dovecot23.conf"].decode()
DOVECOT_24 = FILES["dovecot/dovecot24.conf"].decode()
MC = FILES["sendmail/sendmail.mc"].decode()


def said(adopted: adoption.Adopted) -> list[tuple[str, str]]:
    return [(each.reason, each.line) for each in adopted.by_hand]


@pytest.mark.parametrize("text", [DOVECOT, DOVECOT_24])
def test_the_same_text_has_nothing(text: str) -> None:
    assert adoption.dovecot(text, text) == adoption.Adopted("", ())


def test_a_setting_at_the_end_and_a_changed_one() -> None:
    found = DOVECOT.replace("auth_failure_delay = 2 secs", "auth_failure_delay=4 secs")
    adopted = adoption.dovecot(DOVECOT, found + "\nmail_max_userip_connections   = 20\n")
    assert adopted.text == "auth_failure_delay = 4 secs\nmail_max_userip_connections = 20\n"
    assert not adopted.by_hand


def test_a_setting_in_its_section() -> None:
    found = DOVECOT.replace(
        "inet_listener imaps {\n    port = 993", "inet_listener imaps {\n    port = 1993"
    )
    assert found != DOVECOT
    adopted = adoption.dovecot(DOVECOT, found)
    assert adopted.text == (
        "service imap-login {\n  inet_listener imaps {\n    port = 1993\n  }\n}\n"
    )
    assert not adopted.by_hand


def test_a_new_section_that_looks_like_the_others() -> None:
    """Lines that are there already, elsewhere, are not taken for these."""
    inner = "  unix_listener stats-writer {\n    mode = 0600\n    user = root\n  }\n"
    new = f"service stats {{\n{inner}}}\n"
    between = DOVECOT.replace("service lmtp {", new + "service lmtp {")
    for found in (new + DOVECOT, between, DOVECOT + new):
        assert adoption.dovecot(DOVECOT, found).text == new


def test_a_comment_comes_along_and_a_removed_line_does_not() -> None:
    found = DOVECOT.replace("auth_verbose = yes\n", "# too loud\n#auth_verbose = yes\n")
    adopted = adoption.dovecot(DOVECOT, found)
    assert adopted.text == "# too loud\n#auth_verbose = yes\n"
    assert said(adopted) == [("removed", "auth_verbose = yes")]


def test_a_section_without_a_name_cannot_be_written_again() -> None:
    found = DOVECOT.replace("passdb {\n  driver = sql", "passdb {\n  driver = sql\n  deny = yes")
    assert said(adoption.dovecot(DOVECOT, found)) == [("unnamed", "deny = yes")]
    assert adoption.dovecot(DOVECOT, found).text == ""
    (name,) = re.findall(r"^userdb (\w+) {", DOVECOT_24, re.MULTILINE)
    named = DOVECOT_24.replace(f"userdb {name} {{\n", f"userdb {name} {{\n  skip = found\n")
    assert adoption.dovecot(DOVECOT_24, named).text == f"userdb {name} {{\n  skip = found\n}}\n"


@pytest.mark.parametrize("text", ["}", "}\n}\n{", "{", "a {", "a { b = c }", "= = =", ""])
def test_what_is_not_even_a_configuration_raises_nothing(text: str) -> None:
    adoption.dovecot(DOVECOT, text)
    adoption.sendmail(MC, text)


def test_what_is_adopted_says_nothing_new_when_it_is_there() -> None:
    found = DOVECOT.replace("auth_failure_delay = 2 secs", "auth_failure_delay = 4 secs")
    own = adoption.dovecot(DOVECOT, found).text
    assert lines.dovecot_snippet(own) == own


# Sendmail


def test_an_mc_that_is_the_same() -> None:
    assert adoption.sendmail(MC, MC) == adoption.Adopted("", ())


def test_defines_that_are_new_or_different() -> None:
    found = MC.replace("define(`confTO_IDENT', `0')dnl", "define(`confTO_IDENT', `5s')dnl")
    found = found.replace("MAILER_DEFINITIONS", "FEATURE(`redirect')dnl\nMAILER_DEFINITIONS")
    adopted = adoption.sendmail(MC, found)
    assert adopted.text == "define(`confTO_IDENT', `5s')dnl\nFEATURE(`redirect')dnl\n"
    assert not adopted.by_hand
    assert lines.sendmail_snippet(adopted.text) == adopted.text


def test_lines_of_the_cf_keep_their_tabs_and_their_part() -> None:
    found = MC.replace("LOCAL_RULE_0", "Kmine hash\t/etc/mail/mine\nLOCAL_RULE_0")
    assert adoption.sendmail(MC, found).text == "LOCAL_CONFIG\nKmine hash\t/etc/mail/mine\n"


def test_what_own_lines_cannot_say_of_an_mc() -> None:
    found = MC.replace("FEATURE(`nocanonify')dnl\n", "")
    found = found.replace("Port=465", "Port=4465")
    found += "R$*\t$@ OK\n"
    adopted = adoption.sendmail(MC, found)
    assert adopted.text == ""
    reasons = dict(said(adopted))
    assert reasons["removed"] == "FEATURE(`nocanonify')dnl"
    assert "4465" in reasons["twice"]
    assert reasons["place"] == "R$*\t$@ OK"
