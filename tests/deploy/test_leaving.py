"""Giving a host back: looked at first, done by a job that survives its worker, named everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import domains, lifecycle
from accounts.models import Mailbox
from core.models import AuditEvent
from deploy import changes, going_back, jobs, leaving, notices, probing, rollout, turns
from deploy.bundle import Bundle
from deploy.models import (
    AccountPush,
    Alarm,
    Generation,
    Host,
    HostJob,
    HostNotice,
    HostRollout,
    Probing,
)
from deploy.probes.values import Result
from deploy.transport import Broken
from tests.deploy.conftest import FACTS, ScriptedHelper, current, refusal

pytestmark = pytest.mark.django_db
LOOK = {
    "generation": 1,
    "mta": "sendmail",
    "files": {"/etc/mail/sendmail.cf": "file", "/etc/sasl2/Sendmail.conf": "absent"},
    "services": {
        "bridge": {"running": True, "before": False},
        "dovecot": {"running": True, "before": True},
        "sendmail": {"running": True, "before": True},
    },
    "ports": [25],
    "domains": 2,
    "unknown": ["example.test"],
    "unknown_count": 1,
    "queue": {"count": 3, "held": 0, "oldest": 1795487030, "domains": 1, "by_domain": []},
    "to_hold": {
        "count": 2, "held": 0, "oldest": 1795487030, "domains": 1,
        "by_domain": [["example.test", 2]],
    },
    "logins": [
        {"name": "backup", "by": ["dovecot"], "shell": "/bin/sh"},
        {"name": "erin@example.test", "by": ["passwd-file"], "shell": ""},
        {"name": "test", "by": ["dovecot", "saslauthd"], "shell": "/bin/bash"},
    ],
    "more": 0,
    "unlisted": [],
}  # fmt: skip
ON_1 = {**FACTS, "generation": 1}
WAITS = {**FACTS, "generation": 0, "pending": {"generation": 0, "deadline": 90}}
GONE = {**FACTS, "generation": 0}


@pytest.fixture
def accounts(deployed: Host, owner: Any, now: datetime) -> dict[str, Mailbox]:
    """`test` is suspended, `erin` works."""
    domain = domains.create(name="example.test", host=str(deployed.uuid), by=owner, at=now)
    made = {
        name: lifecycle.create(
            domain=domain,
            local_part=name,
            password="larch umbrella 91 cobalt",
            name_reason="of the story",
            by=owner,
            at=now,
        )
        for name in ("test", "erin")
    }
    lifecycle.suspend(mailbox=made["test"], reason="spam", by=owner, at=now)
    return made


@pytest.fixture
def looked(deployed: Host, helper: ScriptedHelper, owner: Any) -> leaving.Report:
    return look(deployed, helper, owner)


def look(
    host: Host, helper: ScriptedHelper, owner: Any, answer: Mapping[str, Any] = LOOK
) -> leaving.Report:
    job = leaving.ask(host=host, by=owner, at=timezone.now(), anew=True)
    assert job is not None
    helper.expect("release", **answer)
    turns.run(job.pk, turns.Tools(transport=helper))
    assert helper.seen[-1]["look"] is True and "sequence" not in helper.seen[-1]
    report = leaving.seen(host)
    assert report is not None
    return report


def asked(host: Host, owner: Any, report: leaving.Report) -> HostJob:
    return leaving.give_back(
        host=host, typed=host.fqdn, mark=report.mark, by=owner, at=timezone.now()
    )


def run(job: HostJob, helper: ScriptedHelper) -> HostJob:
    turns.run(job.pk, turns.Tools(transport=helper))
    job.refresh_from_db()
    return job


def leaves(helper: ScriptedHelper, look: Mapping[str, Any] = LOOK) -> ScriptedHelper:
    step = {"event": "step", "name": "switch.hold", "ok": True, "detail": "2 messages", "ms": 9}
    helper.expect("facts", **ON_1).expect("release", **look)
    return helper.expect("release", [step, {"event": "result", "generation": 0, "services": {}}])


def ends(helper: ScriptedHelper) -> ScriptedHelper:
    helper.expect("queue", count=3, held=2, oldest=None, domains=1, by_domain=[])
    return helper.expect("facts", **GONE)


# Looking


def test_a_look_names_logins_with_what_they_are_here(
    accounts: dict[str, Mailbox], looked: leaving.Report
) -> None:
    assert [login.name for login in looked.reviving] == ["test"]
    assert [row.address for row in looked.reviving[0].closed] == ["test@example.test"]
    assert {login.name: len(login.mailboxes) for login in looked.others} == {
        "backup": 0, "erin@example.test": 1,
    }  # fmt: skip
    assert (looked.unknown, looked.to_hold, looked.queued) == (("example.test",), 2, 3)
    assert looked.stops == ("bridge",)


def test_a_name_that_no_database_takes_is_shown_all_the_same(
    deployed: Host, owner: Any, helper: ScriptedHelper
) -> None:
    logins = [{"name": "a\0b", "by": ["passwd-file"], "shell": ""}]
    report = look(deployed, helper, owner, {**LOOK, "logins": logins})
    assert [login.name for login in report.logins] == ["a\N{REPLACEMENT CHARACTER}b"]


def test_an_erased_account_revives_as_well(
    accounts: dict[str, Mailbox], looked: leaving.Report, deployed: Host
) -> None:
    Mailbox.objects.filter(local_part="erin").update(state="erased")
    report = leaving.seen(deployed)
    assert report is not None
    assert [login.name for login in report.reviving] == ["erin@example.test", "test"]


def test_another_hosts_account_of_the_same_name_is_not_meant(
    accounts: dict[str, Mailbox], looked: leaving.Report, deployed: Host, owner: Any, now: datetime
) -> None:
    domain = accounts["test"].domain
    domains.assign_host(domain=domain, host="", by=owner, at=now)
    report = leaving.seen(deployed)
    assert report is not None and report.reviving == ()


def test_a_look_of_just_now_is_not_repeated(
    deployed: Host, owner: Any, looked: leaving.Report, now: datetime
) -> None:
    assert leaving.ask(host=deployed, by=owner, at=timezone.now()) is None
    later = timezone.now() + leaving.FRESH + timedelta(seconds=1)
    assert leaving.ask(host=deployed, by=owner, at=later) is not None
    assert leaving.ask(host=deployed, by=owner, at=later, anew=True) is None, "it is under way"


def test_where_nothing_is_live_there_is_nothing_to_look_at(certified: Host, owner: Any) -> None:
    with pytest.raises(leaving.NothingLive):
        leaving.ask(host=certified, by=owner, at=timezone.now())


# Asking for it


def test_it_takes_the_hosts_name_and_what_was_seen(
    deployed: Host, owner: Any, looked: leaving.Report
) -> None:
    def ask(typed: str, mark: str) -> HostJob:
        return leaving.give_back(host=deployed, typed=typed, mark=mark, by=owner, at=timezone.now())

    with pytest.raises(leaving.WrongName):
        ask("mail2.example.test", looked.mark)
    with pytest.raises(leaving.NotSeen):
        ask(deployed.fqdn, "0" * 64)
    job = ask(f" {deployed.fqdn.upper()}. ", looked.mark)
    assert job.kind == HostJob.RELEASE
    event = AuditEvent.objects.get(action="deploy.host.release_requested")
    assert event.detail["to_hold"] == 2
    with pytest.raises(rollout.UnderWay):
        ask(deployed.fqdn, looked.mark)


def test_nobody_gives_back_what_nobody_looked_at(deployed: Host, owner: Any) -> None:
    with pytest.raises(leaving.NotSeen):
        leaving.give_back(host=deployed, typed=deployed.fqdn, mark="", by=owner, at=timezone.now())


def test_a_rollout_and_giving_back_wait_for_each_other(
    deployed: Host, owner: Any, looked: leaving.Report
) -> None:
    made = rollout.request(hosts=[deployed], by=owner, at=timezone.now(), even_if_same=True)
    with pytest.raises(rollout.UnderWay):
        asked(deployed, owner, looked)
    HostRollout.objects.filter(rollout=made).update(state=HostRollout.REFUSED)
    asked(deployed, owner, looked)
    with pytest.raises(rollout.UnderWay):
        rollout.request(hosts=[deployed], by=owner, at=timezone.now(), even_if_same=True)


def test_a_host_that_is_given_back_meanwhile_gets_no_rollout(
    deployed: Host, owner: Any, looked: leaving.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Generation.pack

    def slowly(bundle: Bundle) -> bytes:
        asked(deployed, owner, looked)
        return pack(bundle)

    monkeypatch.setattr(Generation, "pack", staticmethod(slowly))
    with pytest.raises(rollout.UnderWay):
        rollout.request(hosts=[deployed], by=owner, at=timezone.now(), even_if_same=True)
    assert not HostRollout.objects.open().exists()


# Doing it


def test_given_back(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    current(deployed)
    job = asked(deployed, owner, looked)
    leaves(helper).expect("facts", **WAITS).expect("confirm", outcome="confirmed")
    run(job, ends(helper))
    helper.done()
    assert (job.state, job.problem_detail) == (HostJob.DONE, "")
    release, confirm = (helper.seen[n] for n in (3, 5))
    assert (release["base"], release["deadline"], confirm["generation"]) == (1, 120, 0)
    deployed.refresh_from_db()
    assert deployed.released_at is not None and leaving.held(deployed) == 2
    assert rollout.live_generation(deployed) is None
    assert [row.state for row in Generation.objects.filter(host=deployed)] == [Generation.KEPT]
    assert AccountPush.objects.get(host=deployed).state == AccountPush.IDLE
    assert deployed.reported().generation == 0
    assert changes.pending() == [], "nobody is asked to put it live"
    assert AuditEvent.objects.filter(action="deploy.host.released").count() == 1


def test_a_probe_that_failed_before_is_not_told_of_any_more(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report, now: datetime
) -> None:
    failed = Result("tls", "imaps", 993, False, "[Errno 111] Connection refused")
    row = Probing.objects.create(host=deployed)
    generation = Generation.objects.get(host=deployed)
    probing.note(row, deployed, generation, [failed], at=now)
    alarm = Alarm.objects.create(
        host=deployed, kind=Alarm.PROBES, standing=["probe.tls.imaps"], is_open=True
    )
    helper.expect("facts", **GONE)
    run(asked(deployed, owner, looked), ends(helper))
    assert probing.failing_on([deployed]) == {}
    assert notices.things_of(timezone.now()) == {}
    notice = HostNotice(operator=owner, alarms=[{"alarm": alarm.pk, "well": True}])
    assert notices.compose(notice, at=timezone.now()) is None, "it is not well: nobody asks"


def test_what_is_different_from_what_was_seen_stops_it(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    job = asked(deployed, owner, looked)
    logins = [*LOOK["logins"], {"name": "mallory", "by": ["dovecot"], "shell": ""}]  # type: ignore[misc]
    helper.expect("facts", **ON_1).expect("release", **{**LOOK, "logins": logins})
    run(job, helper)
    helper.done()
    assert (job.state, job.problem) == (HostJob.FAILED, "other_than_seen")
    assert rollout.live_generation(deployed) is not None


def test_a_longer_queue_does_not_stop_it(deployed: Host, looked: leaving.Report) -> None:
    longer = {**LOOK, "queue": {"count": 9}, "to_hold": {"count": 8}}
    assert leaving.mark_of(deployed, longer) == looked.mark


def test_the_probes_domain_is_nobodys_business(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    own = f"probe.{deployed.fqdn}"
    with_it = {**LOOK, "unknown": ["example.test", own], "unknown_count": 2}
    report = look(deployed, helper, owner, with_it)
    assert (report.unknown, report.unknown_more) == (("example.test",), 0)
    assert report.mark == looked.mark


@pytest.mark.parametrize(
    ("outcome", "problem"), [("rolled_back", "not_given_back"), ("rollback_failed", "rollback")]
)
def test_a_daemon_that_does_not_come_back(
    deployed: Host,
    owner: Any,
    helper: ScriptedHelper,
    looked: leaving.Report,
    outcome: str,
    problem: str,
) -> None:
    job = asked(deployed, owner, looked)
    helper.expect("facts", **ON_1).expect("release", **LOOK)
    helper.expect("release", refusal(outcome, "Sendmail did not start.", outcome=outcome))
    run(job, helper)
    assert (job.problem, job.problem_detail) == (problem, "Sendmail did not start.")
    assert rollout.live_generation(deployed) is not None


def test_a_second_worker_confirms_what_the_first_began(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    job = asked(deployed, owner, looked)
    helper.expect("facts", **WAITS).expect("confirm", outcome="confirmed")
    assert run(job, ends(helper)).state == HostJob.DONE
    helper.done()


def test_a_second_worker_finds_it_done(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    job = asked(deployed, owner, looked)
    helper.expect("facts", **GONE)
    assert run(job, ends(helper)).state == HostJob.DONE
    helper.done()


def test_a_worker_that_died_after_it_was_noted_is_followed_without_noting_it_again(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    job = asked(deployed, owner, looked)
    for _worker in range(2):
        helper.expect("facts", **GONE)
        assert run(job, ends(helper)).state == HostJob.DONE
        HostJob.objects.filter(pk=job.pk).update(state=HostJob.RUNNING)
    assert AuditEvent.objects.filter(action="deploy.host.released").count() == 1


@pytest.mark.parametrize("late", ["facts", "confirm"])
def test_too_late_the_host_is_the_consoles_again(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report, late: str
) -> None:
    job = asked(deployed, owner, looked)
    leaves(helper)
    if late == "facts":
        helper.expect("facts", **ON_1)
    else:
        helper.expect("facts", **WAITS).expect("confirm", refusal("too_late"))
    run(job, helper)
    helper.done()
    assert job.problem == "came_back"
    deployed.refresh_from_db()
    assert deployed.released_at is None and rollout.live_generation(deployed) is not None


def test_a_lost_connection_is_said_and_can_be_tried_again(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report
) -> None:
    job = asked(deployed, owner, looked)
    helper.expect("facts", **ON_1).expect("release", Broken("gone"))
    assert run(job, helper).problem == "broken"
    again = asked(deployed, owner, looked)
    helper.expect("facts", **WAITS).expect("confirm", outcome="confirmed")
    assert run(again, ends(helper)).state == HostJob.DONE


# Going back to a generation


@pytest.fixture
def kept(deployed: Host, owner: Any, now: datetime) -> Generation:
    row = Generation.objects.get(host=deployed)
    Generation.objects.filter(pk=row.pk).update(state=Generation.KEPT)
    row.refresh_from_db()
    return row


def test_a_revoked_certificate_is_served_only_when_somebody_insists(
    kept: Generation, owner: Any, now: datetime
) -> None:
    from ca import revocation

    assert going_back.objection(kept, now) is None
    assert kept.certificate is not None
    revocation.revoke(certificate=kept.certificate, reason="keyCompromise", by=owner, at=now)
    kept.refresh_from_db()
    with pytest.raises(going_back.BadCertificate) as refused:
        rollout.request(hosts=[kept.host], to=kept, by=owner, at=now)
    assert "revoked" in refused.value.sentence and refused.value.may_insist
    assert rollout.request(
        hosts=[kept.host], to=kept, by=owner, at=now, despite_certificate=True
    ).hosts.exists()


def test_one_that_ended_is_not_served_again(kept: Generation, owner: Any) -> None:
    assert kept.certificate is not None
    later = kept.certificate.not_after + timedelta(seconds=1)
    with pytest.raises(going_back.BadCertificate) as refused:
        rollout.request(hosts=[kept.host], to=kept, by=owner, at=later, despite_certificate=True)
    assert "ended" in refused.value.sentence


# Pages and the API


def signed_in(client: Client, operator: Any) -> Client:
    from tests.mailadmin.walking import signed_in as walked

    return walked(operator)


def test_the_page_looks_shows_and_gives_back(
    deployed: Host,
    accounts: dict[str, Mailbox],
    owner: Any,
    helper: ScriptedHelper,
    client: Client,
) -> None:
    client = signed_in(client, owner)
    page = f"/hosts/{deployed.pk}/give-back/"
    first = client.get(page).content.decode()
    assert "hx-get" in first and 'name="typed"' not in first
    job = deployed.jobs.get(kind=HostJob.LOOK)
    helper.expect("release", **LOOK)
    turns.run(job.pk, turns.Tools(transport=helper))
    shown = client.get(f"{page}progress/").content.decode()
    assert "hx-get" not in shown and "test@example.test" in shown and "Suspended" in shown
    report = leaving.seen(deployed)
    assert report is not None and report.mark in shown

    wrong = client.post(page, {"typed": "no", "mark": report.mark})
    assert wrong.status_code == 200 and "invalid-feedback" in wrong.content.decode()
    assert not deployed.jobs.filter(kind=HostJob.RELEASE).exists()
    right = client.post(page, {"typed": deployed.fqdn, "mark": report.mark})
    assert right["Location"] == f"/hosts/{deployed.pk}/"
    assert deployed.jobs.filter(kind=HostJob.RELEASE).count() == 1


def test_what_changed_since_is_shown_again_before_it_is_done(
    deployed: Host, owner: Any, helper: ScriptedHelper, looked: leaving.Report, client: Client
) -> None:
    client = signed_in(client, owner)
    look(deployed, helper, owner, {**LOOK, "unknown": ["example.test", "more.test"]})
    page = f"/hosts/{deployed.pk}/give-back/"
    answer = client.post(page, {"typed": deployed.fqdn, "mark": looked.mark}).content.decode()
    assert not deployed.jobs.filter(kind=HostJob.RELEASE).exists()
    newest = leaving.seen(deployed)
    assert newest is not None and newest.mark in answer and looked.mark not in answer


def test_the_page_of_a_host_given_back(deployed: Host, owner: Any, client: Client) -> None:
    client = signed_in(client, owner)
    page = f"/hosts/{deployed.pk}/"
    assert "give-back" in client.get(page).content.decode()
    Generation.objects.filter(host=deployed).update(state=Generation.KEPT)
    Host.objects.filter(pk=deployed.pk).update(released_at=timezone.now())
    shown = client.get(page).content.decode()
    assert "Given back" in shown and "put-live" in shown and "/give-back/" not in shown
    elsewhere = client.get(f"{page}give-back/", follow=True).content.decode()
    assert "nothing to give back" in elsewhere


def test_the_page_of_a_generation_names_a_revoked_certificate(
    kept: Generation, owner: Any, now: datetime, client: Client
) -> None:
    from ca import revocation

    assert kept.certificate is not None
    revocation.revoke(certificate=kept.certificate, reason="keyCompromise", by=owner, at=now)
    client = signed_in(client, owner)
    page = f"/hosts/{kept.host_id}/generations/{kept.number}/"
    shown = client.get(page).content.decode()
    assert "was revoked on" in shown and 'name="insist"' in shown
    client.post(f"{page}back/")
    assert not HostRollout.objects.open().exists()
    client.post(f"{page}back/", {"insist": "on"})
    assert HostRollout.objects.open().count() == 1


def test_the_api(
    deployed: Host, owner: Any, helper: ScriptedHelper, accounts: dict[str, Mailbox]
) -> None:
    from tests.mailadmin.walking import with_token

    api = with_token(owner)
    path = f"/api/v1/hosts/{deployed.fqdn}/release"
    first = api.get(path).json()
    assert (first["mark"], first["job"]["state"]) == ("", "waiting")
    job = deployed.jobs.get(kind=HostJob.LOOK)
    helper.expect("release", **LOOK)
    turns.run(job.pk, turns.Tools(transport=helper))
    found = api.get(path).json()
    assert found["unknown_domains"] == ["example.test"] and found["to_hold"] == 2
    assert [each["name"] for each in found["logins"] if each["closed_here"]] == ["test"]

    def post(**body: Any) -> Any:
        return api.post(path, body, content_type="application/json")

    assert post(typed="x", mark=found["mark"]).status_code == 422
    assert post(typed=deployed.fqdn, mark="0" * 64).status_code == 409
    accepted = post(typed=deployed.fqdn, mark=found["mark"])
    assert accepted.status_code == 202 and accepted.json()["job"]["kind"] == "release"


def test_turns_know_both_jobs() -> None:
    assert jobs.TASK == "deploy.host_job"
    assert {HostJob.LOOK, HostJob.RELEASE} <= set(turns.TURNS)
