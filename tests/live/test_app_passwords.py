"""App passwords on real hosts: each for its scope alone, until it is revoked or over."""

import contextlib
import imaplib
import poplib
import smtplib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import app_passwords, lifecycle
from accounts.models import AppPassword, Mailbox
from deploy import usage
from deploy.models import AccountPush, Host
from tests.live.rollouts import PASSWORD, Console
from tests.live.test_rollout import console, imap, live, pop3, submission  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

ANNA = "anna@example.test"
REFUSED = (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPAuthenticationError)


def push(there: Console) -> None:
    there.push()
    row = AccountPush.objects.get()
    assert row.state == AccountPush.CURRENT, (row.problem, row.problem_detail)


def make(there: Console, **given: Any) -> tuple[AppPassword, str]:
    given = {"name": "Phone", "by": there.owner, "at": timezone.now(), **given}
    return app_passwords.create(mailbox=Mailbox.objects.get(address=ANNA), **given)


def by_imap(there: Console, secret: str) -> imaplib.IMAP4:
    client = imap(there)
    client.login(ANNA, secret)
    return client


def by_pop3(there: Console, secret: str) -> poplib.POP3:
    client = pop3(there)
    client.user(ANNA)
    client.pass_(secret)
    return client


def sending(there: Console, secret: str) -> smtplib.SMTP:
    client = submission(there)
    client.ehlo()
    client.user, client.password = ANNA, secret
    client.auth("PLAIN", client.auth_plain)
    return client


def told_uses(there: Console, *rows: AppPassword) -> bool:
    """Whether the console has heard of a use of each of `rows`."""
    Host.objects.update(uses_asked_at=None)
    usage.collect(there.host.pk)
    found = AppPassword.objects.filter(pk__in=[row.pk for row in rows])
    return not found.filter(last_used_at=None).exists()


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.3)


def test_each_is_good_for_its_scope_until_it_is_revoked(live: Console) -> None:  # noqa: F811
    phone, read = make(live, imap=True)
    scanner, send = make(live, sending=True)
    old, fetch = make(live, pop3=True)
    push(live)
    reader = by_imap(live, read)
    assert reader.select("INBOX")[0] == "OK"
    by_pop3(live, fetch).quit()
    sender = sending(live, send)
    assert sender.mail(ANNA)[0] == 250, "what was signed in with it may send"
    sender.rset()
    by_imap(live, PASSWORD).logout()
    for wrong in (read, fetch):
        with pytest.raises(REFUSED):
            sending(live, wrong)

    until(lambda: told_uses(live, phone, scanner, old), "the last uses were not told")
    anna = Mailbox.objects.get(address=ANNA)
    assert {use.protocol for use in anna.uses.all()} == {"imap", "pop3", "smtp"}

    time.sleep(1)  # the bridge writes down who signed in where within a second
    app_passwords.revoke(app_password=phone, by=live.owner, at=timezone.now())
    push(live)
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        reader.noop()
    with pytest.raises((smtplib.SMTPServerDisconnected, AssertionError)):
        assert sender.mail(ANNA)[0] == 250, "a submission session is over too"
    # Each wrong password at Dovecot makes the next answer later: these two, and no more.
    for wrong in (read, send):
        with pytest.raises(REFUSED):
            by_imap(live, wrong)
    sending(live, send).quit()
    assert live.machine.run(["grep", "-c", send[8:], "/var/log/mail.log"], check=False).returncode

    lifecycle.suspend(mailbox=anna, by=live.owner, at=timezone.now())
    push(live)
    with pytest.raises(REFUSED):
        sending(live, send)


def test_over_it_is_refused_by_the_host_itself_and_ended_by_the_console(
    live: Console,  # noqa: F811
) -> None:
    end = timezone.now() + timedelta(seconds=8)
    row, read = make(live, imap=True, expires_at=end)
    push(live)
    reader = by_imap(live, read)
    time.sleep(max(0, (end - timezone.now()).total_seconds()) + 1)
    with pytest.raises(REFUSED):
        by_imap(live, read)
    assert reader.noop()[0] == "OK", "the host ends no session by itself"
    app_passwords.expire(row.pk, at=timezone.now())
    push(live)
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        reader.noop()
    with contextlib.suppress(OSError):
        reader.shutdown()
