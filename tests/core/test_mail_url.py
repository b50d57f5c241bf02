"""The line that says where mail is handed in."""

from __future__ import annotations

import pytest

from core.mail_url import MailServer, parse


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", None),
        ("smtp://127.0.0.1", MailServer("127.0.0.1", 25)),
        ("smtp://[::1]:2525/", MailServer("::1", 2525)),
        ("smtps://mail.example.com", MailServer("mail.example.com", 465, tls=True)),
        (
            "smtp://console%40example.com:p%2Fa%3F%23ss@mail.example.com:587?starttls",
            MailServer("mail.example.com", 587, "console@example.com", "p/a?#ss", starttls=True),
        ),
        ("smtp://me:secret@localhost:25", MailServer("localhost", 25, "me", "secret")),
    ],
)
def test_read(url: str, server: MailServer | None) -> None:
    assert parse(url) == server
    assert "secret" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com:25",
        "http://mail.example.com",
        "smtp://",
        "smtp://:25",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com/inbox",
        "smtp://mail.example.com?tls",
        "smtps://mail.example.com?starttls",
        "smtp://me:s3cret@mail.example.com",
        "smtp://me:s3cret/word@mail.example.com?starttls",
    ],
)
def test_refused_without_repeating_the_secret(url: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse(url)
    assert str(refusal.value) and "s3cret" not in str(refusal.value)
