"""Many hosts in a real browser: ticked, planned together, followed, called off, gone on with."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from deploy import fleet, rollout
from deploy.models import Generation, Host, HostRollout, Rollout, RolloutStep
from tests.browser.test_axe import DRESSINGS, as_name, examine
from tests.browser.world import connected, issue

LOOKS = {**DRESSINGS, "phone-dark": {"width": 360, "height": 740, "dark": True}}
MANY = 30
PROBLEM = "line 12: unknown setting: mail_plugin_dirs"


@pytest.fixture
def many(world) -> list[Host]:
    """Thirty more hosts: some with another size, one without a certificate, one edited there."""
    now, found = timezone.now(), []
    for number in range(MANY):
        name = (
            f"mx{number:02}.{'branch-office-with-a-long-name.' if number == 3 else ''}example.test"
        )
        row = connected(name, f"198.51.100.{number + 1}", world.owner, now)
        fields = {"message_size_mb": 25 if number % 10 == 9 else 50, "practice": number == 5}
        if number != 7:
            fields["certificate"] = issue(name, world.issuer, world.owner, now).certificate
        Host.objects.filter(pk=row.pk).update(**fields)
        row.refresh_from_db()
        found.append(row)
    return found


def ended(row: HostRollout, state: str, problem: str = "", detail: str = "") -> None:
    row.state, row.problem, row.problem_detail = state, problem, detail
    row.started_at = row.rollout.created_at
    row.finished_at = row.started_at + timedelta(seconds=4 + row.pk % 3)
    with transaction.atomic():
        row.save()
        fleet.after(row, row.finished_at)


def asked(hosts: list[Host], owner, **more) -> Rollout:
    return rollout.request(hosts=hosts, by=owner, at=timezone.now(), **more)


def under_way(made: Rollout) -> Rollout:
    first, *rows = made.hosts.order_by("turn", "pk")
    ended(first, HostRollout.CONFIRMED)
    ended(rows[0], HostRollout.CONFIRMED)
    for place, row in enumerate(rows[1:4]):
        state = (HostRollout.STAGING, HostRollout.VALIDATING, HostRollout.PROBING)[place]
        HostRollout.objects.filter(pk=row.pk).update(
            state=state,
            started_at=made.created_at,
            lease_until=made.created_at + timedelta(hours=1),
        )
        name = ("stage", "validate", "probe.tls.imaps")[place]
        RolloutStep.objects.create(
            host_rollout=row, at=made.created_at, phase=state, name=name, ok=None
        )
    return made


def open_in(browse, live_server, look: str):  # type: ignore[no-untyped-def]
    return browse(**LOOKS[look]), live_server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages(browse, live_server, watch, sign_in, world, many, look) -> None:
    able = [host for host in many if host.certificate_id]
    running = under_way(asked(able[:12], world.owner, reason="autumn certificates"))
    stopped = under_way(asked(able[12:20], world.owner))
    ended(stopped.hosts.get(state="validating"), HostRollout.REFUSED, "refused", PROBLEM)
    later = timezone.now() + timedelta(hours=9)
    planned = asked(able[20:23], world.owner, starts_at=later, reason="night")
    page, base = open_in(browse, live_server, look)
    sign_in(page)
    chosen = "&".join(f"host={host.pk}" for host in many)
    paths = [
        "/hosts/",
        "/hosts/plan/?all=changes",
        f"/hosts/plan/?{chosen}",
        "/hosts/plan/",
        f"/hosts/rollouts/{running.pk}/",
        f"/hosts/rollouts/{stopped.pk}/",
        f"/hosts/rollouts/{stopped.pk}/hosts/8/",
        f"/hosts/rollouts/{planned.pk}/",
        "/hosts/rollouts/",
        f"/hosts/{many[5].pk}/difference/",
        f"/hosts/{many[-1].pk}/plan/",
        f"/hosts/{world.host.pk}/difference/?from=1&to=2",
        f"/hosts/{world.host.pk}/generations/",
    ]
    problems = []
    for number, path in enumerate(paths):
        answer = page.goto(base + path)
        assert answer.status == 200, path
        if path == f"/hosts/plan/?{chosen}":
            page.locator("input[name=when][value=later]").check()
            page.locator("details").evaluate_all(
                "all => all.forEach(each => { each.open = true; })"
            )
        name = as_name(path.partition("?")[0])
        problems += examine(page, watch, f"fleet-{look}/{number:02}-{name}")
    assert not problems, "\n".join(problems)


def test_ticked_planned_called_off_and_gone_on_with(
    browse, live_server, watch, sign_in, world, many
) -> None:
    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    page.goto(f"{base}/hosts/?q=mx0")
    page.get_by_label("Tick all on this page").first.check()
    page.get_by_text("ticked: 10").wait_for()
    page.get_by_label("Tick mx00.example.test").uncheck()
    page.get_by_role("button", name="See what would change…").click()
    page.get_by_role("heading", name="What putting 8 hosts live would do").wait_for()
    page.get_by_text("1 host is left out").wait_for()

    first = page.get_by_label("Goes first")
    assert first.locator("option:checked").inner_text() == "mx05.example.test"
    first.select_option(label="mx02.example.test")
    page.get_by_role("checkbox", name="mx01.example.test").uncheck()
    page.get_by_label("Reason").fill("new certificates")
    assert page.get_by_label("Date and time").is_hidden()
    page.get_by_label("At a time", exact=True).check()
    page.get_by_role("button", name="Put live", exact=True).click()
    page.get_by_text("Choose the date and the time.").wait_for()
    watch.problems[:] = [each for each in watch.problems if "422" not in each]
    assert not page.get_by_role("checkbox", name="mx01.example.test").is_checked()
    assert page.get_by_label("Reason").input_value() == "new certificates"
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    page.get_by_text(f"Your time zone: {zone}").wait_for()
    local = page.evaluate(
        "() => { const now = new Date(); const zone = now.getTimezoneOffset() * 60e3;"
        " return new Date(now.getTime() + 5 * 3600e3 - zone).toISOString().slice(0, 16); }"
    )
    page.get_by_label("Date and time").fill(local)
    page.get_by_role("button", name="Put live", exact=True).click()

    page.get_by_text("It begins by itself:").wait_for()
    made = Rollout.objects.latest("pk")
    assert made.starts_at is not None and made.reason == "new certificates"
    assert abs(made.starts_at - timezone.now() - timedelta(hours=5)) < timedelta(minutes=2)
    assert made.hosts.count() == 7
    assert made.hosts.get(turn=0).host.fqdn == "mx02.example.test"

    page.get_by_role("button", name="Call it off").click()
    page.get_by_role("dialog").get_by_role("button", name="Call it off").click()
    page.get_by_text("7 hosts were not begun and are as they were.").wait_for()
    page.get_by_role("link", name="Go on with the rest…").click()
    page.get_by_role("heading", name="What putting 7 hosts live would do").wait_for()
    page.get_by_role("button", name="Put live", exact=True).click()
    page.get_by_text("0 of 7 hosts have ended").wait_for()
    again = Rollout.objects.latest("pk")
    assert again != made and again.starts_at is None

    ended(again.hosts.get(turn=0), HostRollout.CONFIRMED)
    page.get_by_text("1 of 7 hosts have ended").wait_for()
    second = again.hosts.filter(turn=1).order_by("pk").first()
    assert second is not None
    ended(second, HostRollout.ROLLED_BACK, "probe_failed", "IMAPS 993: connection refused")
    page.get_by_text("It was stopped: a host failed.").wait_for()
    page.get_by_text("connection refused").first.wait_for()
    page.get_by_role("link", name=second.host.fqdn).click()
    page.get_by_text("The configuration from before is live again").wait_for()
    assert not watch.problems


def test_the_bar_of_several_hosts_is_one_click(
    browse, live_server, watch, sign_in, world, many
) -> None:
    HostRollout.objects.open().update(state=HostRollout.REFUSED)
    Generation.objects.filter(state=Generation.STAGED).update(state=Generation.DISCARDED)
    page, base = open_in(browse, live_server, "light")
    sign_in(page)
    page.goto(base + "/")
    page.locator(".change-bar").get_by_role("link", name="Put live…").click()
    page.get_by_role("heading", name="What putting").wait_for()
    assert page.get_by_role("button", name="Put live", exact=True).is_visible()
    assert not watch.problems
