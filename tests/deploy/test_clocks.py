"""Two clocks that do not agree: a machine's that is an hour ahead, or one that was set back."""

from datetime import timedelta

import pytest

from core import leases
from deploy import accounts_push, carriage
from deploy.models import AccountPush, HostJob, HostRollout
from tests.deploy.conftest import ScriptedHelper, current
from tests.deploy.test_carriage import Clock, carry, row, to_switch, tools

__all__ = ["row"]
pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(now) -> Clock:
    return Clock(now)


def test_what_a_dead_worker_held_by_a_fast_clock_is_taken_up(row, now) -> None:
    claimed = leases.claim(HostRollout.objects.due(now), row.pk, worker="fast", at=now + HOUR)
    assert claimed is not None
    assert HostRollout.objects.due(now).filter(pk=row.pk).exists()


def test_the_longest_lease_is_kept(row, now) -> None:
    leases.claim(
        HostRollout.objects.due(now),
        row.pk,
        worker="slow",
        at=now,
        seconds=int(leases.LONGEST.total_seconds()),
    )
    assert not HostRollout.objects.due(now).exists()


@pytest.mark.parametrize("ahead", [timedelta(0), HOUR])
def test_a_pause_ends_whatever_clock_it_was_set_by(certified, row, now, ahead) -> None:
    again = now + ahead - timedelta(seconds=1)
    HostRollout.objects.update(retry_at=again)
    current(certified, state=AccountPush.FAILED, retry_at=again, force=True)
    HostJob.objects.create(kind=HostJob.CHECK, host=certified, created_at=now, retry_at=again)
    assert HostRollout.objects.due(now).exists()
    assert HostJob.objects.due(now).exists()
    assert accounts_push.due(now).exists()


def test_a_clock_that_is_set_back_costs_its_worker_nothing(row, helper, clock) -> None:
    """It holds on to the row; whoever looks meanwhile finds it held."""

    def set_back(header):
        clock.advance(hours=-1)
        return [{"event": "step", "name": "stage.write", "ok": True}, {"event": "result"}]

    def looks(header):
        assert not HostRollout.objects.due(clock()).exists()
        return [{"event": "result"}]

    helper.expect("stage", set_back).expect("validate", looks)
    to_switch(rest := ScriptedHelper())
    helper.script += rest.script[2:]
    helper.expect("switch").expect("confirm")
    helper.script += carried_after()
    carry(row, tools(helper, clock))
    assert row.state == HostRollout.CONFIRMED


def carried_after():
    from tests.deploy.test_carriage import after

    return after(ScriptedHelper()).script


def test_two_workers_an_hour_apart_end_on_one_side(row, helper, clock) -> None:
    """The one ahead takes the row away in the middle of the switch; the other writes no more."""
    ahead = Clock(clock() + HOUR)
    other = ScriptedHelper()

    def taken(header):
        from tests.deploy.conftest import FACTS
        from tests.deploy.test_carriage import accounts, after

        other.expect("facts", **FACTS | {"pending": {"generation": 1}})
        other.expect("accounts", accounts).expect("confirm")
        after(other)
        carriage.carry_out(row.pk, tools(other, ahead, worker="ahead"))
        return [{"event": "step", "name": "switch.pointer", "ok": True}, {"event": "result"}]

    to_switch(helper).expect("switch", taken)
    carry(row, tools(helper, clock, worker="one"))
    other.done()
    helper.done()
    assert (row.state, row.claimed_by) == (HostRollout.CONFIRMED, "")


def test_a_console_an_hour_ahead_issues_what_is_good_at_once(issue) -> None:
    """Whoever checks it by a clock that is right finds that it has begun."""
    certificate = issue()
    assert certificate.not_before <= certificate.issued_at - HOUR
