"""The policy: off from the start; it tells people, waits, looks again, and suspends."""

import datetime
import email
import email.policy
from typing import Any

import pytest
from django.core.cache import cache

from accounts import announcing, bulk, domains, due, expiry, flags, lifecycle, policy, states, tasks
from accounts.models import (
    Change,
    Evidence,
    Flag,
    FlagPolicy,
    LastUse,
    Mailbox,
    WeaknessVerdict,
)
from accounts.policy import PolicyChangedMeanwhile, PolicyRefused
from core.models import AuditEvent, Operator
from tests.sink import Sink

from .conftest import AT, GOOD, HOST

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
LATER = AT + 100 * DAY
THEN = LATER + 14 * DAY


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


def watched(through: datetime.datetime, *protocols: str) -> None:
    for protocol in protocols or ("imap", "pop3", "smtp"):
        Evidence.objects.update_or_create(
            host=HOST, protocol=protocol, defaults={"since": AT - DAY, "through": through}
        )


def made(domain: Any, name: str, **more: Any) -> Mailbox:
    given: dict[str, Any] = {"password": GOOD, "by": None, "at": AT, **more}
    return lifecycle.create(domain=domain, local_part=name, **given)


def switch_on(
    *kinds: str, days: int = 14, at: datetime.datetime = LATER, **more: Any
) -> FlagPolicy:
    given: dict[str, Any] = {"revision": policy.current().revision, "by": None, **more}
    return policy.set_policy(
        on=True, kinds=kinds or ("never_used",), notice_days=days, at=at, **given
    )


def guessed(mailbox: Mailbox) -> None:
    """As the audit of passwords leaves it."""
    mailbox.refresh_from_db()
    WeaknessVerdict.objects.update_or_create(
        mailbox=mailbox,
        defaults={
            "digest": flags.hash_digest(mailbox.password) + "0" * 32,
            "reason": "equals_name",
            "at": LATER,
        },
    )


def look(at: datetime.datetime) -> int:
    flags.refresh(at=at)
    return announcing.announce(at=at)


def suspends(mailbox: Mailbox) -> set[Any]:
    found = Flag.objects.filter(mailbox=mailbox).values_list("kind", "suspends_at")
    return {(kind, moment) for kind, moment in found if moment is not None}


def carried_out(at: datetime.datetime) -> list[str]:
    cache.clear()
    done = [policy.carry_out(flag.pk, at=at) for flag in due.announced(at)]
    return [mailbox.local_part for mailbox in done if mailbox is not None]


def state(mailbox: Mailbox) -> tuple[str, str]:
    mailbox.refresh_from_db()
    return mailbox.state, mailbox.state_reason


def test_nothing_happens_before_somebody_switches_it_on(anna: Mailbox) -> None:
    watched(LATER)
    assert look(LATER) == 0
    assert Flag.objects.filter(mailbox=anna, kind="never_used").exists()
    assert not policy.announced().exists()
    assert not policy.current().on


def test_what_is_announced_is_suspended_when_its_days_are_over(anna: Mailbox, owner: Any) -> None:
    watched(LATER)
    switch_on(by=owner)
    assert look(LATER) == 1
    assert suspends(anna) == {("never_used", THEN)}
    event = AuditEvent.objects.get(action="accounts.policy.announced")
    assert (event.actor, event.subject) == (None, "anna@example.test")
    assert event.detail["sha256"] == bulk.digest(["anna@example.test"])
    assert (event.detail["count"], event.detail["mails"]) == (1, 0)
    assert look(LATER + HOUR) == 0, "nobody is told twice"
    watched(THEN)
    assert carried_out(THEN - datetime.timedelta(seconds=1)) == []
    assert carried_out(THEN) == ["anna"]
    assert state(anna) == (states.SUSPENDED, "policy_never_used")
    assert anna.reason_shown == "By the policy, after a notice: nobody was seen to use it."
    assert not suspends(anna)
    last = AuditEvent.objects.get(action="accounts.mailbox.suspended")
    assert (last.actor, last.detail["reason"]) == (None, "policy_never_used")
    assert Change.objects.latest("pk").end_sessions


def test_resumed_it_gets_another_notice(anna: Mailbox) -> None:
    watched(LATER)
    switch_on()
    look(LATER)
    watched(THEN)
    carried_out(THEN)
    anna.refresh_from_db()
    lifecycle.resume(mailbox=anna, by=None, at=THEN)
    look(THEN + HOUR)
    assert suspends(anna) == {("never_used", THEN + HOUR + 14 * DAY)}
    assert carried_out(THEN + HOUR) == []


def test_a_use_meanwhile_saves_it_even_when_no_refresh_saw_it(anna: Mailbox) -> None:
    watched(LATER)
    switch_on()
    look(LATER)
    LastUse.objects.create(mailbox=anna, protocol="imap", at=LATER + DAY)
    watched(THEN)
    assert carried_out(THEN) == []
    assert state(anna)[0] == states.ACTIVE
    assert not policy.announced().exists()


def test_an_old_use_that_was_renewed_begins_anew(anna: Mailbox) -> None:
    use = LastUse.objects.create(mailbox=anna, protocol="imap", at=AT)
    watched(LATER)
    switch_on("dormant")
    look(LATER)
    assert suspends(anna) == {("dormant", THEN)}
    use.at = AT + 5 * DAY
    use.save()
    watched(THEN)
    assert carried_out(THEN) == []
    look(THEN)
    assert suspends(anna) == {("dormant", THEN + 14 * DAY)}


def test_a_password_set_meanwhile_saves_it(anna: Mailbox) -> None:
    guessed(anna)
    switch_on("weak")
    look(LATER)
    assert suspends(anna) == {("weak", THEN)}
    lifecycle.set_password(mailbox=anna, password=GOOD + "x", by=None, at=LATER + DAY)
    assert carried_out(THEN) == []
    assert state(anna)[0] == states.ACTIVE


def test_a_weak_password_is_suspended_though_it_is_used(anna: Mailbox) -> None:
    LastUse.objects.create(mailbox=anna, protocol="imap", at=LATER)
    guessed(anna)
    switch_on("weak")
    look(LATER)
    assert carried_out(THEN) == ["anna"]
    assert state(anna)[1] == "policy_weak"


def test_set_aside_it_stays_and_is_told_again_when_it_counts_again(
    anna: Mailbox, owner: Any
) -> None:
    watched(LATER)
    switch_on()
    look(LATER)
    flag = Flag.objects.get(mailbox=anna, kind="never_used")
    flags.exempt(flag=flag, reason="on leave", until=THEN + DAY, by=owner, at=LATER + DAY)
    assert not suspends(anna)
    assert look(LATER + 2 * DAY) == 0
    watched(THEN + 2 * DAY)
    assert carried_out(THEN) == []
    assert look(THEN + 2 * DAY) == 1
    assert suspends(anna) == {("never_used", THEN + 16 * DAY)}


def test_switched_off_or_without_its_kind_nothing_stays_announced(
    anna: Mailbox, owner: Any
) -> None:
    watched(LATER)
    guessed(anna)
    switch_on("weak", "never_used")
    look(LATER)
    assert {kind for kind, _at in suspends(anna)} == {"weak", "never_used"}
    switch_on("weak")
    assert {kind for kind, _at in suspends(anna)} == {"weak"}
    off = {"on": False, "kinds": ["weak"], "notice_days": 14, "by": owner, "at": LATER}
    policy.set_policy(revision=policy.current().revision, **off)  # type: ignore[arg-type]
    assert not suspends(anna)
    event = AuditEvent.objects.filter(action="accounts.policy.set").latest("pk")
    assert (event.subject, event.detail["withdrawn"]) == ("off", 1)
    assert carried_out(THEN + DAY) == []


def test_more_days_are_given_to_those_who_were_told_and_fewer_taken_from_nobody(
    anna: Mailbox,
) -> None:
    watched(LATER)
    switch_on(days=14)
    look(LATER)
    switch_on(days=20)
    assert suspends(anna) == {("never_used", LATER + 20 * DAY)}
    switch_on(days=2)
    assert suspends(anna) == {("never_used", LATER + 20 * DAY)}


def test_who_suspended_it_meanwhile_is_not_answered_with_a_stale_announcement(
    anna: Mailbox,
) -> None:
    watched(LATER)
    switch_on()
    look(LATER)
    lifecycle.suspend(mailbox=anna, reason="on leave", by=None, at=LATER + DAY)
    look(LATER + 2 * DAY)
    assert not policy.announced().exists()
    watched(THEN)
    assert carried_out(THEN) == []
    assert state(anna) == (states.SUSPENDED, "on leave")


def test_what_is_never_reached(domain: Any, owner: Any) -> None:
    Operator.objects.filter(pk=owner.pk).update(email="Boss+console@example.test")
    for name in ("postmaster", "abuse", "boss"):
        made(domain, name)
    made(domain, "test", name_reason="shown at fairs")
    made(domain, "demo", expires_at=AT + 900 * DAY, owner_contact="Bert")
    test = made(domain, "scan-2", name_reason="imported")
    watched(LATER)
    switch_on("never_used", "test_named")
    look(LATER)
    told = policy.announced().values_list("mailbox__local_part", "kind")
    assert set(told) == {
        ("test", "never_used"),
        ("demo", "never_used"),
        ("scan-2", "never_used"),
        ("scan-2", "test_named"),
    }
    assert suspends(test) == {("never_used", THEN), ("test_named", THEN)}


def test_without_knowing_every_protocol_nobody_is_called_unused(anna: Mailbox) -> None:
    watched(LATER, "imap", "smtp")
    switch_on()
    assert look(LATER) == 0
    assert Flag.objects.get(mailbox=anna, kind="never_used").evidence["unwatched"] == ["pop3"]


def test_a_host_that_fell_silent_keeps_its_accounts_until_it_speaks(anna: Mailbox) -> None:
    watched(LATER - 2 * DAY)
    switch_on()
    assert look(LATER) == 0
    watched(LATER)
    assert look(LATER) == 1
    assert carried_out(THEN) == [], "nothing is known of the last days"
    assert suspends(anna) == {("never_used", THEN + HOUR)}
    watched(THEN + HOUR)
    assert carried_out(THEN + HOUR) == ["anna"]


def test_at_most_a_twentieth_of_a_domain_in_a_day(domain: Any, owner: Any) -> None:
    for number in range(45):
        made(domain, f"box{number}")
    watched(LATER)
    switch_on()
    assert look(LATER) == 45
    watched(THEN)
    assert len(carried_out(THEN)) == 2
    assert policy.announced().filter(suspends_at=THEN + DAY).count() == 43
    for mailbox in Mailbox.objects.in_state(states.SUSPENDED):
        lifecycle.resume(mailbox=mailbox, by=owner, at=THEN)
    watched(THEN + DAY)
    assert carried_out(THEN + DAY - HOUR) == [], "who is resumed makes no room"
    assert len(carried_out(THEN + DAY)) == 2


def test_a_twentieth_of_each_domain_and_of_all(domain: Any, owner: Any) -> None:
    small = domains.create(name="small.test", host=HOST, by=owner, at=AT)
    for number in range(3):
        made(small, f"small{number}")
    for number in range(80):
        made(domain, f"big{number}")
    watched(LATER)
    switch_on()
    look(LATER)
    watched(THEN)
    done = [name.rstrip("0123456789") for name in carried_out(THEN)]
    assert (done.count("small"), done.count("big")) == (1, 3), "4 of 83, and 1 of 3"


def test_a_small_domain_loses_one_a_day(anna: Mailbox, domain: Any) -> None:
    made(domain, "bert")
    watched(LATER)
    switch_on()
    look(LATER)
    watched(THEN)
    assert carried_out(THEN) == ["anna"]


def test_what_is_refused(owner: Any) -> None:
    said: dict[str, Any] = {"on": True, "notice_days": 14, "revision": 0, "by": owner, "at": AT}
    for changes, field in (
        ({"kinds": []}, "kinds"),
        ({"kinds": ["sends_only"]}, "kinds"),
        ({"kinds": ["no_owner", "weak"]}, "kinds"),
        ({"kinds": ["weak"], "notice_days": 0}, "notice_days"),
        ({"kinds": ["weak"], "notice_days": 366}, "notice_days"),
    ):
        with pytest.raises(PolicyRefused) as refused:
            policy.set_policy(**{**said, **changes})
        assert refused.value.field == field
    assert not FlagPolicy.objects.exists()
    first = policy.set_policy(**said, kinds=["weak"])
    assert (first.revision, FlagPolicy.objects.count()) == (1, 1)
    with pytest.raises(PolicyChangedMeanwhile):
        policy.set_policy(**said, kinds=["dormant"])
    again = policy.set_policy(**{**said, "revision": 1}, kinds=["weak"])
    assert again.revision == 1, "nothing changed"
    assert AuditEvent.objects.filter(action="accounts.policy.set").count() == 1


def texts(sink: Sink) -> dict[str, str]:
    """What each recipient was sent."""
    found = {}
    for to, raw in sink.mails:
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        assert mail["Auto-Submitted"] == "auto-generated"
        body = mail.get_body()
        assert body is not None
        found[to[0]] = f"{mail['Subject']}\n{body.get_content()}"
    return found


@pytest.fixture
def people(owner: Any) -> None:
    Operator.objects.filter(pk=owner.pk).update(email="owner@elsewhere.test")
    given: dict[str, Any] = {"password": "x", "is_active": True}
    for name, role, scope in (
        ("manager", "domain_manager", ["example.test"]),
        ("other", "domain_manager", ["other.test"]),
        ("auditor", "auditor", []),
    ):
        Operator.objects.create_user(
            name, email=f"{name}@elsewhere.test", role=role, domains=scope, **given
        )
    Operator.objects.filter(username="manager").update(language="zh-hant")


def test_people_are_told_by_mail(domain: Any, people: None, sink: Sink) -> None:
    test = made(domain, "test", owner_contact="carla@elsewhere.test", name_reason="imported")
    made(domain, "bert", owner_contact="telephone 200")
    guessed(test)
    watched(LATER)
    switch_on("weak", "never_used")
    assert look(LATER) == 2
    sent = texts(sink)
    assert set(sent) == {"owner@elsewhere.test", "manager@elsewhere.test", "carla@elsewhere.test"}
    day = "2027-03-18"
    assert sent["owner@elsewhere.test"].startswith(f"2 accounts will be suspended on {day}")
    assert "test@example.test: Weak password, Never used" in sent["owner@elsewhere.test"]
    assert "https://console.example.test/accounts/flags/" in sent["owner@elsewhere.test"]
    assert sent["carla@elsewhere.test"].startswith(f"test@example.test will be suspended on {day}")
    assert "bert@" not in sent["carla@elsewhere.test"]
    for text in sent.values():
        assert "own name" not in text, "how it was guessed is the password"
    assert AuditEvent.objects.get(action="accounts.policy.announced").detail["mails"] == 3


def test_nobodys_days_run_while_the_mail_server_is_away(
    anna: Mailbox, people: None, sink: Sink, settings: Any
) -> None:
    watched(LATER)
    switch_on()
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    assert look(LATER) == 0
    assert not policy.announced().exists()
    assert "refused" in announcing.problem()
    settings.EMAIL_PORT = port
    assert look(LATER + HOUR) == 1
    assert suspends(anna) == {("never_used", LATER + HOUR + 14 * DAY)}
    assert announcing.problem() == ""


def test_a_recipient_that_is_refused_holds_nobody_up(
    anna: Mailbox, people: None, sink: Sink
) -> None:
    watched(LATER)
    switch_on()
    sink.answer = b"550 5.1.1 no such user"
    assert look(LATER) == 1
    assert AuditEvent.objects.get(action="accounts.policy.announced").detail["mails"] == 0


def test_the_tasks(anna: Mailbox, sent_nudges: list[tuple[str, object]], monkeypatch: Any) -> None:
    watched(LATER)
    row = switch_on()
    assert ("accounts.announce", row.pk) not in sent_nudges, "after commit"
    monkeypatch.setattr(tasks.timezone, "now", lambda: LATER)
    tasks.refresh_flags(anna.pk)
    assert suspends(anna)
    watched(THEN)
    monkeypatch.setattr(tasks.timezone, "now", lambda: THEN)
    cache.clear()
    flag = due.announced(THEN).get()
    tasks.carry_out_policy(flag.pk)
    tasks.carry_out_policy(flag.pk)
    assert state(anna)[0] == states.SUSPENDED
    assert AuditEvent.objects.filter(action="accounts.mailbox.suspended").count() == 1


def test_an_account_that_expired_meanwhile_keeps_that_reason(domain: Any) -> None:
    demo = made(domain, "visit", expires_at=LATER + DAY, owner_contact="Bert")
    watched(LATER)
    switch_on()
    look(LATER)
    expiry.expire(demo.pk, at=LATER + DAY)
    watched(THEN)
    carried_out(THEN)
    assert state(demo) == (states.SUSPENDED, "expired")
