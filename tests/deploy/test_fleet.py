"""Many hosts in one rollout: who begins when, what a failure stops, and what survives a death."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from ca.models import Certificate
from core import leases
from core.errors import Refusal
from core.models import AuditEvent
from deploy import carriage, due, fleet, going_back, rollout
from deploy.models import Generation, Host, HostRollout, Rollout
from deploy.transport import Unreachable
from mailadmin.tick import tick
from tests.deploy.conftest import FACTS, ScriptedHelper, refusal
from tests.deploy.test_api import call
from tests.deploy.test_carriage import Clock, after, carry, to_switch, tools

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(now) -> Clock:
    return Clock(now)


@pytest.fixture
def ask(hosts, owner, now) -> Callable[..., Rollout]:
    def ask(**more) -> Rollout:
        return rollout.request(hosts=hosts, by=owner, at=now, **more)

    return ask


def rows_of(made: Rollout) -> list[HostRollout]:
    return list(made.hosts.select_related("host", "generation").order_by("pk"))


def may_begin(at) -> list[str]:
    return sorted(row.host.fqdn for row in HostRollout.objects.due(at).select_related("host"))


def confirm(row: HostRollout, clock: Clock) -> None:
    helper = ScriptedHelper()
    to_switch(helper).expect("switch").expect("confirm")
    after(helper)
    assert carry(row, tools(helper, clock)).state == HostRollout.CONFIRMED
    helper.done()


def refuse(row: HostRollout, clock: Clock) -> None:
    helper = ScriptedHelper().expect("stage", refusal("refused", "unknown setting"))
    assert carry(row, tools(helper, clock)).state == HostRollout.REFUSED


# Turns


def test_one_goes_first_and_the_others_wait(ask, now, sent_nudges) -> None:
    made = ask()
    assert [row.turn for row in rows_of(made)] == [0, 1, 1, 1]
    assert may_begin(now) == ["mail1.example.test"]


def test_which_one_is_first_can_be_chosen(ask, hosts, now) -> None:
    made = ask(first=hosts[2])
    assert [row.host.fqdn[:5] for row in rows_of(made)] == ["mail3", "mail1", "mail2", "mail4"]
    assert may_begin(now) == ["mail3.example.test"]


def test_only_the_first_is_woken(ask, sent_nudges, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = ask()
    assert [pk for task, pk in sent_nudges if task == fleet.TASK] == [rows_of(made)[0].pk]


def test_the_others_are_woken_when_the_first_is_confirmed(
    ask, clock, now, sent_nudges, django_capture_on_commit_callbacks
) -> None:
    first, *others = rows_of(ask())
    sent_nudges.clear()
    with django_capture_on_commit_callbacks(execute=True):
        confirm(first, clock)
    assert [pk for task, pk in sent_nudges if task == fleet.TASK] == [row.pk for row in others]
    assert len(may_begin(now)) == 3


def test_a_later_turn_can_not_be_claimed_before_its_time(ask, clock) -> None:
    _first, second, *_rest = rows_of(ask())
    carry(second, tools(ScriptedHelper(), clock))  # a script without a word: nothing is asked
    assert second.state == HostRollout.PLANNED


def test_while_the_first_is_on_its_way_nobody_else_begins(ask, clock, now) -> None:
    first, *_others = rows_of(ask())
    helper = ScriptedHelper(refuses=Unreachable("no route"))
    carry(first, tools(helper, clock))
    assert first.state == HostRollout.STAGING
    clock.advance(seconds=5)
    assert may_begin(clock()) == ["mail1.example.test"]


def test_only_a_confirmed_first_one_opens_the_way(ask, now) -> None:
    first, *_others = rows_of(ask())
    for state, _words in HostRollout.STATES:
        HostRollout.objects.filter(pk=first.pk).update(state=state)
        assert ("mail2.example.test" in may_begin(now)) == (state == HostRollout.CONFIRMED), state


def test_all_confirmed_is_not_stopped(ask, clock) -> None:
    made = ask()
    for row in rows_of(made):
        confirm(row, clock)
    made.refresh_from_db()
    assert made.stopped_at is None
    assert Generation.objects.live().count() == 4


# A failure stops it


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_ends_those_that_have_not_begun(ask, clock, now, failing) -> None:
    made = ask()
    rows = rows_of(made)
    for row in rows[:failing]:
        confirm(row, clock)
    refuse(rows[failing], clock)
    made.refresh_from_db()
    assert made.stopped_at == now
    for row in rows[failing + 1 :]:
        row.refresh_from_db()
        assert (row.state, row.problem) == (HostRollout.REFUSED, "stopped")
        assert row.problem_detail == rows[failing].host.fqdn
        assert row.finished_at == now
        assert row.started_at is None
        row.generation.refresh_from_db()
        assert row.generation.state == Generation.DISCARDED
    assert may_begin(now + timedelta(hours=1)) == []
    event = AuditEvent.objects.get(action="deploy.rollout.stopped")
    assert event.subject == rows[failing].host.fqdn
    assert event.detail["hosts"] == [row.host.fqdn for row in rows[failing + 1 :]]
    assert fleet.not_begun(made) == [row.host for row in rows[failing + 1 :]]


@pytest.mark.parametrize("end", ["rolled_back", "rollback_failed"])
def test_going_back_stops_it_too(ask, clock, end) -> None:
    made = ask()
    first, *others = rows_of(made)
    helper = to_switch(ScriptedHelper())
    helper.expect("switch", refusal(end, "dovecot did not start.", outcome=end))
    after(helper)
    assert carry(first, tools(helper, clock)).state == end
    made.refresh_from_db()
    assert made.stopped_at is not None
    for row in others:
        row.refresh_from_db()
        assert row.problem == "stopped"


def test_hosts_on_their_way_finish(ask, clock) -> None:
    made = ask()
    first, second, third, fourth = rows_of(made)
    confirm(first, clock)

    def fails_meanwhile(header):
        refuse(third, clock)
        return [{"event": "result"}]

    helper = ScriptedHelper().expect("stage", fails_meanwhile)
    helper.expect("validate").expect("accounts", accounts_answer).expect("switch").expect("confirm")
    after(helper)
    assert carry(second, tools(helper, clock)).state == HostRollout.CONFIRMED
    fourth.refresh_from_db()
    assert fourth.problem == "stopped"


def accounts_answer(header):
    return [{"event": "result", "through_change": header["through_change"], "lineage": "ab" * 16}]


def test_one_host_alone_is_never_stopped(hosts, owner, now, clock) -> None:
    made = rollout.request(hosts=hosts[:1], by=owner, at=now)
    refuse(made.hosts.get(), clock)
    made.refresh_from_db()
    assert made.stopped_at is None
    assert fleet.not_begun(made) == []


def test_another_rollout_is_not_stopped(hosts, owner, now, clock) -> None:
    one = rollout.request(hosts=hosts[:2], by=owner, at=now)
    other = rollout.request(hosts=hosts[2:], by=owner, at=now)
    assert may_begin(now) == ["mail1.example.test", "mail3.example.test"]
    refuse(rows_of(one)[0], clock)
    assert may_begin(now) == ["mail3.example.test"]
    other.refresh_from_db()
    assert other.stopped_at is None


def test_those_that_had_not_begun_can_go_on_in_a_rollout_of_their_own(
    ask, clock, owner, now
) -> None:
    made = ask()
    refuse(rows_of(made)[0], clock)
    again = rollout.request(hosts=fleet.not_begun(made), by=owner, at=now)
    assert [row.turn for row in rows_of(again)] == [0, 1, 1]
    assert [row.generation.number for row in rows_of(again)] == [2, 2, 2]


# At a time of day


def test_nothing_begins_before_its_time(
    ask, now, sent_nudges, django_capture_on_commit_callbacks
) -> None:
    tonight = now + timedelta(hours=9)
    with django_capture_on_commit_callbacks(execute=True):
        ask(starts_at=tonight)
    assert [task for task, _pk in sent_nudges if task == fleet.TASK] == []
    assert may_begin(tonight - timedelta(seconds=1)) == []
    assert may_begin(tonight) == ["mail1.example.test"]


def test_the_tick_finds_it_at_its_time(ask, now, monkeypatch) -> None:
    woken: list[object] = []
    monkeypatch.setattr(
        "mailadmin.tick.send", lambda task, pk: woken.append(pk) if task == fleet.TASK else None
    )
    first = rows_of(ask(starts_at=now + timedelta(hours=9)))[0]
    tick(at=now + timedelta(hours=8))
    assert woken == []
    tick(at=now + timedelta(hours=9))
    assert woken == [first.pk]


def test_giving_up_counts_from_the_beginning(ask, now, clock) -> None:
    first = rows_of(ask(starts_at=now + timedelta(days=3)))[0]
    clock.advance(days=3, seconds=4)
    silent = ScriptedHelper(refuses=Unreachable("no route"))
    carry(first, tools(silent, clock))
    assert first.state == HostRollout.STAGING
    clock.advance(minutes=9)
    carry(first, tools(silent, clock))
    assert first.state == HostRollout.STAGING
    clock.advance(minutes=2)
    carry(first, tools(silent, clock))
    assert (first.state, first.problem) == (HostRollout.REFUSED, "unreachable")


def test_what_was_rendered_when_asked_goes_live(ask, hosts, now, clock) -> None:
    first = rows_of(ask(starts_at=now + timedelta(hours=1)))[0]
    Host.objects.filter(pk=hosts[0].pk).update(message_size_mb=99)
    clock.advance(hours=1)
    confirm(first, clock)
    live = Generation.objects.live().get(host=hosts[0])
    assert live.snapshot["host"]["message_size_mb"] == 50


def test_a_host_that_moved_meanwhile_refuses(ask, now, clock) -> None:
    first = rows_of(ask(starts_at=now + timedelta(hours=1)))[0]
    clock.advance(hours=1)
    helper = ScriptedHelper().expect("stage", refusal("base_moved"))
    carry(first, tools(helper, clock))
    assert (first.state, first.problem) == (HostRollout.REFUSED, "base_moved")


@pytest.mark.parametrize(
    ("wait", "error"),
    [
        (timedelta(0), fleet.Past),
        (timedelta(minutes=-1), fleet.Past),
        (timedelta(days=14, seconds=1), fleet.TooFar),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(ask, now, wait, error) -> None:
    with pytest.raises(error) as refused:
        ask(starts_at=now + wait)
    assert refused.value.sentence
    assert not Rollout.objects.exists()


def test_nothing_is_planned_beyond_the_end_of_its_certificate(ask, hosts, now) -> None:
    tonight = now + timedelta(hours=9)
    Certificate.objects.filter(pk=hosts[2].certificate_id).update(not_after=tonight)
    hosts[2].certificate.refresh_from_db()
    with pytest.raises(fleet.EndsBefore, match=hosts[2].fqdn):
        ask(starts_at=tonight)
    assert not Rollout.objects.exists()
    ask(starts_at=tonight - timedelta(minutes=1))


def test_an_earlier_generation_is_not_planned_beyond_the_end_of_its_own(hosts, owner, now) -> None:
    made = rollout.request(hosts=hosts[:1], by=owner, at=now)
    made.hosts.update(state=HostRollout.CONFIRMED)
    Generation.objects.update(state=Generation.KEPT)
    tonight = now + timedelta(hours=9)
    Certificate.objects.update(not_after=tonight)
    with pytest.raises(going_back.BadCertificate):
        rollout.request(
            hosts=hosts[:1], to=Generation.objects.get(), by=owner, at=now, starts_at=tonight
        )


def test_a_console_that_was_off_at_the_time_does_not_begin_hours_later(ask, now, clock) -> None:
    made = ask(starts_at=now + timedelta(hours=1))
    first, *others = rows_of(made)
    clock.advance(hours=2, seconds=1)
    carry(first, tools(ScriptedHelper(), clock))
    assert (first.state, first.problem) == (HostRollout.REFUSED, "missed")
    assert len(fleet.not_begun(made)) == 4
    for row in others:
        row.refresh_from_db()
        assert row.problem == "stopped"


def test_the_others_may_begin_long_after_the_time(ask, now, clock) -> None:
    first, second, *_rest = rows_of(ask(starts_at=now + timedelta(hours=1)))
    clock.advance(hours=1)
    confirm(first, clock)
    clock.advance(hours=5)
    confirm(second, clock)


def test_a_host_that_is_planned_for_later_takes_nothing_else(ask, hosts, owner, now) -> None:
    made = ask(starts_at=now + timedelta(hours=1))
    with pytest.raises(rollout.UnderWay) as refused:
        rollout.request(hosts=hosts[:1], by=owner, at=now)
    assert f"rollout {made.pk}, not begun yet" in refused.value.sentence


# Calling it off


def test_calling_it_off_before_it_begins(ask, owner, now) -> None:
    made = ask(starts_at=now + timedelta(hours=1))
    names = fleet.cancel(rollout=made, by=owner, at=now)
    assert names == [f"mail{number}.example.test" for number in range(1, 5)]
    made.refresh_from_db()
    assert made.stopped_at == now
    for row in rows_of(made):
        assert (row.state, row.problem, row.problem_detail) == ("refused", "cancelled", "owner")
        assert row.generation.state == Generation.DISCARDED
    assert may_begin(now + timedelta(days=1)) == []
    event = AuditEvent.objects.get(action="deploy.rollout.cancelled")
    assert (event.actor, event.subject, event.detail["hosts"]) == (owner, f"#{made.pk}", names)


def test_calling_it_off_in_the_middle_lets_the_first_finish(ask, owner, now, clock) -> None:
    made = ask()
    first = rows_of(made)[0]

    def cancelled_meanwhile(header):
        fleet.cancel(rollout=made, by=owner, at=now)
        return [{"event": "result"}]

    helper = ScriptedHelper().expect("stage", cancelled_meanwhile)
    helper.expect("validate").expect("accounts", accounts_answer).expect("switch").expect("confirm")
    after(helper)
    assert carry(first, tools(helper, clock)).state == HostRollout.CONFIRMED
    assert {row.problem for row in rows_of(made)[1:]} == {"cancelled"}


def test_there_is_nothing_to_call_off_when_all_have_begun(ask, owner, now, clock) -> None:
    made = ask()
    for row in rows_of(made):
        confirm(row, clock)
    with pytest.raises(fleet.Begun):
        fleet.cancel(rollout=made, by=owner, at=now)
    assert not AuditEvent.objects.filter(action="deploy.rollout.cancelled").exists()
    made.refresh_from_db()
    assert made.stopped_at is None


def test_a_worker_that_had_just_claimed_a_host_loses_it_untouched(ask, owner, now, clock) -> None:
    """Between the claim and the first step: the only moment in which a host is held unbegun."""
    made = ask(starts_at=now + timedelta(hours=1))
    first = rows_of(made)[0]
    clock.advance(hours=1)
    held = leases.claim(HostRollout.objects.due(clock()), first.pk, worker="one", at=clock())
    assert held is not None
    fleet.cancel(rollout=made, by=owner, at=clock())
    with pytest.raises(leases.LeaseLost):
        leases.save(held, state=HostRollout.STAGING)
    first.refresh_from_db()
    assert (first.state, first.problem) == (HostRollout.REFUSED, "cancelled")


# Deaths in between


def test_killed_between_the_first_ones_confirmation_and_the_others_start(
    ask, clock, sent_nudges
) -> None:
    """The message for the others was never sent: the rows alone say that it is their turn."""
    first, *others = rows_of(ask())
    confirm(first, clock)
    sent_nudges.clear()
    assert list(due.rollouts(clock()).values_list("pk", flat=True)) == [row.pk for row in others]
    for row in others:
        confirm(row, clock)


def test_killed_while_the_first_one_is_confirmed(ask, clock, now) -> None:
    """The host has it confirmed, the console does not know yet: the others wait until it does."""
    first, *_others = rows_of(ask())

    class Killed(BaseException):
        pass

    helper = to_switch(ScriptedHelper()).expect("switch").expect("confirm", Killed())
    with pytest.raises(Killed):
        carriage.carry_out(first.pk, tools(helper, clock))
    assert may_begin(clock()) == []
    clock.advance(seconds=30)
    assert may_begin(clock()) == ["mail1.example.test"]
    number = first.generation.number
    told = {
        **FACTS,
        "generation": number,
        "last": {"generation": number, "outcome": "confirmed"},
    }
    again = ScriptedHelper().expect("facts", **told)
    assert carry(first, tools(again, clock, worker="two")).state == HostRollout.CONFIRMED
    assert len(may_begin(clock())) == 3


def test_killed_in_the_transaction_that_confirms(ask, clock, monkeypatch) -> None:
    """Nothing of it is stored; the next worker asks the host, and then the others may begin."""
    first, *_others = rows_of(ask())

    class Killed(BaseException):
        pass

    def dies(*_args: object) -> None:
        raise Killed

    monkeypatch.setattr(fleet, "wake", dies)
    helper = to_switch(ScriptedHelper()).expect("switch").expect("confirm")
    with pytest.raises(Killed):
        carriage.carry_out(first.pk, tools(helper, clock))
    monkeypatch.undo()
    first.refresh_from_db()
    assert first.state == HostRollout.PROBING
    assert not Generation.objects.live().exists()
    clock.advance(seconds=30)
    assert may_begin(clock()) == ["mail1.example.test"]
    number = first.generation.number
    told = {**FACTS, "generation": number, "last": {"generation": number, "outcome": "confirmed"}}
    carry(first, tools(ScriptedHelper().expect("facts", **told), clock, worker="two"))
    assert first.state == HostRollout.CONFIRMED
    assert len(may_begin(clock())) == 3


def test_killed_right_after_a_host_was_claimed(ask, clock) -> None:
    first, second, *_rest = rows_of(ask())
    confirm(first, clock)
    rows = HostRollout.objects.due(clock())
    assert leases.claim(rows, second.pk, worker="one", at=clock(), seconds=20) is not None
    assert second.host.fqdn not in may_begin(clock())
    clock.advance(seconds=21)
    confirm(second, clock)


def test_killed_while_it_stops(ask, clock, monkeypatch) -> None:
    """The end of a host and what it means for the others are one transaction."""
    made = ask()
    first = rows_of(made)[0]

    class Killed(BaseException):
        pass

    def dies(*_args: object) -> list[str]:
        raise Killed

    monkeypatch.setattr(fleet, "_end_the_rest", dies)
    with pytest.raises(Killed):
        carriage.carry_out(
            first.pk, tools(ScriptedHelper().expect("stage", refusal("refused")), clock)
        )
    monkeypatch.undo()
    first.refresh_from_db()
    assert first.state == HostRollout.STAGING
    clock.advance(seconds=30)
    refuse(first, clock)
    made.refresh_from_db()
    assert made.stopped_at is not None


def test_the_tick_sends_few_messages_for_many_hosts(ask, clock, monkeypatch) -> None:
    monkeypatch.setattr(fleet, "WOKEN", 2)
    confirm(rows_of(ask())[0], clock)
    assert due.rollouts(clock()).count() == 2


def test_refusals_have_sentences() -> None:
    for made in (fleet.Past(), fleet.TooFar(), fleet.Begun()):
        assert isinstance(made, Refusal)
        assert made.sentence.endswith(".")


# By the API


def names(hosts: list[Host]) -> list[str]:
    return [host.fqdn for host in hosts]


def test_by_the_api_one_is_chosen_to_go_first_at_a_time(hosts, owner, now) -> None:
    tonight = now + timedelta(hours=5)
    body = {"hosts": names(hosts), "first": hosts[1].fqdn, "starts_at": tonight.isoformat()}
    answer = call(owner, "deploy:write", "post", "/rollouts", body)
    assert answer.status_code == 202
    made = answer.json()
    assert datetime.fromisoformat(made["starts_at"]) - tonight < timedelta(seconds=1)
    assert made["stopped_at"] is None
    seen = [(each["host"], each["turn"]) for each in made["hosts"]]
    assert seen[0] == (hosts[1].fqdn, 0)
    assert {turn for _name, turn in seen[1:]} == {1}


def test_the_api_lists_what_is_planned(hosts, owner, now) -> None:
    first = rollout.request(hosts=hosts[:2], by=owner, at=now, reason="now")
    later = now + timedelta(hours=5)
    second = rollout.request(hosts=hosts[2:], by=owner, at=now, starts_at=later)
    answer = call(owner, "deploy:read", "get", "/rollouts?limit=1").json()
    (row,) = answer["items"]
    assert (row["id"], row["hosts"], row["open"], row["live"]) == (second.pk, 2, 2, 0)
    assert row["starts_at"] is not None and row["by"] == "owner"
    answer = call(owner, "deploy:read", "get", f"/rollouts?limit=1&after={answer['next']}").json()
    assert [each["id"] for each in answer["items"]] == [first.pk]
    assert (answer["items"][0]["reason"], answer["next"]) == ("now", None)


def test_the_api_calls_it_off_once(hosts, owner, now) -> None:
    body = {"hosts": names(hosts), "starts_at": (now + timedelta(hours=5)).isoformat()}
    made = call(owner, "deploy:write", "post", "/rollouts", body).json()
    answer = call(owner, "deploy:write", "post", f"/rollouts/{made['id']}/cancel").json()
    assert (answer["is_open"], bool(answer["stopped_at"])) == (False, True)
    assert "called it off" in answer["hosts"][0]["problem"]
    again = call(owner, "deploy:write", "post", f"/rollouts/{made['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "Begun")
    assert call(owner, "deploy:write", "post", "/rollouts/999/cancel").status_code == 404


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"starts_at": "2020-01-01T03:00:00Z"}, 422),
        ({"starts_at": "2099-01-01T03:00:00"}, 422),
        ({"first": "nobody.example.test"}, 404),
    ],
)
def test_what_the_api_refuses(hosts, owner, more, status) -> None:
    body = {"hosts": names(hosts), **more}
    assert call(owner, "deploy:write", "post", "/rollouts", body).status_code == status
    assert not Rollout.objects.exists()


def test_one_that_is_not_among_them_cannot_go_first(hosts, owner) -> None:
    body = {"hosts": names(hosts[:2]), "first": hosts[3].fqdn}
    answer = call(owner, "deploy:write", "post", "/rollouts", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "NotAmongThem")
