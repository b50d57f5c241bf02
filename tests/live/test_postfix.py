"""Postfix 3.7 and 3.10 under a configuration of ours, asked as clients and strangers ask."""

import contextlib
import smtplib
import time
from collections.abc import Iterator

import pytest

from deploy.hostctl import paths
from tests.live.conftest import started
from tests.live.rendered import ROWS, Deployed, HelperRefused, mailbox, suspended
from tests.live.test_gate import full_mailbox_is_refused, message, rcpt


@pytest.fixture(scope="module", params=["bookworm-postfix", "trixie-postfix"])
def host(request: pytest.FixtureRequest, can_run_hosts: None) -> Iterator[Deployed]:
    with started(request.param) as machine:
        made = Deployed(machine)
        made.accounts(*ROWS)
        made.snapshot = made.deploy()
        yield made


@contextlib.contextmanager
def rows(host: Deployed, *differ: dict[str, object], after: tuple[dict[str, object], ...]):
    host.accounts(*differ)
    try:
        yield
    finally:
        host.accounts(*after)


def test_a_first_deployment_serves_mail(host):
    facts = host.ask("facts")
    assert facts["mta"] == "postfix" and facts["postfix"].startswith("3.")
    assert facts["drift"] == [] and facts["sendmail"] == ""
    assert {name for name, each in facts["services"].items() if each["running"]} == {
        "dovecot",
        "bridge",
        "postfix",
    }
    for port in (587, 465):
        with host.signed_in("alice@example.test", port=port) as client:
            client.sendmail("alice@example.test", ["bob@example.test"], message(f"by {port}"))
        assert host.mailbox_holds("bob@example.test", f"by {port}")
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            host.signed_in("carol@example.test", port=port, password="wrong")
        assert refused.value.smtp_code == 535
    assert not host.smtp(25).has_extn("auth"), "never on 25"
    assert not host.smtp(587).has_extn("auth"), "never in clear"
    host.smtp(25).starttls(context=host.tls)


@pytest.mark.parametrize(
    "recipient, status, words",
    [
        ("alice@example.test", 250, b""),
        ("ALICE@Example.Test", 250, b""),
        ("alice+tag@example.test", 250, b""),
        ("sales@example.test", 250, b""),
        ("sales+x@example.test", 250, b""),
        ("erin@example.test", 250, b""),  # suspended: receives still
        ("postmaster@example.test", 250, b""),
        ("abuse@example.test", 250, b""),
        ("root@FQDN", 250, b""),
        ("postmaster@FQDN", 250, b""),
        ("nobody-there@example.test", 550, b"5.1.1"),
        ("*@example.test", 550, b"5.1.1"),
        ("@example.test", 550, b"5.1.1"),
        ("nosuch@FQDN", 550, b"5.1.1"),
        ("closed@example.test", 550, b"5.2.1"),
        ("someone@sub.example.test", 554, b"5.7.1"),
        ("someone@elsewhere.example", 554, b"5.7.1"),
        ("x%elsewhere.example@example.test", 554, b"5.7.1"),
        ('"someone@elsewhere.example"@example.test', 554, b"5.7.1"),
        ('"|/bin/true"@example.test', 550, b"5.1.1"),
    ],
)
def test_the_gate(host, recipient, status, words):
    reply = rcpt(host, recipient.replace("FQDN", host.machine.fqdn))
    assert (reply[0], reply[1][: len(words)]) == (status, words), reply


def test_the_hosts_own_mail_goes_to_its_users(host):
    host.run("sh", "-c", "printf 'Subject: cron\\n\\nran\\n' | sendmail root")
    until = time.monotonic() + 10
    while "ran" not in host.run("sh", "-c", "cat /var/mail/* 2>/dev/null || true").stdout:
        assert time.monotonic() < until, host.log()
        time.sleep(0.1)


def test_a_full_mailbox_is_refused_at_rcpt(host):
    full_mailbox_is_refused(host)


def test_a_catch_all_takes_what_nobody_else_does(host):
    caught = {"alias": {"address": "*@example.test", "targets": ["dora@example.test"]}}
    with rows(host, caught, after=({"remove": "*@example.test"},)):
        with host.smtp(25, source=host.machine.foreign_address) as client:
            client.sendmail("", ["Who.Ever+x@example.test"], message("caught"))
            client.sendmail("", ["alice+x@example.test"], message("for-alice-alone"))
        assert host.mailbox_holds("dora@example.test", "caught")
        assert host.mailbox_holds("alice@example.test", "for-alice-alone")
        assert not host.mailbox_holds("dora@example.test", "for-alice-alone", seconds=0)
        assert rcpt(host, "closed@example.test")[0] == 550
        with host.signed_in("dora@example.test") as client:
            assert client.docmd("MAIL", "FROM:<whoever@example.test>")[0] == 553
    assert rcpt(host, "whoever@example.test")[0] == 550, "and nothing lingers"


@pytest.mark.parametrize("port", [587, 465])
def test_who_signed_in_sends_as_itself_and_to_the_world(host, port):
    with host.signed_in("alice@example.test", port=port) as client:
        for sender, status in (
            ("alice@example.test", 250),
            ("Alice@Example.test", 250),
            ("sales@example.test", 250),
            ("bob@example.test", 553),
            ("nobody-there@example.test", 553),
            ("ceo@elsewhere.example", 553),
            ("", 550),
        ):
            assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == status, sender
            client.rset()
        client.docmd("MAIL", "FROM:<alice@example.test>")
        assert client.docmd("RCPT", "TO:<someone@elsewhere.example>")[0] == 250
    with host.smtp(port) as stranger:
        if port == 587:
            assert stranger.docmd("MAIL", "FROM:<alice@example.test>")[0] == 530
            stranger.starttls(context=host.tls)
            stranger.ehlo()
        stranger.docmd("MAIL", "FROM:<alice@example.test>")
        assert stranger.docmd("RCPT", "TO:<bob@example.test>")[0] in (550, 554)


def test_a_suspended_account_sends_no_more_in_its_open_session(host):
    with host.signed_in("carol@example.test") as client:
        assert client.docmd("MAIL", "FROM:<carol@example.test>")[0] == 250
        client.rset()
        with rows(host, suspended("carol@example.test"), after=(mailbox("carol@example.test"),)):
            assert client.docmd("MAIL", "FROM:<carol@example.test>") == (
                550,
                b"5.7.1 <carol@example.test>: Sender address rejected: "
                b"This account may not send mail",
            )
            with pytest.raises(smtplib.SMTPAuthenticationError):
                host.signed_in("carol@example.test")


def test_ended_sessions_end_at_the_next_message(host):
    """A new password ends what signed in with the old one, and what only waits; not others."""
    with (
        host.signed_in("carol@example.test") as sending,
        host.signed_in("carol@example.test") as waiting,
        host.signed_in("alice@example.test") as other,
    ):
        assert sending.docmd("MAIL", "FROM:<carol@example.test>")[0] == 250
        sending.rset()
        host.accounts(mailbox("carol@example.test"), end_sessions=("carol@example.test",))
        for client in (sending, waiting):
            assert client.docmd("MAIL", "FROM:<carol@example.test>")[0] == 421
        assert other.docmd("MAIL", "FROM:<alice@example.test>")[0] == 250
    with host.signed_in("carol@example.test") as again:
        assert again.docmd("MAIL", "FROM:<carol@example.test>")[0] == 250


def test_sending_is_a_use_of_the_account(host):
    with host.signed_in("dora@example.test") as client:
        client.sendmail("dora@example.test", ["alice@example.test"], message("used"))
    until = time.monotonic() + 10
    while True:
        told = host.ask("usage", cursor=0)
        uses = {(login, protocol) for login, protocol, _at in told["uses"]}
        if ("dora@example.test", "smtp") in uses:
            break
        assert time.monotonic() < until, told
        time.sleep(0.2)
    assert "smtp" in told["recording"]


def test_without_the_bridge_mail_waits_and_none_is_refused_for_good(host):
    host.run("sh", "-c", "kill -9 $(cat /run/mailadmin/bridge.pid)")
    try:
        for recipient in ("bob@example.test", "nobody-there@example.test"):
            assert rcpt(host, recipient)[0] == 451, recipient
    finally:
        host.run("python3", "-I", paths.HELPER, "bridge")
    until = time.monotonic() + 20
    while rcpt(host, "bob@example.test")[0] != 250:
        assert time.monotonic() < until, host.log()[-3000:]
        time.sleep(0.5)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"snippet_postfix": "no_such_parameter_here = 1\n"}, "unused parameter"),
        ({"snippet_postfix": "default_process_limit = many\n"}, "default_process_limit"),
    ],
)
def test_what_postfix_cannot_use_is_refused_before_anything_is_touched(host, settings, words):
    before = host.generation
    try:
        with pytest.raises(HelperRefused, match=words):
            host.deploy(**settings)
    finally:
        host.generation = before
    assert host.ask("facts")["generation"] == before
    assert rcpt(host, "alice@example.test")[0] == 250


def test_leaving_gives_back_what_was_there(host):
    """And the next deployment takes it over again."""
    before = host.run("cat", f"{paths.STATE}/generations/0/etc.postfix.main.cf").stdout
    host.run("python3", "-I", paths.HELPER, "leave")
    assert not host.machine.path("/etc/postfix/main.cf").is_symlink()
    assert host.run("cat", "/etc/postfix/main.cf").stdout == before
    host.generation = 0
    number = host.ask("facts")["last"]["generation"]
    with pytest.raises(HelperRefused):
        host.deploy()
    host.generation = number
