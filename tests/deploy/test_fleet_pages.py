"""Pages of many hosts: choosing them, the plan, the rollout, calling it off, going on."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deploy import fleet, rollout
from deploy.models import Generation, Host, HostRollout, Rollout, RolloutStep
from tests.deploy import drifting
from tests.deploy.test_pages import live

pytestmark = pytest.mark.django_db

PLAN, PUT = reverse("deploy:plan_many"), reverse("deploy:put_many_live")
MC = '<span class="mono">sendmail/sendmail.mc<'
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh-hant"])


def plan_of(hosts: list[Host]) -> str:
    return f"{PLAN}?{urlencode([('host', host.pk) for host in hosts])}"


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content.decode()
    return str(answer.content.decode())


def put(client: Any, hosts: list[Host], **more: object) -> Any:
    keys = [host.pk for host in hosts]
    return client.post(PUT, {"host": keys, "shown": keys, **more})


def page_of(client: Any, made: Rollout, name: str = "rollout", *more: int) -> str:
    return text(client.get(reverse(f"deploy:{name}", args=[made.pk, *more])))


@pytest.fixture
def made(hosts, owner, now) -> Rollout:
    return rollout.request(hosts=hosts, by=owner, at=now, reason="new certificates")


def end(row: HostRollout, state: str, problem: str = "", detail: str = "") -> None:
    """As the worker ends it."""
    row.state, row.problem, row.problem_detail = state, problem, detail
    row.started_at = timezone.now()
    row.finished_at = row.started_at + timedelta(seconds=3.4)
    row.save()
    fleet.after(row, row.finished_at)


# Choosing


def test_hosts_are_ticked_in_the_list(signed_in, hosts) -> None:
    page = text(signed_in.get(reverse("deploy:hosts")))
    assert page.count('name="host"') == 4
    assert f"{PLAN}?all=changes" in page


def test_one_host_alone_is_not_ticked(signed_in, certified) -> None:
    assert 'name="host"' not in text(signed_in.get(reverse("deploy:hosts")))


def test_who_may_not_put_live_ticks_nothing(client, viewer, hosts) -> None:
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert 'name="host"' not in text(client.get(reverse("deploy:hosts")))
    assert "Put live" not in text(client.get(plan_of(hosts)))
    assert put(client, hosts).status_code == 403


def test_a_hundred_hosts_come_in_pages_and_are_found_by_name(signed_in, owner, now) -> None:
    for number in range(101):
        Host.objects.create(fqdn=f"mx{number:03}.example.test", created_at=now)
    page = text(signed_in.get(reverse("deploy:hosts")))
    assert page.count("mx0") and 'rel="next"' in page
    assert len(set(re.findall(r"mx\d{3}\.example", page))) == 50
    found = text(signed_in.get(reverse("deploy:hosts"), {"q": "mx077"}))
    assert len(set(re.findall(r"mx\d{3}\.example", found))) == 1
    assert "Nothing found" in text(signed_in.get(reverse("deploy:hosts"), {"q": "nowhere"}))


def test_the_change_bar_of_several_hosts_leads_to_their_plan(signed_in, hosts) -> None:
    bar = text(signed_in.get(reverse("deploy:change_bar")))
    assert "4 changes not live on 4 hosts" in bar
    assert f'href="{PLAN}?all=changes"' in bar
    assert "What putting 4 hosts live would do" in text(signed_in.get(f"{PLAN}?all=changes"))


def test_what_is_planned_for_later_hides_nothing_else(signed_in, hosts, owner, now) -> None:
    later = now + timedelta(hours=9)
    rollout.request(hosts=hosts[:3], by=owner, at=now, starts_at=later)
    assert "1 change not live on mail4" in text(signed_in.get(reverse("deploy:change_bar")))
    rollout.request(hosts=hosts[3:], by=owner, at=now, starts_at=later)
    bar = text(signed_in.get(reverse("deploy:change_bar")))
    assert "Planned:" in bar and "spinner" not in bar
    assert "planned:" in text(signed_in.get(reverse("deploy:hosts")))


# The plan


@LANGUAGES
def test_the_same_difference_is_shown_once(signed_in, hosts, language) -> None:
    signed_in.cookies["mailadmin_language"] = language
    page = text(signed_in.get(plan_of(hosts)))
    assert page.count(MC) == 1
    assert page.count('name="host"') == 4
    for host in hosts:
        assert host.fqdn in page


def test_another_difference_is_a_group_of_its_own(signed_in, hosts) -> None:
    Host.objects.filter(pk=hosts[3].pk).update(message_size_mb=7)
    page = text(signed_in.get(plan_of(hosts)))
    assert "3 hosts with the same difference" in page
    assert page.count(MC) == 2


def test_a_new_certificate_for_each_is_one_difference(signed_in, hosts, owner, now, issue) -> None:
    for host in hosts:
        live(host, owner, now)
        facts = {**host.facts, "generation": 1, "services": drifting.SERVICES}
        Host.objects.filter(pk=host.pk).update(certificate=issue(host.fqdn), facts=facts)
    page = text(signed_in.get(plan_of(hosts)))
    assert "4 hosts with the same difference" in page
    assert "new certificate, SHA-256" in page
    assert "names and fingerprints are each host" in page


def test_hosts_that_cannot_are_left_out_and_it_is_said_why(signed_in, hosts, owner, now) -> None:
    Host.objects.filter(pk=hosts[0].pk).update(certificate=None)
    Host.objects.filter(pk=hosts[1].pk).update(state=Host.ENROLLING)
    rollout.request(hosts=hosts[2:3], by=owner, at=now)
    page = text(signed_in.get(plan_of(hosts)))
    assert "What putting 1 host live would do" in page
    assert "3 hosts are left out" in page
    for why in ("no certificate yet", "is not connected yet", "being put live, or planned"):
        assert why in page


def test_nothing_to_put_live_is_an_empty_page(signed_in, hosts, owner, now) -> None:
    for host in hosts:
        live(host, owner, now)
        facts = {**host.facts, "generation": 1, "services": drifting.SERVICES}
        Host.objects.filter(pk=host.pk).update(facts=facts)
    page = text(signed_in.get(plan_of(hosts)))
    assert "Nothing to put live" in page and "Nothing differs" in page
    assert "Nothing to put live" in text(signed_in.get(PLAN))


def test_one_chosen_host_has_its_own_plan(signed_in, hosts) -> None:
    answer = signed_in.get(plan_of(hosts[:1]))
    assert answer.url == reverse("deploy:plan", args=[hosts[0].pk])


def test_what_makes_no_sense_is_no_host(signed_in, hosts) -> None:
    assert "Nothing to put live" in text(signed_in.get(f"{PLAN}?host=x&host=-1&host=99999"))
    assert signed_in.get(f"{PLAN}?rest=99999").status_code == 404


def test_the_plan_of_many_costs_few_queries(
    signed_in, hosts, django_assert_max_num_queries
) -> None:
    signed_in.get(plan_of(hosts))
    with django_assert_max_num_queries(9):
        signed_in.get(plan_of(hosts))


# Putting it live


def test_all_of_them_one_first_with_a_reason(signed_in, hosts) -> None:
    answer = put(signed_in, hosts, first=hosts[1].pk, when="now", reason="autumn")
    made = Rollout.objects.get()
    assert answer.url == reverse("deploy:rollout", args=[made.pk])
    assert (made.reason, made.starts_at) == ("autumn", None)
    assert made.hosts.get(turn=0).host == hosts[1]
    assert made.hosts.count() == 4
    assert {row.generation.reason for row in made.hosts.all()} == {"autumn"}


def test_an_unticked_host_stays_as_it_is(signed_in, hosts) -> None:
    keys = [host.pk for host in hosts]
    signed_in.post(PUT, {"host": keys[:2], "shown": keys, "first": keys[0], "when": "now"})
    assert Rollout.objects.get().hosts.count() == 2


def test_at_a_time_as_the_browser_tells_it(signed_in, hosts) -> None:
    moment = timezone.now().replace(microsecond=0) + timedelta(hours=5)
    more = {"when": "later", "starts_at": "2001-01-01T03:00", "moment": moment.isoformat()}
    put(signed_in, hosts, **more)
    assert Rollout.objects.get().starts_at == moment


def test_without_scripts_the_time_is_utc(signed_in, hosts) -> None:
    moment = (timezone.now() + timedelta(hours=5)).replace(second=0, microsecond=0)
    put(signed_in, hosts, when="later", starts_at=f"{moment:%Y-%m-%dT%H:%M}", moment="")
    assert Rollout.objects.get().starts_at == moment


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"when": "later"}, "Choose the date and the time."),
        ({"when": "later", "starts_at": "tonight"}, "Choose the date and the time."),
        ({"when": "later", "starts_at": "2026-13-45T99:99"}, "Choose the date and the time."),
        ({"when": "later", "starts_at": "2001-01-01T03:00"}, "That time is over."),
        ({"when": "later", "starts_at": "2099-01-01T03:00"}, "at most 14 days from now"),
        ({"reason": "x" * 201}, "at most 200 characters"),
    ],
)
def test_refusals_keep_what_was_typed(signed_in, hosts, more, sentence) -> None:
    page = text(put(signed_in, hosts, **{"reason": "autumn", **more}), 422)
    assert sentence in page
    assert page.count('name="host"') == 4 and page.count(" checked") >= 4
    assert more.get("reason", "autumn") in page
    assert not Rollout.objects.exists()


def test_nothing_ticked_is_refused(signed_in, hosts) -> None:
    answer = signed_in.post(PUT, {"shown": [host.pk for host in hosts], "when": "now"})
    assert "Tick at least one host." in text(answer, 422)


def test_what_was_changed_on_a_host_must_be_said(signed_in, hosts, owner, now) -> None:
    for host in hosts:
        drifting.deploy_first(host, owner, now)
        Host.objects.filter(pk=host.pk).update(message_size_mb=7)
    changed = drifting.edit(hosts[0], now)
    page = text(signed_in.get(plan_of(hosts)))
    assert "Overwrite what was changed on mail1.example.test" in page
    assert drifting.CONF in page
    page = text(put(signed_in, hosts), 422)
    assert "On mail1.example.test itself these files were changed" in page
    put(signed_in, hosts, overwrite=[changed.reported().drift_mark])
    row = HostRollout.objects.get(host=changed, state=HostRollout.PLANNED)
    assert list(row.overwrites) == [drifting.CONF]


def test_the_same_change_on_another_host_must_be_said_as_well(signed_in, hosts, owner, now) -> None:
    for host in hosts[:2]:
        drifting.deploy_first(host, owner, now)
        facts = {**Host.objects.get(pk=host.pk).facts, "host": str(host.uuid)}
        Host.objects.filter(pk=host.pk).update(message_size_mb=7, facts=facts)
        host.refresh_from_db()
    first, second = (drifting.edit(host, now) for host in hosts[:2])
    assert first.reported().drifted == second.reported().drifted
    page = text(put(signed_in, hosts[:2], overwrite=[first.reported().drift_mark]), 422)
    assert "On mail2.example.test itself these files were changed" in page


def test_a_plan_of_more_hosts_that_were_changed_asks_no_more_of_the_database(
    signed_in, hosts, owner, now, django_assert_num_queries
) -> None:
    for host in hosts:
        drifting.deploy_first(host, owner, now)
        Host.objects.filter(pk=host.pk).update(message_size_mb=7)
        drifting.edit(host, now)
    text(signed_in.get(plan_of(hosts[:2])))
    with CaptureQueriesContext(connection) as few:
        text(signed_in.get(plan_of(hosts[:2])))
    with django_assert_num_queries(len(few)):
        text(signed_in.get(plan_of(hosts)))


def test_what_nobody_has_read_is_left_out(signed_in, hosts, owner, now) -> None:
    for host in hosts:
        drifting.deploy_first(host, owner, now)
        Host.objects.filter(pk=host.pk).update(message_size_mb=7)
    facts = {**hosts[0].facts, "drift": [drifting.CONF], "drift_marks": {drifting.CONF: "cc" * 32}}
    Host.objects.filter(pk=hosts[0].pk).update(facts=facts)
    page = text(signed_in.get(plan_of(hosts)))
    assert "nobody has read yet what is in them" in page
    assert "What putting 3 hosts live would do" in page


def test_one_host_can_be_planned_too_with_a_reason(signed_in, certified) -> None:
    moment = timezone.now() + timedelta(hours=5)
    url = reverse("deploy:put_live", args=[certified.pk])
    more = {"when": "later", "moment": moment.isoformat(), "reason": "night"}
    page = text(signed_in.post(url, more, follow=True))
    made = Rollout.objects.get()
    assert (made.starts_at, made.reason) == (moment, "night")
    assert "It begins by itself:" in page and "Call it off" in page
    refused = signed_in.post(url, {"when": "later"})
    assert "Choose the date and the time." in text(refused, 422)


# The rollout


@LANGUAGES
def test_every_host_is_a_line(signed_in, made, hosts, language) -> None:
    signed_in.cookies["mailadmin_language"] = language
    page = page_of(signed_in, made)
    assert page.count('<tr class="first">') == 1
    for host in hosts:
        assert host.fqdn in page
    assert "every 1s" in page


def test_the_step_that_goes_on_is_shown(signed_in, made, now) -> None:
    row = made.hosts.get(turn=0)
    HostRollout.objects.filter(pk=row.pk).update(state=HostRollout.VALIDATING)
    RolloutStep.objects.create(host_rollout=row, at=now, phase="validating", name="validate")
    page = page_of(signed_in, made, "rollout_progress")
    assert "Checked on the server" in page
    assert "1 on their way" in page and "3 waiting" in page


def test_a_failure_shows_what_stopped_and_the_way_on(signed_in, made, hosts) -> None:
    first, second, *_rest = made.hosts.order_by("turn", "pk")
    end(first, HostRollout.CONFIRMED)
    end(second, HostRollout.REFUSED, "refused", "unknown setting: quark")
    answer = signed_in.get(reverse("deploy:rollout_progress", args=[made.pk]))
    page = text(answer)
    assert answer["HX-Trigger"] == "changes" and "every 1s" not in page
    assert "It was stopped: a host failed." in page
    assert "unknown setting: quark" in page
    assert "2 hosts were not begun" in page
    assert "4 of 4 hosts have ended" in page
    rest = text(signed_in.get(f"{PLAN}?rest={made.pk}"))
    assert "What putting 2 hosts live would do" in rest
    assert hosts[2].fqdn in rest and hosts[1].fqdn not in rest


def test_a_stopped_host_says_who_failed(signed_in, made, hosts) -> None:
    end(made.hosts.get(turn=0), HostRollout.REFUSED, "refused", "no")
    page = page_of(signed_in, made, "rollout_host", 2)
    assert f"{hosts[0].fqdn} failed first" in page
    assert "Nothing was touched." in page


def test_calling_it_off(signed_in, made) -> None:
    page = page_of(signed_in, made)
    assert "Call it off" in page
    url = reverse("deploy:rollout_cancel", args=[made.pk])
    page = text(signed_in.post(url, follow=True))
    assert "Called off." in page and "It was called off." in page
    assert 'data-dialog="cancel"' not in page
    assert "nothing to call off" in text(signed_in.post(url, follow=True))


def test_what_nobody_began_in_time_was_not_called_off(signed_in, hosts, owner, now) -> None:
    made = rollout.request(hosts=hosts, by=owner, at=now, starts_at=now + timedelta(hours=1))
    end(made.hosts.get(turn=0), HostRollout.REFUSED, "missed")
    page = page_of(signed_in, made)
    assert "No worker was there at the time that was chosen" in page
    assert "called off" not in page and "4 hosts were not begun" in page


def test_each_host_has_its_steps_and_its_receipt(signed_in, made, hosts) -> None:
    row = made.hosts.get(turn=0)
    end(row, HostRollout.CONFIRMED)
    page = page_of(signed_in, made, "rollout_host", 1)
    assert hosts[0].fqdn in page and "is live and proved" in page
    waiting = page_of(signed_in, made, "rollout_host_progress", 3)
    assert hosts[2].fqdn in waiting and "Waiting for its turn" in waiting
    for number in (0, 5):
        url = reverse("deploy:rollout_host", args=[made.pk, number])
        assert signed_in.get(url).status_code == 404


def test_a_rollout_of_many_hosts_comes_in_pages(signed_in, owner, now, monkeypatch, made) -> None:
    monkeypatch.setattr("deploy.views_progress.PAGE", 3)
    page = page_of(signed_in, made)
    assert page.count("deploy_rollout") == 0 and page.count("/hosts/rollouts/") >= 3
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following is not None
    url = reverse("deploy:rollout", args=[made.pk]) + following[1].replace("&amp;", "&")
    last = text(signed_in.get(url))
    assert "mail4.example.test" in last and "mail1.example.test" not in last
    assert reverse("deploy:rollout_host", args=[made.pk, 4]) in last


def test_a_rollout_of_many_hosts_costs_few_queries(
    signed_in, made, django_assert_max_num_queries
) -> None:
    url = reverse("deploy:rollout_progress", args=[made.pk])
    signed_in.get(url)
    with django_assert_max_num_queries(9):
        signed_in.get(url)


@LANGUAGES
def test_all_rollouts_are_listed(signed_in, made, hosts, owner, now, language) -> None:
    signed_in.cookies["mailadmin_language"] = language
    page = text(signed_in.get(reverse("deploy:rollouts")))
    assert "new certificates" in page and hosts[0].fqdn in page
    fleet.cancel(rollout=made, by=owner, at=now)
    rollout.request(hosts=hosts, by=owner, at=now, starts_at=now + timedelta(days=1))
    if language == "en":
        page = text(signed_in.get(reverse("deploy:rollouts")))
        assert "0 of 4 live" in page and "Planned" in page and "and 3 more" in page


def test_no_rollout_yet(signed_in) -> None:
    assert "None yet" in text(signed_in.get(reverse("deploy:rollouts")))


# Generations


def difference(client: Any, host: Host, **given: object) -> str:
    return text(client.get(reverse("deploy:difference", args=[host.pk]), given))


@pytest.fixture
def third(certified, owner, now) -> Host:
    """Three generations; the message size differs, and who made them why."""
    for number, size in enumerate((50, 25, 60)):
        Host.objects.filter(pk=certified.pk).update(message_size_mb=size)
        certified.refresh_from_db()
        Generation.objects.live().filter(host=certified).update(state=Generation.KEPT)
        made = rollout.request(hosts=[certified], by=owner, at=now, reason=f"reason {number}")
        row = made.hosts.get()
        end(row, HostRollout.CONFIRMED)
        Generation.objects.filter(pk=row.generation_id).update(state=Generation.LIVE, live_at=now)
    return certified


def test_the_history_says_who_why_and_what(signed_in, third) -> None:
    page = text(signed_in.get(reverse("deploy:generations", args=[third.pk])))
    assert "reason 2" in page and "owner" in page
    assert page.count("from the one before") == 2


def test_the_difference_from_the_one_before(signed_in, third) -> None:
    page = difference(signed_in, third, to=2)
    assert "From generation 1 to 2" in page
    assert "50 → 25" in page and "sendmail/sendmail.mc" in page
    assert "reason 0" in page and "reason 1" in page


def test_the_difference_between_any_two(signed_in, third) -> None:
    page = difference(signed_in, third, **{"from": 3, "to": 1})
    assert "From generation 3 to 1" in page and "60 → 50" in page
    assert "They are the same" in difference(signed_in, third, **{"from": 2, "to": 2})


@pytest.mark.parametrize("given", [{"to": "x"}, {"to": "99"}, {"from": "-1"}, {"to": "9" * 30}])
def test_a_number_that_is_none_shows_the_newest(signed_in, third, given) -> None:
    assert "From generation 2 to 3" in difference(signed_in, third, **given)


def test_one_generation_has_nothing_to_compare(signed_in, deployed, host) -> None:
    assert "Nothing to compare" in difference(signed_in, deployed)


# Odd input

HUGE = ("9" * 25, "9" * 5000)


@pytest.mark.parametrize("key", HUGE)
def test_a_key_that_no_database_has_given_chooses_nothing(signed_in, hosts, key) -> None:
    assert "Nothing to put live" in text(signed_in.get(PLAN, {"host": key}))
    assert "Nothing to put live" in text(signed_in.get(PLAN, {"rest": key}))
    text(signed_in.post(PUT, {"host": [key], "shown": [key]}), 422)


def test_a_rollout_has_no_host_of_a_huge_number(signed_in, made) -> None:
    for number in (0, 5, 10**25):
        address = reverse("deploy:rollout_host", args=[made.pk, number])
        assert signed_in.get(address).status_code == 404
