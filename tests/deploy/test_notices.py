"""Mail about hosts that are not well, up to what a mail server was given."""

from __future__ import annotations

import email
import email.policy
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse

from core import leases
from core.models import Operator
from deploy import drift, due, notices, renewal, tasks
from deploy.models import Alarm, Host, HostJob, HostNotice
from deploy.transport import Unreachable
from mailadmin import overview
from tests.deploy.conftest import FACTS
from tests.deploy.test_probing import DOWN, OTHER, Daemons

pytestmark = pytest.mark.django_db
RELAY = {("relay", "smtp"): "<> to <somebody@relay-probe.invalid>: 250 2.1.5 Recipient ok"}


@pytest.fixture
def hour(now):
    """After the rollout that the host came from."""
    return now + timedelta(hours=1)


def sent(at) -> list[HostNotice]:  # type: ignore[no-untyped-def]
    """What a worker collects and sends at a moment."""
    made = notices.collect(at=at)
    for notice in made:
        claimed = leases.claim(notices.due(at), notice.pk, worker="test", at=at)
        assert claimed is not None
        notices.send(notice=claimed, at=at)
    return made


def subjects(sink) -> list[str]:  # type: ignore[no-untyped-def]
    return [read(raw)["Subject"] for _to, raw in sink.mails]


def read(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)  # type: ignore[return-value]


def test_failing_probes_are_told_once_and_once_when_well(deployed, hour, sink) -> None:
    at = hour
    for _turn in range(4):
        Daemons({**DOWN, ("tls", "pop3s"): OTHER}).look(deployed, at)
        sent(at)
        at += timedelta(minutes=15)
    ((to, raw),) = sink.mails
    mail = read(raw)
    assert to == ["owner@example.test"] and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == f"{deployed.fqdn}: IMAPS 993 does not answer"
    text = mail.get_content()
    for words in (
        "- IMAPS 993 does not answer (since ",
        "[Errno 111] Connection refused",
        "- POP3S 995 serves another certificate than deployed",
        OTHER,
        "whether Dovecot runs, and start it",
        f"https://console.example.test/hosts/{deployed.pk}/#probes-title",
    ):
        assert words in text, words
    Daemons().look(deployed, at)
    sent(at)
    assert subjects(sink)[1:] == [f"{deployed.fqdn}: all that is probed is as it must be again"]
    assert sent(at + timedelta(days=2)) == []


def test_a_probe_that_comes_and_goes_is_told_of_once_a_day(deployed, hour, sink) -> None:
    at = hour
    for turn in range(4 * 24):
        Daemons(DOWN if turn % 2 == 0 else {}).look(deployed, at)
        sent(at)
        at += timedelta(minutes=15)
    assert len(sink.mails) == 2, "it began, it was well again; the rest of the day nothing"
    Daemons(DOWN).look(deployed, at)
    sent(at)
    assert len(sink.mails) == 3


def test_another_probe_that_fails_is_another_thing(deployed, hour, sink) -> None:
    Daemons(DOWN).look(deployed, hour)
    sent(hour)
    later = hour + timedelta(minutes=15)
    Daemons({**DOWN, **RELAY}).look(deployed, later)
    assert len(sent(later)) == 1
    assert "SMTP 25" in read(sink.mails[1][1]).get_content()


def test_what_was_well_in_between_can_be_told_of_another_day(deployed, hour, sink) -> None:
    Daemons({**DOWN, **RELAY}).look(deployed, hour)
    sent(hour)
    Daemons(DOWN).look(deployed, hour + timedelta(minutes=15))
    assert sent(hour + timedelta(minutes=15)) == [], "not all is well"
    later = hour + timedelta(hours=25)
    Daemons({**DOWN, **RELAY}).look(deployed, later)
    assert len(sent(later)) == 1


def test_what_comes_together_is_one_mail(deployed, hour, sink, issue) -> None:
    Daemons(DOWN).look(deployed, hour)
    at = hour + notices.OUT_OF_REACH
    Host.objects.update(state=Host.UNREACHABLE, facts_at=hour, problem="unreachable")
    sent(at)
    assert subjects(sink) == ["2 messages about mail servers"]
    text = read(sink.mails[0][1]).get_content()
    assert "does not answer" in text and "by SSH" in text


def test_not_more_than_one_mail_in_ten_minutes(deployed, hour, sink) -> None:
    Daemons(DOWN).look(deployed, hour)
    sent(hour)
    Daemons({**DOWN, **RELAY}).look(deployed, hour + timedelta(minutes=15))
    HostNotice.objects.update(made_at=hour + timedelta(minutes=14))
    assert sent(hour + timedelta(minutes=15)) == []
    assert len(sent(hour + timedelta(minutes=24))) == 1


def test_everybody_who_can_act_gets_it_in_their_language(
    deployed, hour, sink, viewer, owner
) -> None:
    viewer.email = "viewer@example.test"
    viewer.save()
    Operator.objects.create_user(
        "mei", "mei@example.test", "correct horse 42", role="administrator", language="zh-hant"
    )
    Operator.objects.create_user("nobody", "", "correct horse 42", role="administrator")
    Daemons(DOWN).look(deployed, hour)
    sent(hour)
    assert [to for to, _raw in sink.mails] == [["owner@example.test"], ["mei@example.test"]]
    first, second = (read(raw)["Subject"] for _to, raw in sink.mails)
    assert first != second and "IMAPS 993" in second


def test_a_host_out_of_reach_for_an_hour_is_told_of_and_found_again(
    deployed, now, sink, helper
) -> None:
    helper.refuses = Unreachable("No route to host")
    at = now + timedelta(minutes=15)
    while at < now + timedelta(minutes=70):
        drift.look_again(deployed.pk, clock=lambda: at, transport=helper)  # noqa: B023
        deployed.refresh_from_db()
        if at <= now + timedelta(minutes=15):
            assert deployed.state == Host.READY, "once is not a while"
        sent(at)
        at += timedelta(minutes=15)
    assert deployed.state == Host.UNREACHABLE
    assert subjects(sink) == [f"{deployed.fqdn} does not answer"]
    assert "No route to host" in read(sink.mails[0][1]).get_content()
    helper.refuses = None
    helper.expect("facts", **FACTS)
    drift.look_again(deployed.pk, clock=lambda: at, transport=helper)
    sent(at)
    assert subjects(sink)[1:] == [f"{deployed.fqdn} answers again"]


def failed(host: Host, at) -> None:  # type: ignore[no-untyped-def]
    HostJob.objects.create(
        kind=HostJob.CERTIFICATE,
        host=host,
        state=HostJob.FAILED,
        problem="unreachable",
        problem_detail="No route",
        created_at=at,
        finished_at=at,
    )


def test_a_failed_renewal_is_told_at_first_and_each_day_of_the_last_week(
    deployed, sink, issue
) -> None:
    begins, ends = renewal.begins(deployed.certificate), deployed.certificate.not_after
    at, told = begins, []
    while at < ends:
        at += timedelta(hours=6)
        failed(deployed, at)
        if sent(at):
            told.append((ends - at) / timedelta(days=1))
    assert told[0] > 20, "the first failure"
    assert [round(days) for days in told[1:]] == [7, 6, 5, 4, 3, 2, 1, 0]
    text = read(sink.mails[0][1]).get_content()
    assert "No route" in text and f"{ends:%Y-%m-%d}" in text
    assert subjects(sink)[0] == f"The certificate of {deployed.fqdn} could not be renewed"

    newer = issue()
    newer.not_after = ends + timedelta(days=90)
    newer.save()
    live = deployed.generations.get(state="live")
    live.certificate = newer
    live.save()
    sent(at + timedelta(hours=1))
    assert subjects(sink)[-1] == f"The certificate of {deployed.fqdn} is renewed"


def test_without_a_mail_server_the_overview_says_it(deployed, hour, settings) -> None:
    cache.clear()
    assert settings.MAIL_CONFIGURED is False
    Daemons(DOWN).look(deployed, hour)
    assert notices.collect(at=hour) == [] and not due.troubles_to_tell(hour).exists()
    assert not Alarm.objects.exists(), "once there is one, people are told"
    assert any("IMAPS 993" in need.title for need in overview.look(at=hour).needs)


def test_the_tick_asks_once_a_minute_and_only_when_there_is_something(deployed, hour, sink) -> None:
    assert not due.troubles_to_tell(hour).exists()
    cache.clear()
    Daemons(DOWN).look(deployed, hour)
    assert list(due.troubles_to_tell(hour)) == [deployed]
    assert not due.troubles_to_tell(hour).exists(), "it has just looked"
    cache.clear()
    sent(hour)
    assert not due.troubles_to_tell(hour + timedelta(hours=1)).exists(), "everybody is told"


def test_the_tasks_collect_and_send_once(deployed, now, sink) -> None:
    Daemons(DOWN).look(deployed, now + timedelta(seconds=1))
    tasks.collect_notices(deployed.pk)
    notice = HostNotice.objects.get()
    tasks.send_notice(notice.pk)
    tasks.send_notice(notice.pk)
    notice.refresh_from_db()
    assert notice.sent_at is not None and len(sink.mails) == 1


def test_a_mail_server_that_is_the_broken_host_gets_it_later_and_the_pages_say_so(
    deployed, hour, sink, signed_in
) -> None:
    sink.answer = b"451 4.3.0 try again"
    Daemons(DOWN).look(deployed, hour)
    (notice,) = sent(hour)
    notice.refresh_from_db()
    assert notice.problem == "451 4.3.0 try again" and notice.next_try_at > hour
    assert any("cannot be sent" in need.title for need in overview.look(at=hour).needs)
    page = signed_in.get(reverse("mail_settings")).content.decode()
    assert "451 4.3.0 try again" in page
    sink.answer = b""
    claimed = leases.claim(
        notices.due(notice.next_try_at), notice.pk, worker="test", at=notice.next_try_at
    )
    notices.send(notice=claimed, at=notice.next_try_at)
    assert len(sink.mails) == 1 and notices.problem() == ""


def test_what_is_over_before_it_was_sent_is_not_said(deployed, hour, sink) -> None:
    Daemons(DOWN).look(deployed, hour)
    (notice,) = notices.collect(at=hour)
    Daemons().look(deployed, hour + timedelta(minutes=15))
    claimed = leases.claim(notices.due(hour), notice.pk, worker="test", at=hour)
    notices.send(notice=claimed, at=hour)
    assert sink.mails == [] and not HostNotice.objects.exists()


def test_who_left_gets_none(deployed, hour, sink, owner) -> None:
    Daemons(DOWN).look(deployed, hour)
    (notice,) = notices.collect(at=hour)
    owner.is_active = False
    owner.save()
    claimed = leases.claim(notices.due(hour), notice.pk, worker="test", at=hour)
    notices.send(notice=claimed, at=hour)
    assert sink.mails == [] and not HostNotice.objects.exists()
    assert notices.collect(at=hour + timedelta(days=1)) == [], "nobody is there to be told"
