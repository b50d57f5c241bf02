"""A message on its whole way: handed in, delivered, read back, and deleted."""

import secrets
import time

from deploy.probes.imap import Imap, quoted
from deploy.probes.smtp import Smtp, secured
from deploy.probes.values import Found, Place, ProbeFailed

IMAPS = 993
PAUSE = 0.25
"""Seconds between two looks into the inbox, for `place.seconds` in all."""


def delivery(place: Place, protocol: str, port: int) -> Found:
    """From the probe's login to itself: through the MSA, the MTA and LMTP, and back by IMAP."""
    word = secrets.token_hex(16)
    began = time.monotonic()
    with secured(place, protocol, port) as session:
        _hand_in(session, place, word)
    with Imap(place, IMAPS, implicit=True) as session:
        _expect(session, f"LOGIN {quoted(place.login)} {quoted(place.password)}")
        _expect(session, "SELECT INBOX")
        while not _is_there(session, word):
            if time.monotonic() - began > place.seconds:
                raise ProbeFailed(f"taken, but not in the inbox after {place.seconds:g} s")
            time.sleep(PAUSE)
        took = time.monotonic() - began
        _expect(session, r"STORE 1:* +FLAGS.SILENT (\Deleted)")
        _expect(session, "EXPUNGE")
        session.ask("LOGOUT")
    return Found(f"{took:.1f} s")


def _hand_in(session: Smtp, place: Place, word: str) -> None:
    session.expect("235", session.log_in(place.login, place.password))
    session.expect("250", session.ask(f"MAIL FROM:<{place.login}>"))
    session.expect("250", session.ask(f"RCPT TO:<{place.login}>"))
    session.expect("354", session.ask("DATA"))
    lines = (
        f"From: <{place.login}>",
        f"To: <{place.login}>",
        "Subject: Mailadmin probe",
        "Auto-Submitted: auto-generated",
        "",
        word,
        ".",
    )
    session.expect("250", session.ask("\r\n".join(lines)))
    session.quit()


def _is_there(session: Imap, word: str) -> bool:
    _expect(session, "NOOP")
    lines = _expect(session, "SEARCH SUBJECT Mailadmin")
    found = [number for line in lines if line.startswith("* SEARCH") for number in line.split()[2:]]
    return any(word in _expect(session, f"FETCH {number} BODY.PEEK[TEXT]") for number in found)


def _expect(session: Imap, command: str) -> list[str]:
    reply = session.ask(command)
    if not reply[-1].startswith("p OK"):
        raise ProbeFailed(reply[-1][2:])
    return reply
