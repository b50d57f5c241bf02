"""What was changed on a server, in a real browser: the pages in four dressings, and each way on."""

import pytest
from django.utils import timezone

from deploy import drift
from deploy.models import DriftedFile, Generation, Host, HostRollout
from tests.browser.test_axe import DRESSINGS, as_name, examine, open_in

CF = "/etc/mail/sendmail.cf"
ADDED = "mail_max_userip_connections = 20"


@pytest.fixture
def edited(world) -> Host:
    """Dovecot's file edited in several places, Sendmail's replaced by a package, a key changed."""
    now, host = timezone.now(), world.host
    live = Generation.objects.live().get(host=host)
    folder = f"/var/lib/mailadmin/generations/{live.number}"
    conf = live.bundle().files["dovecot/dovecot23.conf"].decode().replace("@GENERATION@", folder)
    text = conf.replace("auth_failure_delay = 2 secs", "auth_failure_delay = 4 secs")
    text = text.replace("syslog_facility = mail\n", "") + ADDED + "\n"
    old = "".join(f"O Option{number}=True\n" for number in range(80))
    files = [
        {"path": f"{folder}/dovecot/dovecot23.conf", "name": "dovecot/dovecot23.conf",
         "state": "changed", "text": text},
        {"path": CF, "name": "sendmail/sendmail.cf", "state": "replaced", "deployed": old,
         "text": old.replace("True", "False")},
        {"path": f"{folder}/tls/key.pem", "name": "tls/key.pem", "state": "changed",
         "left_out": "key"},
        {"path": "/etc/sasl2/Sendmail.conf", "name": "sendmail/Sendmail.conf",
         "state": "relinked", "target": "/usr/lib/sasl2/Sendmail.conf"},
    ]  # fmt: skip
    files = [
        {**each, "mark": str(n) * 64, "generation": live.number} for n, each in enumerate(files)
    ]
    marks = {each["path"]: each["mark"] for each in files}
    facts = {**host.facts, "generation": live.number, "drift": list(marks), "drift_marks": marks}
    Host.objects.filter(pk=host.pk).update(facts=facts, facts_at=now)
    drift.note(host, files, at=now)
    HostRollout.objects.open().filter(host=host).update(state=HostRollout.REFUSED)
    return host


@pytest.mark.parametrize("dressing", DRESSINGS)
def test_the_pages(browse, live_server, watch, sign_in, edited, world, dressing):
    page, base = open_in(browse, live_server, dressing)
    sign_in(page)
    problems = []
    at = f"/hosts/{edited.pk}"
    for path in ("/hosts/", f"{at}/", f"{at}/drift/", f"{at}/drift/take-over/", f"{at}/plan/"):
        answer = page.goto(base + path)
        assert answer.status == 200, path
        problems += examine(page, watch, f"drift-{dressing}/{as_name(path)}")
    Host.objects.filter(pk=world.broken.pk).update(facts_at=timezone.now())
    page.goto(f"{base}/hosts/{world.broken.pk}/drift/")
    problems += examine(page, watch, f"drift-{dressing}/empty")
    assert not problems, "\n".join(problems)


def test_left_taken_over_and_overwritten(browse, live_server, watch, sign_in, edited):
    page, base = open_in(browse, live_server, "phone")
    sign_in(page)
    page.goto(f"{base}/hosts/{edited.pk}/")
    page.get_by_role("link", name="See what was changed").click()
    page.get_by_role("button", name=f"Leave as it is {CF}").click()
    page.get_by_text("It stays as it is.").wait_for()
    assert DriftedFile.objects.get(path=CF).choice == DriftedFile.LEFT

    page.get_by_role("link", name="Take over…").click()
    lines = page.get_by_label("Dovecot, own lines")
    assert ADDED in lines.input_value()
    page.get_by_role("button", name="Take over").click()
    page.get_by_text("Put it live when you are ready.").wait_for()
    assert ADDED in Host.objects.get(pk=edited.pk).snippet_dovecot

    page.get_by_role("link", name="Overwrite: see the plan").click()
    page.get_by_role("button", name="Overwrite and put live").click()
    page.get_by_role("dialog").get_by_role("button", name="Overwrite and put live").click()
    page.get_by_text("Waiting for a worker").first.wait_for()
    row = HostRollout.objects.get(host=edited, state=HostRollout.PLANNED)
    assert row.overwrites[CF] == "1" * 64
    assert not watch.problems
