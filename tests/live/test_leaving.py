"""The console gives a real host back and takes it over again, over SSH and sudo."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from accounts import lifecycle
from ca import keystore
from core import nudge
from deploy import helper as helpers
from deploy import leaving, rollout, turns
from deploy.helper import Helper
from deploy.hostctl import holding
from deploy.models import AccountPush, HostJob, HostRollout
from tests.live.hostctl_host import until
from tests.live.rollouts import PASSWORD, Console, enrol, make_issuer, run_signer
from tests.live.test_release import OLD_PASSWORD, as_an_administrator_left_it, log, looks, queued

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["bookworm", "trixie"])
def left(request, fresh_machine, owner, monkeypatch) -> Iterator[tuple[Console, dict[str, Any]]]:  # type: ignore[no-untyped-def]
    """Live, with `test` suspended; and how the files looked before the console."""
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    machine = fresh_machine(request.param)
    as_an_administrator_left_it(machine)
    before = looks(machine)
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    made.certify()
    made.mailbox("anna@example.test")
    test = lifecycle.create(
        domain=made.mailbox("bob@example.test").domain,
        local_part="test",
        password=PASSWORD,
        name_reason="of the story",
        by=owner,
        at=timezone.now(),
    )
    lifecycle.suspend(mailbox=test, reason="spam", by=owner, at=timezone.now())
    row = made.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail)
    yield made, before


def asked(console: Console) -> leaving.Report:
    job = leaving.ask(host=console.host, by=console.owner, at=timezone.now(), anew=True)
    assert job is not None
    turns.run(job.pk)
    report = leaving.seen(console.host)
    assert report is not None
    return report


def give_back(console: Console, report: leaving.Report) -> HostJob:
    job = leaving.give_back(
        host=console.host,
        typed=console.host.fqdn,
        mark=report.mark,
        by=console.owner,
        at=timezone.now(),
    )
    turns.run(job.pk)
    job.refresh_from_db()
    console.host.refresh_from_db()
    return job


def imap(console: Console, user: str, password: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4(console.machine.address, 143)
    client.starttls()
    client.login(user, password)
    return client


def queue_one(console: Console) -> None:
    import smtplib

    console.machine.run(["doveadm", "stop"])
    client = smtplib.SMTP(console.machine.address, 25, "client.example.test", 30)
    client.sendmail("s@elsewhere.example", ["anna@example.test"], "Subject: kept\r\n\r\nx\r\n")
    client.quit()
    until(lambda: "anna@example.test" in queued(console.machine))


def test_given_back_and_put_live_again(left: tuple[Console, dict[str, Any]]) -> None:
    console, before = left
    queue_one(console)
    report = asked(console)
    assert [login.name for login in report.reviving] == ["test"]
    assert (report.unknown, report.to_hold) == (("example.test",), 1)

    job = give_back(console, report)
    assert job.state == HostJob.DONE, (job.problem, job.problem_detail)
    assert looks(console.machine) == before
    assert queued(console.machine) == {"anna@example.test": holding.REASON}
    assert leaving.held(console.host) == 1 and console.host.released_at is not None
    assert console.host.reported().generation == 0 and console.host.reported().drift == ()
    imap(console, "test", OLD_PASSWORD).logout()  # as the page said it would
    assert AccountPush.objects.get(host=console.host).state == AccountPush.IDLE

    row = console.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail)
    assert console.host.released_at is None
    with pytest.raises(imaplib.IMAP4.error):
        imap(console, "test", OLD_PASSWORD)

    def arrived() -> bool:
        client = imap(console, "anna@example.test", PASSWORD)
        count = client.select()[1]
        client.logout()
        return count == [b"1"]

    until(arrived)
    until(lambda: queued(console.machine) == {})
    assert "DSN:" not in log(console.machine)


def test_a_worker_that_dies_in_the_middle_is_followed(
    left: tuple[Console, dict[str, Any]],
) -> None:
    """It was killed after the host left and before it was told to stay."""
    console, before = left
    report = asked(console)
    live = rollout.live_generation(console.host)
    assert live is not None
    with Helper.of(console.host) as helper:
        list(helper.release(base=live.number, deadline=60))
    job = give_back(console, report)
    assert job.state == HostJob.DONE, (job.problem, job.problem_detail)
    assert looks(console.machine) == before
    helpers.ssh.forget(console.host.fqdn)
