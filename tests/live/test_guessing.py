"""Guessing one account's password on submission is slow, however many sessions guess at once; the
others do not notice. Without the bridge's delays 195 guesses were checked in 20 s."""

import base64
import smtplib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.live.conftest import started
from tests.live.rendered import ROWS, Deployed, mailbox

GUESSED, BYSTANDER = "guessed@example.test", "bob@example.test"
SECONDS = 15.0
SESSIONS = 6


@pytest.fixture(params=["bookworm", "trixie", "bookworm-postfix"])
def host(request: pytest.FixtureRequest, can_run_hosts: None) -> Iterator[Deployed]:
    """One of its own: for a minute it lets nobody in from an address that guessed so often."""
    with started(request.param) as machine:
        made = Deployed(machine)
        made.accounts(*ROWS)
        made.deploy()
        yield made


def test_guessing_is_slowed_by_account_and_nobody_else_waits(host: Deployed) -> None:
    host.accounts(mailbox(GUESSED))
    answers: list[int] = []
    until = time.monotonic() + SECONDS

    def guess(number: int) -> None:
        wrong = base64.b64encode(f"\0{GUESSED}\0guess {number}".encode()).decode()
        while time.monotonic() < until:
            try:
                with host.smtp(587) as client:
                    client.starttls(context=host.tls)
                    client.ehlo()
                    answers.append(client.docmd("AUTH", f"PLAIN {wrong}")[0])
            except (OSError, smtplib.SMTPException):
                time.sleep(0.2)

    guessers = [threading.Thread(target=guess, args=(number,)) for number in range(SESSIONS)]
    for guesser in guessers:
        guesser.start()
    time.sleep(SECONDS / 2)  # by now they wait for their turns
    began = time.monotonic()
    with host.signed_in(BYSTANDER) as client:
        assert client.docmd("MAIL", f"FROM:<{BYSTANDER}>")[0] == 250
    took = time.monotonic() - began
    for guesser in guessers:
        guesser.join()

    assert len(answers) >= SESSIONS
    assert set(answers) <= {535, 454, 421}, answers
    # Whoever is turned away without a check hears 535 too: only the log tells what was checked.
    lines = [line for line in host.log().splitlines() if f"user='{GUESSED}'" in line]
    checked = [line for line in lines if "failed user" in line]
    assert 0 < len(checked) <= 2 * SESSIONS + SECONDS / 4, "one each, then one in four seconds"
    assert took < 5, "another account waited for them"
