"""A mailbox that is closed, opened again and erased, on real hosts."""

import imaplib
import poplib
import smtplib
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import closing
from accounts.models import Erasure, Mailbox
from deploy import erasing
from deploy.models import AccountPush
from tests.live.rollouts import PASSWORD, Console
from tests.live.test_rollout import console, imap, live, pop3, submission  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

ANNA = "anna@example.test"
MAIL = "/var/lib/mailadmin/mail"


def push(there: Console) -> None:
    there.push()
    row = AccountPush.objects.get()
    assert row.state == AccountPush.CURRENT, (row.problem, row.problem_detail)


def at_rcpt(there: Console) -> int:
    with smtplib.SMTP(
        there.machine.address, 25, timeout=15, source_address=(there.machine.foreign_address, 0)
    ) as client:
        client.ehlo()
        client.docmd("MAIL", "FROM:<>")
        return client.docmd("RCPT", f"TO:<{ANNA}>")[0]


def files(there: Console, below: str = "example.test/anna") -> list[str]:
    said = there.machine.run(["find", f"{MAIL}/{below}", "-type", "f"], check=False)
    return [line for line in said.stdout.splitlines() if "/cur/" in line or "/new/" in line]


def nobody_gets_in(there: Console) -> None:
    with pytest.raises(imaplib.IMAP4.error):
        imap(there).login(ANNA, PASSWORD)
    other = pop3(there)
    other.user(ANNA)
    with pytest.raises(poplib.error_proto):
        other.pass_(PASSWORD)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submission(there).login(ANNA, PASSWORD)


def deliver(there: Console) -> None:
    with smtplib.SMTP(there.machine.address, 25, timeout=15) as client:
        client.sendmail("", [ANNA], b"From: x@else.test\r\nSubject: kept\r\n\r\nHello\r\n")
    until = time.monotonic() + 10
    while not files(there):
        assert time.monotonic() < until, "the mail did not arrive"
        time.sleep(0.1)


def test_closed_it_takes_nothing_and_erased_it_leaves_nothing(live: Console) -> None:  # noqa: F811
    push(live)
    deliver(live)
    anna = Mailbox.objects.get(address=ANNA)
    reader, sender = imap(live), submission(live)
    reader.login(ANNA, PASSWORD)
    sender.login(ANNA, PASSWORD)

    closing.close(mailbox=anna, by=live.owner, at=timezone.now())
    push(live)
    with pytest.raises((imaplib.IMAP4.abort, imaplib.IMAP4.error, OSError)):
        reader.noop()
    assert sender.mail(ANNA)[0] == 550, "an open session may not send either"
    nobody_gets_in(live)
    assert at_rcpt(live) == 550
    assert len(files(live)) == 1, "closing keeps the mail"

    closing.reopen(mailbox=anna, by=live.owner, at=timezone.now())
    push(live)
    assert at_rcpt(live) == 250
    reader = imap(live)
    reader.login(ANNA, PASSWORD)
    assert reader.select("INBOX")[1] == [b"1"], "and it is there when it is opened again"
    reader.logout()

    closing.close(mailbox=anna, days=0, by=live.owner, at=timezone.now())
    push(live)
    closing.erase(mailbox=anna, typed=ANNA, by=live.owner, at=timezone.now())
    erasure = Erasure.objects.get()
    erasing.erase(erasure.pk)
    assert len(files(live)) == 1, "the host does not know yet that the account is no more"
    push(live)
    erasing.erase(erasure.pk, clock=lambda: timezone.now() + timedelta(minutes=1))
    erasure.refresh_from_db()
    assert (erasure.state, erasure.problem) == (Erasure.DONE, "")
    left = live.machine.run(["find", MAIL, "-path", "*anna*"]).stdout
    assert left == ""
    assert at_rcpt(live) == 550
    nobody_gets_in(live)
