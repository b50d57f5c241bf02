"""Probing on a schedule, against daemons that answer from a list.

What is asked of real daemons is in `tests/live/test_probing.py`.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEvent
from deploy import due, probing, proof, rollout, sentences
from deploy.models import Host, HostJob, HostRollout, Probing
from deploy.probes.values import Result
from deploy.transport import Unreachable
from deploy.views_probing import probing_context
from mailadmin import overview
from tests.deploy.conftest import ScriptedHelper

pytestmark = pytest.mark.django_db
AWAY = Unreachable("no SSH here")
OTHER = "another certificate is served: TLSv1.3, SHA-256 ab"


@dataclass
class Daemons:
    """`bad`: what fails, with its evidence; `once`: the first answer only."""

    bad: dict[tuple[str, str], str] = field(default_factory=dict)
    once: bool = False
    not_after: datetime | None = None
    asked: list[list[tuple[str, str]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    transport: ScriptedHelper = field(default_factory=lambda: ScriptedHelper(refuses=AWAY))

    def prove(self, questions, place, *, beat):
        names = [(each.kind, each.protocol) for each in questions]
        self.asked.append(names)
        bad = {} if self.once and len(self.asked) > 1 else self.bad
        for each in questions:
            said = bad.get((each.kind, each.protocol))
            end = self.not_after if each.kind in ("tls", "starttls") else None
            ok = said is None
            yield Result(each.kind, each.protocol, each.port, ok, said or "fine", not_after=end)

    def look(self, host: Host, at: datetime) -> Probing:
        clock = lambda: at  # noqa: E731
        tools = probing.Tools(self.prove, clock, self.pauses.append, self.transport)
        probing.probe(host.pk, tools)
        return Probing.objects.get(host=host)


@pytest.fixture
def hour(now):
    """After the rollout that the host came from."""
    return now + timedelta(hours=1)


DOWN = {("tls", "imaps"): "[Errno 111] Connection refused"}
SWAPPED = {("tls", "imaps"): OTHER, ("tls", "pop3s"): OTHER}


def actions() -> list[str]:
    events = AuditEvent.objects.filter(action__startswith="deploy.probes").order_by("pk")
    return list(events.values_list("action", flat=True))


def test_every_host_with_something_live_is_due_each_quarter_of_an_hour(deployed, hour) -> None:
    assert list(due.probes(hour)) == [deployed]
    Daemons().look(deployed, hour)
    assert not due.probes(hour + probing.EVERY - timedelta(seconds=1))
    assert list(due.probes(hour + probing.EVERY)) == [deployed]
    Host.objects.update(state=Host.UNREACHABLE)
    assert due.probes(hour + probing.EVERY), "mail may flow where SSH does not"


def test_a_host_with_nothing_live_is_not(certified, owner, hour) -> None:
    assert not due.probes(hour)
    with pytest.raises(proof.NothingLive):
        probing.wish(host=certified, by=owner, at=hour)


def test_without_ssh_all_is_asked_but_what_needs_a_login_made(deployed, hour) -> None:
    daemons = Daemons()
    row = daemons.look(deployed, hour)
    (asked,) = daemons.asked
    kinds = {kind for kind, protocol in asked}
    assert not kinds & {"auth_right", "delivery"}
    assert {
        "weak_tls",
        "tls",
        "starttls",
        "auth_wrong",
        "auth_in_clear",
        "relay",
        "old_tls",
    } <= kinds
    assert (row.at, row.generation, probing.failing(row)) == (hour, 1, [])
    assert actions() == []


def with_a_login() -> ScriptedHelper:
    """The login is made there, and goes again."""
    return ScriptedHelper().expect("accounts", accounts).expect("accounts", accounts)


def accounts(header):
    return [{"event": "result", "through_change": header["through_change"], "lineage": "ab" * 16}]


def kinds_of(daemons: Daemons) -> list[set[str]]:
    return [{kind for kind, _protocol in asked} for asked in daemons.asked]


LOGIN = {"auth_right", "delivery"}


def test_a_login_is_made_four_times_a_day_and_its_answers_are_kept(deployed, hour) -> None:
    daemons = Daemons(transport=with_a_login())
    daemons.look(deployed, hour)
    daemons.transport.done()
    given, gone = (payload.decode() for payload in daemons.transport.payloads)
    assert "mailadmin-probe-due@" in given and '"remove"' in gone
    daemons.transport = ScriptedHelper(refuses=AssertionError("nobody connects"))
    at = hour + probing.EVERY
    row = daemons.look(deployed, at)
    assert [bool(kinds & LOGIN) for kinds in kinds_of(daemons)] == [True, False]
    answers = {each.kind: each for each in probing.answers(row)}
    assert (answers["delivery"].at, answers["relay"].at) == (hour, at)
    daemons.transport = with_a_login()
    row = daemons.look(deployed, hour + probing.SIGN_IN_EVERY)
    assert kinds_of(daemons)[-1] >= LOGIN and row.signed_in_at == hour + probing.SIGN_IN_EVERY


def test_mail_that_does_not_arrive_is_asked_about_until_it_does(deployed, hour) -> None:
    stuck = {("delivery", "submission"): "taken, but not in the inbox after 10 s"}
    Daemons(stuck, transport=with_a_login()).look(deployed, hour)
    away = Daemons().look(deployed, hour + probing.EVERY)
    assert [each.kind for each in probing.failing(away)] == ["delivery"], "nothing says otherwise"
    at = hour + 2 * probing.EVERY
    again = Daemons(transport=with_a_login()).look(deployed, at)
    assert probing.failing(again) == []
    assert actions() == ["deploy.probes.failed", "deploy.probes.well"]
    row = Daemons().look(deployed, at + probing.EVERY)
    generation = deployed.generations.get(state="live")
    generation.number += 1
    probing.note(row, deployed, generation, [], at=at)
    assert probing.answers(row) == [], "what another generation answered is not this one's"


def test_whoever_wants_it_now_wants_all_of_it(deployed, hour, owner) -> None:
    Daemons(transport=with_a_login()).look(deployed, hour)
    probing.wish(host=deployed, by=owner, at=hour + timedelta(minutes=1))
    daemons = Daemons(transport=with_a_login())
    daemons.look(deployed, hour + timedelta(minutes=1))
    assert kinds_of(daemons)[0] >= LOGIN


def test_what_fails_once_is_asked_again_before_it_counts(deployed, hour) -> None:
    daemons = Daemons(DOWN, once=True)
    assert probing.failing(daemons.look(deployed, hour)) == []
    assert daemons.asked[1] == [("tls", "imaps")] and daemons.pauses == [probing.PAUSE]
    assert actions() == []


def test_a_failure_is_told_when_it_begins_and_when_it_ends(deployed, hour) -> None:
    daemons, at = Daemons(DOWN), hour
    for _turn in range(3):
        row = daemons.look(deployed, at)
        at += probing.EVERY
    (bad,) = probing.failing(row)
    assert (bad.protocol, bad.since) == ("imaps", hour), "since the first turn"
    assert len(probing.answers(row)) == len(daemons.asked[0])
    assert actions() == ["deploy.probes.failed"]
    event = AuditEvent.objects.get(action="deploy.probes.failed")
    assert event.detail["failed"] == ["probe.tls.imaps"] and event.subject == deployed.fqdn
    for _turn in range(2):
        Daemons().look(deployed, at)
        at += probing.EVERY
    assert actions() == ["deploy.probes.failed", "deploy.probes.well"]


def test_never_while_a_rollout_runs(deployed, owner, hour, monkeypatch) -> None:
    HostRollout.objects.update(state=HostRollout.SWITCHING, finished_at=None)
    assert not due.probes(hour)
    daemons = Daemons(DOWN)
    tools = probing.Tools(daemons.prove, lambda: hour, daemons.pauses.append, daemons.transport)
    probing.probe(deployed.pk, tools)
    assert daemons.asked == []
    with pytest.raises(rollout.UnderWay):
        probing.wish(host=deployed, by=owner, at=hour)


def test_never_while_a_host_is_given_back(deployed, hour) -> None:
    def begin(seconds: float) -> None:
        HostJob.objects.create(kind=HostJob.RELEASE, host=deployed, created_at=hour)

    refusing = ScriptedHelper(refuses=AWAY)
    tools = probing.Tools(Daemons(DOWN).prove, lambda: hour, begin, refusing)
    probing.probe(deployed.pk, tools)
    assert Probing.objects.get().at is None and actions() == []
    assert not due.probes(hour)
    HostJob.objects.update(state=HostJob.FAILED, finished_at=hour)
    assert list(due.probes(hour)) == [deployed], "it came back"


def test_what_is_planned_for_a_time_of_day_blinds_nobody(deployed, owner, hour) -> None:
    later = timezone.now() + timedelta(days=9)
    made = rollout.request(
        hosts=[deployed], by=owner, at=timezone.now(), starts_at=later, even_if_same=True
    )
    assert list(due.probes(hour)) == [deployed]
    assert list(due.looks(hour)) == [deployed]
    Daemons(DOWN).look(deployed, hour)
    assert actions() == ["deploy.probes.failed"]
    assert not probing_context(deployed, hour)["probes_wait"]
    probing.wish(host=deployed, by=owner, at=hour)
    made.hosts.update(state=HostRollout.STAGING)
    assert not due.probes(hour) and not due.looks(hour)
    assert probing_context(deployed, hour)["probes_wait"]


def test_answers_from_the_middle_of_a_rollout_are_not_kept(deployed, hour) -> None:
    def begin(seconds: float) -> None:
        HostRollout.objects.update(state=HostRollout.SWITCHING, finished_at=None)

    refusing = ScriptedHelper(refuses=AWAY)
    tools = probing.Tools(Daemons(DOWN).prove, lambda: hour, begin, refusing)
    probing.probe(deployed.pk, tools)
    assert Probing.objects.get().at is None and actions() == []
    HostRollout.objects.update(state=HostRollout.CONFIRMED, finished_at=hour)
    assert list(due.probes(hour)) == [deployed], "as soon as it is over"


def test_after_a_rollout_it_is_probed_at_once(deployed, hour) -> None:
    Daemons(DOWN).look(deployed, hour)
    later = hour + timedelta(minutes=1)
    assert not due.probes(later)
    HostRollout.objects.update(finished_at=later)
    assert list(due.probes(later)) == [deployed]


def test_two_workers_ask_once(deployed, hour) -> None:
    daemons = Daemons()
    daemons.look(deployed, hour)
    daemons.look(deployed, hour)
    assert len(daemons.asked) == 1


# Shown


def page(client, host: Host) -> str:
    return str(client.get(reverse("deploy:host", args=[host.pk])).content.decode())


def test_probe_now(signed_in, deployed, now) -> None:
    Daemons().look(deployed, now + timedelta(seconds=1))
    assert "Probe now" in page(signed_in, deployed)
    signed_in.post(reverse("deploy:probe", args=[deployed.pk]))
    assert Probing.objects.get().wanted_at is not None
    shown = page(signed_in, deployed)
    assert "Being probed" in shown and "every 1s" in shown and "Probe now" not in shown
    Daemons().look(deployed, now + timedelta(seconds=2))
    shown = page(signed_in, deployed)
    assert "All as it must be" in shown and "every 1s" not in shown


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_the_page_names_what_fails_and_what_to_do(signed_in, deployed, hour, language) -> None:
    signed_in.cookies["mailadmin_language"] = language
    Daemons(SWAPPED).look(deployed, hour)
    shown = page(signed_in, deployed)
    assert OTHER in shown and "IMAPS 993" in shown
    if language == "en":
        for words in ("serves another certificate than deployed", "Restart Dovecot", "since"):
            assert words in shown, words
    hosts = signed_in.get(reverse("deploy:hosts")).content.decode()
    assert "IMAPS 993" in hosts and f"/hosts/{deployed.pk}/#probes-title" in hosts


@pytest.mark.parametrize(
    ("evidence", "says", "next_step"),
    [
        ("[Errno 111] Connection refused", "IMAPS 993 does not answer", "Dovecot runs"),
        (OTHER, "another certificate than deployed", "Restart Dovecot"),
        ("certificate refused: certificate has expired", "mail programs refuse", "new one"),
        ("* BYE", "no longer so: TLS serves", "put the configuration live again"),
    ],
)
def test_the_overview_says_it(deployed, hour, evidence, says, next_step) -> None:
    Daemons({("tls", "imaps"): evidence, ("tls", "pop3s"): evidence}).look(deployed, hour)
    (need,) = [need for need in overview.look(at=hour).needs if "IMAPS" in need.title]
    assert need.kind == "danger" and need.title.startswith(deployed.fqdn)
    assert says in need.title and next_step in need.text and "1 more probe" in need.text
    Daemons().look(deployed, hour + probing.EVERY)
    assert not [need for need in overview.look(at=hour).needs if "IMAPS" in need.title]


def test_the_end_of_what_is_served_is_shown_and_warned_of(signed_in, deployed, hour) -> None:
    end = hour + timedelta(days=30)
    Daemons(not_after=end).look(deployed, hour)
    assert f"good until {end:%Y-%m-%d}" in " ".join(plain(page(signed_in, deployed)).split())
    assert not needs_of(hour)
    row = Daemons(not_after=end).look(deployed, end - timedelta(days=13))
    assert probing.ends(row) == end
    shown = probing_context(deployed, end - timedelta(days=13))
    assert shown["served_ends_soon"]
    assert "ends soon" in needs_of(end - timedelta(days=13))[0].title, "a newer one waits"
    certificate = deployed.certificate
    certificate.not_after = end
    certificate.save()
    assert not [each for each in needs_of(end - timedelta(days=13)) if "still" in each.title]


def needs_of(at: datetime) -> list[overview.Need]:
    return overview.look(at=at).needs


def plain(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def test_each_port_is_named_once_with_all_that_was_proved(signed_in, deployed, hour) -> None:
    Daemons().look(deployed, hour)
    shown = page(signed_in, deployed)
    section = shown[shown.index('id="probes-title"') :]
    for name in ("SMTP 25", "SMTP 587", "SMTP 465", "IMAP 143", "IMAPS 993", "POP3 110"):
        assert section.count(f"<dt>{name}</dt>") == 1, name


@pytest.mark.parametrize(
    ("evidence", "advice"),
    [
        ("certificate refused: certificate has expired", "ask for a new one"),
        ("certificate refused: Hostname mismatch, certificate is not valid for", "another name"),
        ("certificate refused: unable to get local issuer certificate", "chain"),
        ("certificate refused: something new", "dates and names"),
        ("taken, but not in the inbox after 10 s", "queue"),
    ],
)
def test_why_a_certificate_is_refused_is_told_with_what_to_do(evidence, advice) -> None:
    assert advice in sentences.after_probe_failure("imaps", evidence)


def test_by_api(client, owner, deployed, hour) -> None:
    from tests.mailadmin.test_api import call, secret_of

    secret = secret_of("auditor", "deploy:read")
    path = f"hosts/{deployed.fqdn}/probes"
    never = call(client, path, secret).json()
    assert (never["at"], never["well"], never["probes"]) == (None, None, [])
    Daemons(DOWN).look(deployed, hour)
    said = call(client, path, secret).json()
    first = said["probes"][0]
    assert said["well"] is False and (first["protocol"], first["ok"]) == ("imaps", False)
    assert first["failing_since"] and "refused" in first["evidence"]
    assert said["generation"] == 1 and said["probes"][1]["failing_since"] is None
