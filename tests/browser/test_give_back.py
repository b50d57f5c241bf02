"""Giving a server back, in a real browser: what it shows in four dressings, and the way through."""

from typing import Any

import pytest
from django.utils import timezone

from deploy import leaving
from deploy.models import Host, HostJob, HostRollout
from tests.browser.test_axe import DRESSINGS, as_name, examine, open_in
from tests.deploy.test_leaving import LOOK

LOGINS = [
    {"name": "jonas", "by": ["dovecot", "saslauthd"], "shell": "/bin/bash"},
    {"name": "mei@example.test", "by": ["passwd-file"], "shell": ""},
    {"name": "backup", "by": ["dovecot"], "shell": "/bin/sh"},
]


@pytest.fixture
def asked(world: Any) -> Host:
    """A look is there: `jonas` is suspended here, `mei` works, `backup` nobody knows."""
    host, now = world.host, timezone.now()
    HostRollout.objects.open().filter(host=host).update(state=HostRollout.REFUSED)
    job = HostJob.objects.create(
        host=host,
        kind=HostJob.LOOK,
        state=HostJob.DONE,
        found={**LOOK, "logins": LOGINS, "unlisted": ["sql"]},
        created_at=now,
        finished_at=now,
    )
    facts = {**host.facts, "queue": {"count": 3, "held": 1}}
    Host.objects.filter(pk=host.pk).update(facts=facts, facts_at=now)
    assert leaving.seen(host) is not None and job.pk
    host.refresh_from_db()
    return host


@pytest.mark.parametrize("dressing", DRESSINGS)
def test_the_pages(browse, live_server, watch, sign_in, asked, dressing):  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    at, problems = f"/hosts/{asked.pk}", []
    for path in (f"{at}/", f"{at}/give-back/", f"{at}/generations/1/"):
        answer = page.goto(base + path)
        assert answer.status == 200, path
        problems += examine(page, watch, f"give-back-{dressing}/{as_name(path)}")
    page.goto(f"{base}{at}/give-back/")
    page.locator("#id_typed").fill("mail9.example.test")
    page.locator(".btn-danger").click()
    page.locator(".invalid-feedback").wait_for()
    problems += examine(page, watch, f"give-back-{dressing}/refused")
    HostJob.objects.filter(kind=HostJob.LOOK).update(state=HostJob.WAITING, finished_at=None)
    page.goto(f"{base}{at}/give-back/")
    problems += examine(page, watch, f"give-back-{dressing}/looking")
    asked.generations.update(state="kept")
    Host.objects.filter(pk=asked.pk).update(released_at=timezone.now())
    page.goto(f"{base}{at}/")
    problems += examine(page, watch, f"give-back-{dressing}/given-back")
    assert not problems, "\n".join(problems)


def test_the_way_through(browse, live_server, watch, sign_in, asked, world):  # type: ignore[no-untyped-def]
    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    page.goto(f"{base}/hosts/{asked.pk}/")
    page.get_by_role("link", name="Give the server back…").click()
    page.get_by_text("1 login that was closed here would open again").wait_for()
    page.get_by_label("The server's name").fill(asked.fqdn)
    page.get_by_role("button", name="Give it back").click()
    page.get_by_text("Give the server back: Waiting for a worker").wait_for()
    job = HostJob.objects.get(kind=HostJob.RELEASE)
    report = leaving.seen(asked)
    assert report is not None and job.wish["mark"] == report.mark
    assert not watch.problems
