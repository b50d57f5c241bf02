"""One click on a real host with Postfix 3.7 in Sendmail's place, over SSH and sudo."""

import imaplib
import smtplib

import pytest

from accounts import lifecycle
from accounts.models import Mailbox
from ca import keystore
from core import nudge
from deploy.models import AccountPush, Generation, HostRollout
from tests.live.rollouts import PASSWORD, Console, enrol, log_of, make_issuer, now, run_signer
from tests.live.test_rollout import (
    change_something,
    imap,
    refused_untouched,
    rolled_back_when,
    submission,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def console(fresh_machine, owner, monkeypatch) -> Console:
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    machine = fresh_machine("bookworm-postfix")
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    made.certify()
    return made


@pytest.fixture
def live(console: Console) -> Console:
    console.mailbox("anna@example.test")
    row = console.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    console.push()
    return console


def test_one_click_ends_confirmed_with_its_receipt(console: Console) -> None:
    assert console.host.mta == "postfix", "as its facts say"
    row = console.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    wanted = console.host.certificate.fingerprint_sha256
    proofs = row.receipt["proofs"]
    served = {proof["port"] for proof in proofs if proof["fingerprint"] == wanted}
    assert served >= {25, 587, 465, 993, 995}
    kinds = {proof["kind"] for proof in proofs if proof["ok"]}
    assert {"auth_right", "auth_wrong", "auth_in_clear", "unknown_recipient", "relay"} <= kinds
    assert not any(step.ok is not True for step in row.steps.all()), log_of(row)
    facts = console.facts()
    assert (facts["generation"], facts["pending"], facts["mta"]) == (1, None, "postfix")


def test_mail_and_a_suspension_that_is_live_in_open_sessions(live: Console) -> None:
    reader, sender = imap(live), submission(live)
    reader.login("anna@example.test", PASSWORD)
    sender.login("anna@example.test", PASSWORD)
    assert sender.mail("anna@example.test")[0] == 250
    sender.rset()
    anna = Mailbox.objects.get(address="anna@example.test")
    lifecycle.suspend(mailbox=anna, reason="stolen", by=live.owner, at=now())
    live.push()
    push = AccountPush.objects.get()
    assert push.state == AccountPush.CURRENT, (push.problem, push.problem_detail)
    assert sender.mail("anna@example.test")[0] == 550
    with pytest.raises((imaplib.IMAP4.abort, imaplib.IMAP4.error, OSError)):
        reader.noop()
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submission(live).login("anna@example.test", PASSWORD)


def test_a_change_reloads_and_going_back_brings_it_back(live: Console) -> None:
    before = live.facts()["services"]
    change_something(live)
    row = live.put_live()
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert row.receipt["services"]["postfix"] == "reloaded"
    after = live.facts()["services"]
    assert after["postfix"]["pid"] == before["postfix"]["pid"]  # type: ignore[index]
    row = live.put_live(to=Generation.objects.get(number=1))
    assert row.state == HostRollout.CONFIRMED, log_of(row)


def test_a_setting_that_postfix_does_not_know_is_refused_untouched(live: Console) -> None:
    refused_untouched(live, {"snippet_postfix": "no_such_setting = yes"})


def test_a_postfix_that_the_reload_kills_is_rolled_back(live: Console) -> None:
    rolled_back_when(live, "postfix/master.cf", "garbage here")
