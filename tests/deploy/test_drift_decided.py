"""What was changed on a host: left, taken over, and never overwritten unseen."""

import json

import pytest
from django.urls import reverse

from core.models import AuditEvent
from deploy import carriage, comparing, configure, drift, rollout, snapshot
from deploy.hostctl import paths
from deploy.models import DriftedFile, Generation, Host, HostRollout
from deploy.render import lines
from tests.deploy.conftest import ScriptedHelper, refusal
from tests.deploy.drifting import CF, CONF, FOLDER, drifts, file, page, text_of
from tests.deploy.test_api import NAME, READ, WRITE, call
from tests.deploy.test_pages import sign_in_again

pytestmark = pytest.mark.django_db

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
        host=deployed,
        texts={"snippet_sendmail": "define(`confTO_IDENT', `5s')dnl", "snippet_dovecot": own},
        by=owner,
        at=now,
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
