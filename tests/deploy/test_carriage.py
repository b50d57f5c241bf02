"""What a rollout's worker does, step by step, against a helper that answers from a script.

The real daemons have their own tests in `tests/live`; here is what they cannot be made to do.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from ca.models import Certificate
from core import leases
from core.models import AuditEvent
from deploy import accounts_push, carriage, rollout, states
from deploy.models import AccountPush, Generation, Host, HostRollout
from deploy.probes.values import Result
from deploy.transport import Broken, HostKeyMismatch, LoginRefused, Unreachable
from tests.deploy.conftest import FACTS, ScriptedHelper, current, refusal

pytestmark = pytest.mark.django_db


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def row(certified: Host, owner, now) -> HostRollout:
    current(certified)
    return rollout.request(hosts=[certified], by=owner, at=now).hosts.get()


def proves(ok: bool = True):
    def prove(questions, place, *, beat) -> Iterator[Result]:
        for question in questions:
            beat()
            seen = question.expect if question.kind in {"tls", "starttls"} else ""
            good = ok or question.kind != "relay"
            yield Result(question.kind, question.protocol, question.port, good, "said", seen)

    return prove


def tools(helper: ScriptedHelper, clock: Clock, *, ok: bool = True, worker: str = "one"):
    return carriage.Tools(transport=helper, prove=proves(ok), clock=clock, worker=worker)


def accounts(header) -> list[dict[str, object]]:
    return [{"event": "result", "through_change": header["through_change"], "lineage": "ab" * 16}]


def to_switch(helper: ScriptedHelper) -> ScriptedHelper:
    helper.expect("stage").expect("validate").expect("accounts", accounts)
    return helper


def after(helper: ScriptedHelper) -> ScriptedHelper:
    """The login of the probes goes, and the host tells how it is now."""
    return helper.expect("accounts", accounts).expect("facts", facts)


def facts(header) -> list[dict[str, object]]:
    live = Generation.objects.live().first()
    return [{"event": "result", **FACTS, "generation": live.number if live else None}]


def carry(row: HostRollout, made: carriage.Tools) -> HostRollout:
    carriage.carry_out(row.pk, made)
    row.refresh_from_db()
    return row


def test_all_the_way_to_confirmed(row, helper, clock, certified) -> None:
    to_switch(helper).expect("switch", services={"sendmail": "reloaded"}).expect("confirm")
    after(helper)
    carry(row, tools(helper, clock))
    helper.done()
    assert row.state == HostRollout.CONFIRMED
    live = Generation.objects.live().get()
    assert live == row.generation
    assert row.receipt["services"] == {"sendmail": "reloaded"}
    served = {
        proof["port"]: proof["fingerprint"]
        for proof in row.receipt["proofs"]
        if proof["fingerprint"]
    }
    assert served == dict.fromkeys((25, 587, 465, 143, 993, 110, 995), live.fingerprint)
    certificate = Certificate.objects.get(pk=certified.certificate_id)
    assert certificate.first_served_at is not None
    assert all(step.ok for step in row.steps.all())
    assert AuditEvent.objects.filter(action="deploy.rollout.confirmed").exists()


def test_requests_are_numbered_upwards_and_name_the_host(row, helper, clock, certified) -> None:
    to_switch(helper).expect("switch").expect("confirm")
    after(helper)
    carry(row, tools(helper, clock))
    numbers = [header["sequence"] for header in helper.seen if "sequence" in header]
    assert numbers == sorted(set(numbers))
    assert {header["host"] for header in helper.seen} == {str(certified.uuid)}


def test_the_bundle_travels_without_a_key(row, helper, clock) -> None:
    helper.expect("stage", refusal("digest"))
    carry(row, tools(helper, clock))
    assert helper.seen[0]["key"] == row.generation.key_id
    assert b"PRIVATE KEY" not in helper.payloads[0]
    assert helper.seen[0]["digest"] == row.generation.digest


@pytest.mark.parametrize("verb", ["stage", "validate"])
def test_what_the_host_refuses_touches_nothing(row, helper, clock, verb) -> None:
    if verb == "validate":
        helper.expect("stage")
    helper.expect(verb, refusal("refused", "doveconf: unknown setting"))
    carry(row, tools(helper, clock))
    helper.done()
    assert row.state == HostRollout.REFUSED
    assert "unknown setting" in row.problem_detail
    assert not Generation.objects.live().exists()
    row.generation.refresh_from_db()
    assert row.generation.state == Generation.DISCARDED
    assert row.steps.last().ok is False


def test_a_switch_that_came_to_nothing_is_rolled_back_by_the_host(row, helper, clock) -> None:
    to_switch(helper).expect(
        "switch", refusal("rolled_back", "dovecot did not start.", outcome="rolled_back")
    )
    after(helper)
    carry(row, tools(helper, clock))
    helper.done()
    assert row.state == HostRollout.ROLLED_BACK
    assert "dovecot did not start" in row.problem_detail


def test_a_rollback_that_fails_is_said_to_have_failed(row, helper, clock) -> None:
    failed = refusal("rollback_failed", "Sendmail is down.", outcome="rollback_failed")
    to_switch(helper).expect("switch", failed)
    after(helper)
    carry(row, tools(helper, clock))
    assert row.state == HostRollout.ROLLBACK_FAILED
    assert "Sendmail is down" in row.problem_detail


def test_a_failed_proof_rolls_back(row, helper, clock) -> None:
    to_switch(helper).expect("switch").expect("rollback", generation=0, outcome="rolled_back")
    after(helper)
    carry(row, tools(helper, clock, ok=False))
    helper.done()
    assert row.state == HostRollout.ROLLED_BACK
    assert row.problem == "probe_failed"
    assert not Generation.objects.live().exists()
    assert not Certificate.objects.exclude(first_served_at=None).exists()


def test_a_failed_proof_and_a_failed_rollback_say_so(row, helper, clock) -> None:
    to_switch(helper).expect("switch").expect("rollback", refusal("rollback_failed", "No disk."))
    after(helper)
    carry(row, tools(helper, clock, ok=False))
    assert row.state == HostRollout.ROLLBACK_FAILED


def test_a_confirmation_that_comes_too_late_ends_on_the_old_side(row, helper, clock) -> None:
    to_switch(helper).expect("switch").expect("confirm", refusal("too_late"))
    helper.expect("rollback", generation=0, outcome="rolled_back")
    after(helper)
    carry(row, tools(helper, clock))
    assert (row.state, row.problem) == (HostRollout.ROLLED_BACK, "went_back")


def test_the_certificate_before_is_superseded_only_once_the_new_one_is_served(
    row, helper, clock, certified, issue, owner
) -> None:
    first = certified.certificate
    to_switch(helper).expect("switch").expect("confirm")
    after(helper)
    carry(row, tools(helper, clock))
    second = issue()
    Host.objects.filter(pk=certified.pk).update(certificate=second)
    certified.refresh_from_db()
    again = rollout.request(hosts=[certified], by=owner, at=clock()).hosts.get()
    assert again.base == 1

    failing = to_switch(ScriptedHelper()).expect("switch").expect("rollback", generation=1)
    after(failing)
    carry(again, tools(failing, clock, ok=False))
    first.refresh_from_db()
    assert first.state == Certificate.VALID

    again = rollout.request(hosts=[certified], by=owner, at=clock()).hosts.get()
    good = to_switch(ScriptedHelper()).expect("switch").expect("confirm")
    after(good)
    carry(again, tools(good, clock))
    first.refresh_from_db()
    assert (again.state, first.state) == (HostRollout.CONFIRMED, Certificate.SUPERSEDED)
    assert first.superseded_by == second


# A host that does not answer


def test_a_host_out_of_reach_is_asked_again_and_then_refused(row, helper, clock) -> None:
    helper.refuses = Unreachable("refused")
    carry(row, tools(helper, clock))
    assert row.state == HostRollout.STAGING
    assert row.retry_at > clock()
    assert not HostRollout.objects.due(clock()).exists()
    clock.advance(minutes=11)
    carry(row, tools(helper, clock))
    assert (row.state, row.problem) == (HostRollout.REFUSED, "unreachable")


@pytest.mark.parametrize(
    ("failure", "code"), [(HostKeyMismatch("other"), "host_key"), (LoginRefused("no"), "login")]
)
def test_another_machine_at_the_address_is_refused_at_once(
    row, helper, clock, failure, code
) -> None:
    helper.refuses = failure
    carry(row, tools(helper, clock))
    assert (row.state, row.problem) == (HostRollout.REFUSED, code)
    assert not row.steps.filter(ok=None).exists()


def test_another_machine_after_the_switch_is_waited_for(row, helper, clock) -> None:
    to_switch(helper).expect("switch", Broken("reset")).expect("accounts", Broken("reset"))
    carry(row, tools(helper, clock))
    helper.refuses = HostKeyMismatch("other")
    clock.advance(seconds=3)
    carry(row, tools(helper, clock))
    assert row.state == HostRollout.SWITCHING


def test_what_nobody_went_on_with_is_not_put_live_a_day_later(row, helper, clock) -> None:
    die_at(row, helper, "validate", clock)
    clock.advance(days=1)
    carry(row, tools(ScriptedHelper(), clock, worker="two"))
    assert (row.state, row.problem) == (HostRollout.REFUSED, "stale")
    assert not row.steps.filter(ok=None).exists()


def test_accounts_being_sent_do_not_end_the_proof(row, helper, clock, monkeypatch) -> None:
    die_at(row, helper, "switch", clock)
    clock.advance(seconds=carriage.LEASE_SECONDS + 1)

    def held(*args, **more):
        raise accounts_push.Held("mail1.example.test")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(accounts_push, "held", held)
        waiting = ScriptedHelper().expect("facts", **FACTS | {"pending": {"generation": 1}})
        carry(row, tools(waiting, clock, worker="two"))
    assert row.state == HostRollout.PROBING
    assert row.steps.get(name="wait").ok is None
    clock.advance(seconds=3)
    again = ScriptedHelper().expect("facts", **FACTS | {"pending": {"generation": 1}})
    again.expect("accounts", accounts).expect("confirm")
    after(again)
    carry(row, tools(again, clock, worker="two"))
    assert row.state == HostRollout.CONFIRMED


def test_a_connection_lost_in_the_switch_asks_the_host(row, helper, clock) -> None:
    to_switch(helper).expect("switch", Broken("reset"))
    helper.expect("accounts", Broken("reset"))
    carry(row, tools(helper, clock))
    assert row.state == HostRollout.SWITCHING
    clock.advance(seconds=3)
    again = ScriptedHelper().expect("facts", **FACTS | {"pending": {"generation": 1}})
    again.expect("accounts", accounts).expect("confirm")
    after(again)
    carry(row, tools(again, clock, worker="two"))
    again.done()
    assert row.state == HostRollout.CONFIRMED


def test_a_host_that_stays_silent_after_the_switch_is_not_called_live(row, helper, clock) -> None:
    to_switch(helper).expect("switch", Broken("reset")).expect("accounts", Broken("reset"))
    carry(row, tools(helper, clock))
    clock.advance(minutes=11)
    helper.refuses = Unreachable("no route")
    carry(row, tools(helper, clock))
    assert (row.state, row.problem) == (HostRollout.ROLLBACK_FAILED, "silent")


# A worker that dies


class Killed(BaseException):
    """Stands for kill -9: nothing behind it runs."""


def die_at(row: HostRollout, helper: ScriptedHelper, verb: str, clock: Clock) -> None:
    script = {"stage": 0, "validate": 1, "switch": 3, "confirm": 4}
    to_switch(helper).expect("switch").expect("confirm")
    helper.script = helper.script[: script[verb]]
    helper.expect(verb, Killed())
    with pytest.raises(Killed):
        carriage.carry_out(row.pk, tools(helper, clock))
    row.refresh_from_db()


def test_nobody_takes_a_rollout_over_while_its_lease_lasts(row, helper, clock) -> None:
    die_at(row, helper, "stage", clock)
    carry(row, tools(ScriptedHelper(), clock, worker="two"))
    assert row.claimed_by == "one"


@pytest.mark.parametrize("verb", ["stage", "validate"])
def test_before_the_switch_the_next_worker_begins_again(row, helper, clock, verb) -> None:
    die_at(row, helper, verb, clock)
    clock.advance(seconds=carriage.LEASE_SECONDS + 1)
    again = to_switch(ScriptedHelper()).expect("switch").expect("confirm")
    after(again)
    carry(row, tools(again, clock, worker="two"))
    again.done()
    assert row.state == HostRollout.CONFIRMED
    assert row.steps.filter(name="resume").exists()
    assert not row.steps.filter(ok=None).exists()


def test_in_the_switch_the_next_worker_goes_on_where_the_host_waits(row, helper, clock) -> None:
    die_at(row, helper, "switch", clock)
    assert row.state == HostRollout.SWITCHING
    clock.advance(seconds=carriage.LEASE_SECONDS + 1)
    again = ScriptedHelper().expect("facts", **FACTS | {"pending": {"generation": 1}})
    again.expect("accounts", accounts).expect("confirm")
    after(again)
    carry(row, tools(again, clock, worker="two"))
    assert row.state == HostRollout.CONFIRMED


def test_in_the_switch_a_host_that_was_not_switched_stays_on_the_old_side(
    row, helper, clock
) -> None:
    die_at(row, helper, "switch", clock)
    clock.advance(seconds=carriage.LEASE_SECONDS + 1)
    again = ScriptedHelper().expect("facts", **FACTS).expect("rollback", refusal("not_switched"))
    carry(row, tools(again, clock, worker="two"))
    again.done()
    assert (row.state, row.problem) == (HostRollout.ROLLED_BACK, "worker_lost")


@pytest.mark.parametrize(
    ("last", "end"), [("confirmed", "confirmed"), ("rolled_back", "rolled_back")]
)
def test_in_the_confirmation_the_host_knows_how_it_ended(row, helper, clock, last, end) -> None:
    die_at(row, helper, "confirm", clock)
    assert row.state == HostRollout.PROBING
    clock.advance(seconds=carriage.LEASE_SECONDS + 1)
    on = 1 if last == "confirmed" else 0
    facts = FACTS | {"generation": on, "last": {"generation": 1, "outcome": last}}
    again = ScriptedHelper().expect("facts", **facts)
    if last != "confirmed":
        again.expect("rollback", generation=0, outcome="rolled_back")
    carry(row, tools(again, clock, worker="two"))
    again.done()
    assert row.state == end


def test_a_worker_that_was_thought_dead_writes_nothing(row, helper, clock) -> None:
    """It wakes up after its lease, in the middle of the validation."""

    def sleeps(header):
        clock.advance(seconds=carriage.LEASE_SECONDS + 1)
        taken = leases.claim(HostRollout.objects.due(clock()), row.pk, worker="two", at=clock())
        assert taken is not None
        return [{"event": "step", "name": "validate.m4", "ok": True}, {"event": "result"}]

    helper.expect("stage").expect("validate", sleeps)
    carry(row, tools(helper, clock))
    assert row.claimed_by == "two"
    assert row.state == HostRollout.VALIDATING
    assert not row.steps.filter(name="validate.m4").exists()


def test_a_request_that_was_overtaken_is_numbered_anew(row, helper, clock) -> None:
    helper.expect("stage", refusal("replayed", sequence=40)).expect("stage")
    helper.expect("validate", refusal("refused"))
    carry(row, tools(helper, clock))
    first, second = (header["sequence"] for header in helper.seen[:2])
    assert second == 41 > first


# Accounts before the first switch


def test_the_first_rollout_copies_all_accounts(certified, owner, now, helper, clock) -> None:
    row = rollout.request(hosts=[certified], by=owner, at=now).hosts.get()
    helper.expect("stage").expect("accounts", accounts).expect("validate")
    helper.expect("accounts", accounts).expect("switch").expect("confirm")
    after(helper)
    carry(row, tools(helper, clock))
    helper.done()
    assert helper.seen[1]["whole"] is True
    assert AccountPush.objects.get().state == AccountPush.CURRENT


def test_a_host_with_newer_accounts_stops_the_rollout_untouched(
    certified, owner, now, helper, clock
) -> None:
    row = rollout.request(hosts=[certified], by=owner, at=now).hosts.get()
    helper.expect("stage").expect("accounts", refusal("ahead", through_change=9))
    carry(row, tools(helper, clock))
    assert (row.state, row.problem) == (HostRollout.REFUSED, "accounts")
    assert AccountPush.objects.get().state == AccountPush.HOST_AHEAD


def test_the_probes_login_goes_again(row, helper, clock) -> None:
    to_switch(helper).expect("switch").expect("confirm")
    after(helper)
    carry(row, tools(helper, clock))
    given, gone = helper.payloads[2].decode(), helper.payloads[5].decode()
    assert "{ARGON2ID}" in given
    assert '{"remove":"mailadmin-probe@probe.mail1.example.test"}' in gone


def test_every_state_was_reached_by_the_table(row, helper, clock) -> None:
    with pytest.raises(states.NoSuchStep):
        carriage._Carriage(row, tools(helper, clock)).go(states.CONFIRMED)
