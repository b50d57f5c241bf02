"""Mail that the console sends: whether it can, and handing mail in to the server.

    if outgoing.is_configured():
        refused = outgoing.deliver([outgoing.message("Subject", ["A line."], to="a@example.test")])

Where it is handed in stands in the environment (`core.mail_url`).
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from core import leases

# How long a worker may need for one mail: connecting and each answer may take EMAIL_TIMEOUT.
LEASE_SECONDS = 300
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
# What a mail server that cannot be reached, or that does not take something, raises.
FAILURES = (smtplib.SMTPException, OSError, ValueError)
# Of these only the one mail suffers.
_THIS_ONE = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, ValueError)


def is_configured() -> bool:
    return bool(settings.MAIL_CONFIGURED)


def server() -> str:
    """Where mail is handed in, for the page."""
    kind = "smtps" if settings.EMAIL_USE_SSL else "smtp"
    starttls = "?starttls" if settings.EMAIL_USE_TLS else ""
    return f"{kind}://{settings.EMAIL_HOST}:{settings.EMAIL_PORT}{starttls}"


def message(subject: str, lines: Sequence[str], *, to: str) -> EmailMessage:
    return EmailMessage(
        subject,
        "\n".join([*lines, ""]),
        settings.DEFAULT_FROM_EMAIL,
        [to],
        # RFC 3834: nobody's holiday reply should come back.
        headers={"Auto-Submitted": "auto-generated"},
    )


def deliver(messages: Iterable[EmailMessage]) -> dict[str, str]:
    """Hand them in over one connection. What the server said of each recipient whom it did not
    take; one of `FAILURES` where it cannot be reached or takes nothing."""
    refused: dict[str, str] = {}
    connection = get_connection()
    connection.open()
    try:
        for each in messages:
            each.connection = connection
            try:
                each.send()
            except _THIS_ONE as error:
                refused[each.to[0]] = said(error)
    finally:
        connection.close()
    return refused


def hand_in(row: leases.Leased, message: EmailMessage, *, at: datetime) -> None:
    """The mail of a claimed row with `sent_at`, `next_try_at` and `problem`; a server that does not
    take it is tried again, less and less often."""
    try:
        message.connection = get_connection()
        message.send()
    except FAILURES as error:
        leases.release(row, problem=said(error), next_try_at=at + pause(row.fence))
    else:
        leases.release(row, sent_at=at, next_try_at=None, problem="")


def pause(tries: int) -> timedelta:
    """1, 2, 4, … minutes after the first, second, third failure; at most six hours."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(max(tries, 1) - 1, 12)
    return min(doubled, LONGEST_PAUSE)


def said(error: Exception) -> str:
    """What the mail server answered, or why it could not be asked; never what was sent to it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answer: tuple[int, bytes | str] = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        answer = (error.smtp_code, error.smtp_error)
    else:
        return (str(error) or type(error).__name__)[:400]
    code, text = answer
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {shown}"[:400]
