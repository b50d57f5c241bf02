"""What was changed on a host: shown, taken over, left, never overwritten unseen.

The host's side is in `tests/hostctl/test_drifted.py`, all of it together in `tests/live`.
"""

import json
from datetime import timedelta

import pytest
from django.urls import reverse

from core.models import AuditEvent
from deploy import carriage, comparing, configure, drift, rollout, snapshot, turns
from deploy.hostctl import paths
from deploy.models import DriftedFile, Generation, Host, HostJob, HostRollout
from deploy.render import lines
from deploy.transport import Unreachable
from tests.deploy.conftest import FACTS, ScriptedHelper, current, refusal
from tests.deploy.test_api import NAME, READ, WRITE, call
from tests.deploy.test_pages import live, sign_in_again

pytestmark = pytest.mark.django_db

FOLDER = f"{paths.STATE}/generations/1"
CONF = f"{FOLDER}/dovecot/dovecot23.conf"
CF = "/etc/mail/sendmail.cf"
SERVICES = {name: {"running": True} for name in ("sendmail", "dovecot", "bridge")}


@pytest.fixture
def deployed(certified, owner, now) -> Host:
    """Generation 1 is live there; nothing was changed."""
    current(certified)
    live(certified, owner, now)
    Host.objects.filter(pk=certified.pk).update(
        facts={**FACTS, "generation": 1, "services": SERVICES}
    )
    certified.refresh_from_db()
    return certified


def text_of(host: Host, name: str) -> str:
    content = Generation.objects.live().get(host=host).bundle().files[name].decode()
    return content.replace("@GENERATION@", FOLDER)


def file(path: str, name: str, state: str = "changed", mark: str = "aa" * 32, **more: object):
    return {"path": path, "name": name, "state": state, "mark": mark, "target": "", **more}


def drifts(host: Host, *files, now, generation: int = 1) -> Host:
    """As if the host had just told of them."""
    marks = {each["path"]: each["mark"] for each in files}
    facts = {**host.facts, "drift": sorted(marks), "drift_marks": marks}
    Host.objects.filter(pk=host.pk).update(facts=facts, facts_at=now)
    drift.note(host, [{**each, "generation": generation} for each in files], at=now)
    host.refresh_from_db()
    return host


@pytest.fixture
def changed(deployed, now) -> Host:
    """Somebody edited dovecot.conf: a setting more, one different, one taken out."""
    text = text_of(deployed, "dovecot/dovecot23.conf")
    text = text.replace("auth_failure_delay = 2 secs", "auth_failure_delay = 4 secs")
    text = text.replace("syslog_facility = mail\n", "")
    text += f"mail_max_userip_connections = 20\nssl_dh = <{FOLDER}/tls/dh.pem\n"
    return drifts(deployed, file(CONF, "dovecot/dovecot23.conf", text=text), now=now)


def page(client, host: Host, name: str = "drift") -> str:
    response = client.get(reverse(f"deploy:{name}", args=[host.pk]))
    assert response.status_code == 200
    return str(response.content.decode())


# Shown


def test_nothing_was_changed(signed_in, deployed) -> None:
    assert "Nothing was changed there" in page(signed_in, deployed)
    assert "See what was changed" not in page(signed_in, deployed, "host")


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_a_changed_file_is_shown_with_its_difference(signed_in, changed, language) -> None:
    signed_in.cookies["mailadmin_language"] = language
    shown = page(signed_in, changed)
    for line in ("+auth_failure_delay = 4 secs", "-syslog_facility = mail", CONF):
        assert line in shown


def test_what_cannot_be_taken_over_is_said(signed_in, changed) -> None:
    shown = page(signed_in, changed)
    assert '<code class="break">syslog_facility = mail</code>' in shown
    assert "own lines can only add or override" in shown


def test_the_page_asks_the_host_once(signed_in, changed, now) -> None:
    page(signed_in, changed)
    assert not HostJob.objects.exists(), "it was asked just now"
    Host.objects.update(facts_at=now - timedelta(minutes=1))
    assert "every 1s" in page(signed_in, changed)
    page(signed_in, changed)
    assert HostJob.objects.get().kind == HostJob.CHECK
    progress = page(signed_in, changed, "drift_progress")
    assert "The server is being asked" in progress


def test_what_is_named_and_not_yet_read_is_asked_for_at_once(signed_in, changed, now) -> None:
    Host.objects.update(facts={**changed.facts, "drift_marks": {CONF: "bb" * 32}}, facts_at=now)
    page(signed_in, changed)
    assert HostJob.objects.get().kind == HostJob.CHECK


def test_a_host_that_does_not_answer_is_said(signed_in, changed, now, helper) -> None:
    Host.objects.update(facts_at=now - timedelta(minutes=1))
    page(signed_in, changed)
    helper.refuses = Unreachable("no route")
    turns.run(HostJob.objects.get().pk, turns.Tools(transport=helper))
    Host.objects.update(facts_at=now)
    shown = page(signed_in, changed)
    assert "no route" in shown and "Below is what it said last" in shown


def test_a_long_difference_is_folded(signed_in, deployed, now) -> None:
    text = text_of(deployed, "dovecot/dovecot23.conf")
    short = file(CONF, "dovecot/dovecot23.conf", text=text + "a = b\n")
    assert "<details open>" in page(signed_in, drifts(deployed, short, now=now))
    lines = "".join(f"# {number}\n" for number in range(100))
    long = file(CONF, "dovecot/dovecot23.conf", text=text + lines, mark="bb" * 32)
    assert "<details open>" not in page(signed_in, drifts(deployed, long, now=now))


def test_every_kind_of_change_has_its_words(signed_in, deployed, now) -> None:
    drifts(
        deployed,
        file(CF, paths.BUILT_CF, "replaced", text="Debian's\n", deployed="ours\n"),
        file("/etc/sasl2/Sendmail.conf", "sendmail/Sendmail.conf", "relinked", target="/x/y"),
        file(f"{FOLDER}/tls/key.pem", paths.KEY_FILE, left_out="key"),
        file(f"{FOLDER}/tls/ca.pem", "tls/ca.pem", "missing"),
        file(f"{FOLDER}/sendmail/sendmail.mc", "sendmail/sendmail.mc", left_out="size"),
        file(f"{FOLDER}/dovecot/dovecot24.conf", "dovecot/dovecot24.conf", text="mine"),
        now=now,
    )
    shown = page(signed_in, deployed)
    for words in (
        "A file in place of the console",
        "-ours",
        "+Debian",
        "cannot be turned back into m4",
        "/x/y",
        "holds a private key",
        "Missing",
        "-SHA-256",
        "too large to be shown",
        "does not read this file",
    ):
        assert words in shown, words
    assert "Take over…" not in shown


def test_a_replaced_dovecot_conf_is_compared_with_what_was_read(deployed, now) -> None:
    text = text_of(deployed, "dovecot/dovecot23.conf") + "mail_debug = yes\n"
    drifts(
        deployed,
        file("/etc/dovecot/dovecot.conf", paths.DOVECOT_LINK, "replaced", text=text),
        now=now,
    )
    (shown,) = comparing.shown(deployed, rollout.live_generation(deployed))
    assert shown.adopted is not None and shown.adopted.text == "mail_debug = yes\n"


def test_a_file_of_a_generation_that_the_console_does_not_know(deployed, now) -> None:
    drifts(deployed, file(CONF, "dovecot/dovecot23.conf", text="x"), now=now, generation=9)
    (shown,) = comparing.shown(deployed, rollout.live_generation(deployed))
    assert (shown.diff, shown.adopted) == ("", None)


def test_an_older_helper_names_them_and_no_more(signed_in, deployed, helper, now) -> None:
    facts = {**deployed.facts, "drift": [CF]}
    helper.expect("facts", **facts).expect("drift", refusal("unknown_verb"))
    job = drift.ask(host=deployed, by=None, at=now + timedelta(minutes=5))
    turns.run(job.pk, turns.Tools(transport=helper))
    helper.done()
    assert "too old to show it" in page(signed_in, deployed)


# Asking


def test_a_check_brings_what_is_in_them(deployed, helper, now) -> None:
    text = "before\0\ud800after"
    helper.expect("facts", **{**deployed.facts, "drift": [CF], "drift_marks": {CF: "ab"}})
    told = {**file(CF, paths.BUILT_CF, mark="ab", text=text), "left_out": ""}
    helper.expect("drift", generation=1, files=[told])
    job = drift.ask(host=deployed, by=None, at=now + timedelta(minutes=5))
    turns.run(job.pk, turns.Tools(transport=helper))
    helper.done()
    row = DriftedFile.objects.get()
    assert (row.path, row.mark, row.generation) == (CF, "ab", 1)
    assert row.text is not None and row.text.startswith("before") and "\0" not in row.text


def test_hosts_are_looked_at_every_quarter_of_an_hour(deployed, helper, now) -> None:
    Host.objects.update(facts_at=now)
    assert not drift.due(now + timedelta(minutes=14)).exists()
    at = now + timedelta(minutes=16)
    assert drift.due(at).get() == deployed
    helper.expect("facts", **deployed.facts)
    drift.look_again(deployed.pk, clock=lambda: at, transport=helper)
    helper.done()
    assert not drift.due(at).exists()
    drift.look_again(deployed.pk, clock=lambda: at, transport=helper)


def test_a_host_that_does_not_answer_is_asked_again_later(deployed, helper, now) -> None:
    helper.refuses = Unreachable("no route")
    at = now + timedelta(minutes=16)
    drift.look_again(deployed.pk, clock=lambda: at, transport=helper)
    assert not drift.due(at).exists()
    assert drift.due(at + timedelta(minutes=15)).exists()


def test_what_is_as_deployed_again_is_forgotten(signed_in, changed, helper, now) -> None:
    at = now + timedelta(minutes=16)
    helper.expect("facts", **{**changed.facts, "drift": [], "drift_marks": {}})
    drift.look_again(changed.pk, clock=lambda: at, transport=helper)
    assert not DriftedFile.objects.exists()


# Left


def leave(client, host: Host, **fields: str):
    form = {"path": CONF, "mark": "aa" * 32, **fields}
    return client.post(reverse("deploy:drift_leave", args=[host.pk]), form, follow=True)


def test_what_was_left_is_not_nagged_about_until_it_changes(signed_in, changed, owner, now) -> None:
    assert "the next one overwrites it" in page(signed_in, changed, "host")
    assert "1 file changed on the server" in signed_in.get(reverse("deploy:hosts")).content.decode()
    leave(signed_in, changed)
    row = DriftedFile.objects.get()
    assert (row.choice, row.chosen_by) == (DriftedFile.LEFT, owner)
    (event,) = AuditEvent.objects.filter(action="deploy.drift.left")
    assert event.detail == {"path": CONF, "mark": "aa" * 32}
    shown = page(signed_in, changed, "host")
    assert "the next one overwrites it" not in shown and "somebody decided about it" in shown
    assert (
        "file changed on the server" not in signed_in.get(reverse("deploy:hosts")).content.decode()
    )
    assert "Left as it is" in page(signed_in, changed)
    assert CONF in page(signed_in, changed, "plan"), "a rollout still names it"

    again = file(CONF, "dovecot/dovecot23.conf", text="another", mark="bb" * 32)
    drifts(changed, again, now=now)
    assert "the next one overwrites it" in page(signed_in, changed, "host")


def test_what_changed_meanwhile_is_not_left_unseen(signed_in, changed) -> None:
    for fields in ({"mark": "cc" * 32}, {"path": "/etc/passwd"}):
        assert "changed since you looked" in leave(signed_in, changed, **fields).content.decode()
    assert not AuditEvent.objects.filter(action="deploy.drift.left").exists()
    assert DriftedFile.objects.get().choice == ""


def test_a_viewer_sees_it_and_decides_nothing(client, viewer, changed) -> None:
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    shown = page(client, changed)
    assert "+auth_failure_delay = 4 secs" in shown and "Leave as it is" not in shown
    assert leave(client, changed).status_code == 403


# Taken over


def take_over(client, host: Host, **fields: str):
    return client.post(reverse("deploy:drift_take_over", args=[host.pk]), fields, follow=True)


def test_taking_over_asks_to_sign_in_again(signed_in, changed) -> None:
    response = signed_in.get(reverse("deploy:drift_take_over", args=[changed.pk]))
    assert response.status_code == 302 and "reauthenticate" in response.url


def test_what_was_changed_becomes_own_lines(signed_in, changed, owner) -> None:
    Host.objects.filter(pk=changed.pk).update(snippet_dovecot="mail_debug = no\n")
    sign_in_again(signed_in)
    url = reverse("deploy:drift_take_over", args=[changed.pk])
    form = signed_in.get(url).context["form"]
    proposed = form["snippet_dovecot"].value()
    assert proposed == (
        "mail_debug = no\nauth_failure_delay = 4 secs\nmail_max_userip_connections = 20\n"
        "ssl_dh = <@GENERATION@/tls/dh.pem\n"
    )
    assert Host.objects.get().snippet_dovecot == "mail_debug = no\n", "not before it is seen"
    kept = proposed.replace("ssl_dh = <@GENERATION@/tls/dh.pem\n", "")
    shown = take_over(
        signed_in,
        changed,
        snippet_sendmail="",
        snippet_dovecot=kept,
        mark=changed.reported().drift_mark,
    ).content.decode()
    assert "Taken over" in shown
    changed.refresh_from_db()
    assert changed.snippet_dovecot == kept.rstrip()
    (event,) = AuditEvent.objects.filter(action="deploy.drift.taken_over")
    assert event.detail["paths"] == [CONF] and event.actor == owner
    assert drift.unsettled(changed) == []
    wanted = rollout.preview(changed).wanted
    assert wanted is not None
    conf = wanted.bundle.files["dovecot/dovecot23.conf"].decode()
    assert conf.rindex("auth_failure_delay = 4") > conf.rindex("auth_failure_delay = 2")


def test_lines_that_own_lines_may_not_have_are_refused(signed_in, changed) -> None:
    sign_in_again(signed_in)
    shown = take_over(
        signed_in,
        changed,
        snippet_sendmail="",
        snippet_dovecot="auth_debug = yes",
        mark=changed.reported().drift_mark,
    ).content.decode()
    assert "may not be set here" in shown
    assert DriftedFile.objects.get().choice == ""
    assert not AuditEvent.objects.filter(action__startswith="deploy.drift").exists()


def test_what_changed_meanwhile_is_not_taken_over_unseen(signed_in, changed) -> None:
    sign_in_again(signed_in)
    form = {"snippet_sendmail": "", "snippet_dovecot": "a = b", "mark": "cc" * 32}
    shown = take_over(signed_in, changed, **form)
    assert "changed since you looked" in shown.content.decode()
    changed.refresh_from_db()
    assert changed.snippet_dovecot == ""
    again = {**form, "mark": shown.context["mark"]}
    assert "Taken over" in take_over(signed_in, changed, **again).content.decode()


def test_where_nothing_was_changed_there_is_nothing_to_take_over(signed_in, deployed) -> None:
    sign_in_again(signed_in)
    form = {"snippet_sendmail": "", "snippet_dovecot": "a = b", "mark": ""}
    assert "there is nothing to do" in take_over(signed_in, deployed, **form).content.decode()
    deployed.refresh_from_db()
    assert deployed.snippet_dovecot == ""


def test_own_lines_of_sendmail_that_end_in_another_part(deployed, now) -> None:
    text = text_of(deployed, "sendmail/sendmail.mc").replace(
        "MAILER_DEFINITIONS", "define(`confTO_IDENT', `5s')dnl\nMAILER_DEFINITIONS"
    )
    name = "sendmail/sendmail.mc"
    drifts(deployed, file(f"{FOLDER}/{name}", name, text=text), now=now)
    deployed.snippet_sendmail = "LOCAL_CONFIG\nDXx\n"
    files = comparing.shown(deployed, rollout.live_generation(deployed))
    assert comparing.proposed(files, deployed)["snippet_sendmail"] == (
        "LOCAL_CONFIG\nDXx\ndivert(-1)\ndefine(`confTO_IDENT', `5s')dnl\n"
    )


# Overwritten


def put_live(client, host: Host, **fields: str):
    return client.post(reverse("deploy:put_live", args=[host.pk]), fields, follow=True)


def test_nothing_is_overwritten_unseen(signed_in, changed) -> None:
    for fields in ({}, {"overwrite": "cc" * 32}, {"even_if_same": "yes"}):
        shown = put_live(signed_in, changed, **fields).content.decode()
        assert "this would overwrite them" in shown and CONF in shown
        assert "+auth_failure_delay = 4 secs" in shown, "the plan, with what would go"
    assert HostRollout.objects.open().count() == 0


def test_the_plan_says_it_and_the_rollout_does_it(signed_in, changed) -> None:
    """Though nothing else differs."""
    plan = page(signed_in, changed, "plan")
    mark = changed.reported().drift_mark
    assert "Overwrite and put live" in plan and f'value="{mark}"' in plan
    shown = put_live(signed_in, changed, overwrite=mark).content.decode()
    assert "Planned" in shown
    row = HostRollout.objects.open().get()
    assert row.overwrites == {CONF: "aa" * 32}
    event = AuditEvent.objects.filter(action="deploy.rollout.requested").last()
    assert event is not None and event.detail["overwrites"] == {CONF: "aa" * 32}


def test_a_plan_that_cannot_show_it_does_not_offer_it(signed_in, changed) -> None:
    facts = {**changed.facts, "drift": [CF, CONF], "drift_marks": {CF: "dd", CONF: "aa" * 32}}
    Host.objects.update(facts=facts)
    plan = page(signed_in, changed, "plan")
    assert "Look at it first" in plan and "Overwrite and put live" not in plan


def test_going_back_overwrites_only_what_was_seen(signed_in, changed) -> None:
    Generation.objects.update(state=Generation.KEPT)
    back = reverse("deploy:go_back", args=[changed.pk, 1])
    shown = signed_in.post(back, follow=True).content.decode()
    assert "this would overwrite them" in shown
    assert changed.reported().drift_mark in shown
    signed_in.post(back, {"overwrite": changed.reported().drift_mark})
    assert HostRollout.objects.open().get().overwrites == {CONF: "aa" * 32}


def test_the_host_is_told_what_was_seen_and_refuses_the_rest(
    signed_in, changed, owner, now, helper: ScriptedHelper
) -> None:
    mark = changed.reported().drift_mark
    row = rollout.request(hosts=[changed], by=owner, at=now, overwrite=[mark]).hosts.get()
    helper.expect("stage", refusal("drifted", paths=[CF]))
    helper.expect("facts", **{**changed.facts, "drift": [CF], "drift_marks": {CF: "dd"}})
    helper.expect("drift", generation=1, files=[file(CF, paths.BUILT_CF, mark="dd", text="x")])
    carriage.carry_out(row.pk, carriage.Tools(transport=helper, worker="one"))
    helper.done()
    assert helper.seen[0]["drift"] == {CONF: "aa" * 32}
    row.refresh_from_db()
    assert (row.state, row.problem) == (HostRollout.REFUSED, "drifted")
    shown = signed_in.get(reverse("deploy:rollout", args=[row.rollout_id])).content.decode()
    assert "Nothing was touched" in shown and CF in shown
    assert "+x" in page(signed_in, changed, "plan") or CF in page(signed_in, changed, "plan")


# By API


def test_by_api(owner, changed, sent_nudges) -> None:
    answer = call(owner, READ, "get", f"/hosts/{NAME}/drift").json()
    assert answer["is_being_asked"] is False
    (told,) = answer["files"]
    assert told["path"] == CONF and "+auth_failure_delay = 4 secs" in told["diff"]
    assert "auth_failure_delay = 4 secs\n" in told["can_be_taken_over"]
    assert told["by_hand"][0]["line"] == "syslog_facility = mail"
    assert call(owner, READ, "get", f"/hosts/{NAME}/plan").json()["drift_mark"] == answer["mark"]
    refused = call(owner, WRITE, "post", "/rollouts", {"hosts": [NAME]})
    assert (refused.status_code, refused.json()["code"]) == (409, "Drifted")
    body = {"hosts": [NAME], "overwrite": [answer["mark"]]}
    assert call(owner, WRITE, "post", "/rollouts", body).status_code == 202
    assert json.dumps(HostRollout.objects.open().get().overwrites) == json.dumps({CONF: "aa" * 32})


# Own lines stay


def test_own_lines_survive_an_upgrade_of_the_console(deployed, owner, now, monkeypatch) -> None:
    """A release that writes all files differently, and a rollout of it."""
    own = "mail_max_userip_connections = 20\n"
    configure.change_snippets(
        host=deployed, sendmail="define(`confTO_IDENT', `5s')dnl", dovecot=own, by=owner, at=now
    )
    written, filled = snapshot.rendered, lines.fill

    def newer(template: str, **values: str) -> bytes:
        return b"# written by a newer release\n" + filled(template, **values)

    monkeypatch.setattr(lines, "fill", newer)
    monkeypatch.setattr(snapshot, "rendered", written.__wrapped__)
    row = rollout.request(hosts=[deployed], by=owner, at=now).hosts.get()
    files = row.generation.bundle().files
    for name in ("dovecot/dovecot23.conf", "dovecot/dovecot24.conf"):
        text = files[name].decode()
        assert text.startswith("# written by a newer release") and text.rstrip().endswith(
            own.strip()
        )
    assert b"define(`confTO_IDENT', `5s')dnl\ndivert(0)" in files["sendmail/sendmail.mc"]
