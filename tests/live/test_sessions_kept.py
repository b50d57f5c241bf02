"""A rollout under people at work: their sessions go on, and new ones get the new certificate."""

import smtplib

import pytest

from deploy.models import HostRollout
from tests.live.rollouts import PASSWORD, Console, log_of
from tests.live.test_rollout import change_something, console, imap, live, named, submission

__all__ = ["console", "live"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)

ANNA = "anna@example.test"


def begin_message(client: smtplib.SMTP, sender: str, subject: str) -> None:
    """Up to the middle of DATA."""
    client.ehlo_or_helo_if_needed()
    assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == 250
    assert client.docmd("RCPT", f"TO:<{ANNA}>")[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(f"From: <{sender}>\r\nTo: <{ANNA}>\r\nSubject: {subject}\r\n\r\nThe first half\r\n")


def end_message(client: smtplib.SMTP) -> None:
    client.send("and the second.\r\n.\r\n")
    assert client.getreply()[0] == 250


@pytest.mark.parametrize("console", ["bookworm", "trixie", "bookworm-postfix"], indirect=True)
def test_open_sessions_outlive_a_rollout_with_a_new_certificate(live: Console) -> None:
    live.push()
    old = live.served(993)
    reader = imap(live)
    reader.login(ANNA, PASSWORD)
    reader.select("INBOX")
    reader.send(b"i IDLE\r\n")
    assert reader.readline().startswith(b"+")
    handing_in = submission(live)
    handing_in.login(ANNA, PASSWORD)
    begin_message(handing_in, ANNA, "handed in meanwhile")
    from_outside = named(live, smtplib.SMTP)(live.host.fqdn, 25, timeout=30)
    begin_message(from_outside, "somebody@elsewhere.example", "from outside meanwhile")

    live.certify()
    change_something(live)
    row = live.put_live()

    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    new = live.host.certificate.fingerprint_sha256  # type: ignore[union-attr]
    assert new != old
    assert live.served(993) == live.served(465) == new
    end_message(handing_in)
    end_message(from_outside)
    # Signed in before, and still so.
    begin_message(handing_in, ANNA, "one more")
    end_message(handing_in)
    told = b""
    while b"* 3 EXISTS" not in told:
        line = reader.readline()
        assert line, told
        told += line
    reader.send(b"DONE\r\n")
    while not (line := reader.readline()).startswith(b"i OK"):
        assert line
    for subject in ("handed in meanwhile", "from outside meanwhile", "one more"):
        numbers = reader.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
        assert len(numbers) == 1, subject
        _, parts = reader.fetch(numbers[0].decode(), "(BODY.PEEK[TEXT])")
        assert b"The first half\r\nand the second." in parts[0][1]  # type: ignore[index]
    reader.logout()
    handing_in.quit()
    from_outside.quit()
