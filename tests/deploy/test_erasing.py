"""Erased accounts' mail on its way to be deleted, against a helper that answers from a script."""

from datetime import timedelta

import pytest

from accounts import closing, domains, lifecycle
from accounts.models import Change, Erasure
from core import leases
from core.models import AuditEvent
from deploy import due, erasing
from deploy.models import AccountPush, Host
from deploy.transport import Unreachable
from tests.deploy.conftest import ScriptedHelper, current, refusal

pytestmark = pytest.mark.django_db

PASSWORD = "larch umbrella 91 cobalt"


@pytest.fixture
def erasure(host: Host, owner, now) -> Erasure:
    domain = domains.create(name="example.test", host=str(host.uuid), by=owner, at=now)
    anna = lifecycle.create(domain=domain, local_part="anna", password=PASSWORD, by=owner, at=now)
    current(host, through_change=Change.objects.latest_id(str(host.uuid)))
    anna = closing.close(mailbox=anna, days=0, by=owner, at=now)
    closing.erase(mailbox=anna, typed=anna.address, by=owner, at=now)
    return Erasure.objects.get()


def reach(host: Host) -> None:
    AccountPush.objects.update(through_change=Change.objects.latest_id(str(host.uuid)))


def test_the_mail_is_deleted_once_the_host_knows_that_the_account_is_no_more(
    host: Host, erasure: Erasure, helper: ScriptedHelper, now
) -> None:
    erasing.erase(erasure.pk, clock=lambda: now, transport=helper)
    assert helper.seen == []  # not yet
    assert not due.erasures(now).exists()
    later = now + erasing.SOON
    assert due.erasures(later).exists()
    reach(host)
    helper.expect("erase", address=erasure.address, files=3, bytes=4711)
    erasing.erase(erasure.pk, clock=lambda: later, transport=helper)
    helper.done()
    assert helper.seen[0]["address"] == "anna@example.test"
    erasure.refresh_from_db()
    assert (erasure.state, erasure.done_at, erasure.lease_until) == (Erasure.DONE, later, None)
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor) == ("deploy.mail.erased", None)
    assert event.detail == {"host": host.fqdn, "files": 3, "bytes": 4711}
    erasing.erase(erasure.pk, clock=lambda: later + timedelta(days=1), transport=helper)


@pytest.mark.parametrize("error", [refusal("account_present"), Unreachable("no route")])
def test_what_goes_wrong_is_said_and_tried_again_after_a_pause(
    host: Host, erasure: Erasure, helper: ScriptedHelper, now, error: Exception
) -> None:
    reach(host)
    helper.expect("erase", error)
    erasing.erase(erasure.pk, clock=lambda: now, transport=helper)
    erasure.refresh_from_db()
    assert (erasure.state, erasure.retry_at) == (Erasure.WAITING, now + erasing.LATER)
    assert erasure.problem == str(error)
    erasing.erase(erasure.pk, clock=lambda: now, transport=helper)  # the pause: nothing is asked
    helper.expect("erase", address=erasure.address, files=0, bytes=0)
    erasing.erase(erasure.pk, clock=lambda: now + erasing.LATER, transport=helper)
    erasure.refresh_from_db()
    assert (erasure.state, erasure.problem) == (Erasure.DONE, "")


def test_one_worker_at_a_time(host: Host, erasure: Erasure, helper: ScriptedHelper, now) -> None:
    reach(host)
    leases.claim(Erasure, erasure.pk, worker="other", at=now)
    erasing.erase(erasure.pk, clock=lambda: now, transport=helper)
    assert helper.seen == []


def test_mail_on_a_host_that_left_the_console_is_out_of_reach(
    erasure: Erasure, helper: ScriptedHelper, now
) -> None:
    Erasure.objects.update(host="00000000-0000-4000-8000-000000000000")
    erasing.erase(erasure.pk, clock=lambda: now, transport=helper)
    erasure.refresh_from_db()
    assert erasure.state == Erasure.DONE
    assert AuditEvent.objects.latest("pk").detail["problem"] == "host_removed"
