"""A host's mail server: taken from what the host says, until something of ours is live there."""

import pytest
from django.urls import reverse

from core.models import AuditEvent
from deploy import comparing, configure, helper, practice, practising, rollout, sentences
from deploy.forms import SnippetsForm
from deploy.hostctl import paths
from deploy.management.commands.add_host import described
from deploy.models import Generation, Host
from tests.deploy.conftest import FACTS
from tests.deploy.drifting import FOLDER, deploy_first, drifts, file, page, text_of
from tests.mailadmin.test_api import call, secret_of

POSTFIX = {
    **FACTS,
    "mta": "postfix",
    "postfix": "3.7.11",
    "sendmail": "",
    "services": {name: {"running": True} for name in ("postfix", "dovecot", "bridge")},
}


@pytest.fixture
def on_postfix(certified: Host, now) -> Host:
    helper.note_reached(certified, POSTFIX, at=now)
    return certified


@pytest.fixture
def changed(certified: Host, owner, now) -> Host:
    """Sendmail is live as deployed; then somebody installed Postfix."""
    deploy_first(certified, owner, now)
    helper.note_reached(certified, {**POSTFIX, "generation": 1}, at=now)
    return certified


def test_a_host_is_what_it_says_it_is(on_postfix) -> None:
    assert (on_postfix.mta, on_postfix.family) == ("postfix", "debian")
    assert described(on_postfix)["mta"] == "postfix"
    assert described(on_postfix)["postfix"] == "3.7.11"


def test_a_host_without_a_mail_server_stays_what_it_was(certified, now) -> None:
    helper.note_reached(certified, {**FACTS, "sendmail": "", "mta": ""}, at=now)
    assert certified.mta == "sendmail"
    assert sentences.problem("no_sendmail") in rollout.preview(certified).objections


def test_its_plan_speaks_of_postfix(on_postfix, signed_in) -> None:
    preview = rollout.preview(on_postfix)
    assert preview.objections == ()
    assert preview.wanted is not None and "postfix/main.cf" in preview.wanted.bundle.files
    shown = page(signed_in, on_postfix, "plan")
    assert "Postfix" in shown and "Sendmail" not in shown
    shown = page(signed_in, on_postfix, "host")
    assert "3.7.11" in shown and "Sendmail" not in shown


def test_its_own_lines_are_postfixes(on_postfix, owner, now) -> None:
    assert list(SnippetsForm(instance=on_postfix).fields) == ["snippet_postfix", "snippet_dovecot"]
    with pytest.raises(configure.CannotBeSaid, match="may not be set here") as refused:
        texts = {"snippet_postfix": "smtpd_relay_restrictions = permit"}
        configure.change_snippets(host=on_postfix, texts=texts, by=owner, at=now)
    assert refused.value.field == "snippet_postfix"
    texts = {"snippet_postfix": "relayhost = [smtp.example.test]\r\n"}
    configure.change_snippets(host=on_postfix, texts=texts, by=owner, at=now)
    wanted = rollout.preview(on_postfix).wanted
    assert wanted is not None
    assert wanted.bundle.files["postfix/main.cf"].endswith(b"\nrelayhost = [smtp.example.test]\n")


def test_another_mail_server_under_the_console_stops_it(changed, signed_in) -> None:
    assert changed.mta == "sendmail"
    (objection,) = rollout.preview(changed).objections
    assert objection.startswith("Postfix is installed on the server now")
    shown = page(signed_in, changed, "host")
    assert objection.replace("'", "&#x27;") in shown
    assert reverse("deploy:follow_mta", args=[changed.pk]) in shown


def test_the_way_on_is_to_say_so(changed, signed_in, owner) -> None:
    Host.objects.filter(pk=changed.pk).update(snippet_sendmail="define(`confX', `1')dnl\n")
    url = reverse("deploy:follow_mta", args=[changed.pk])
    assert "Saved" in signed_in.post(url, follow=True).content.decode()
    changed.refresh_from_db()
    assert changed.mta == "postfix" and changed.snippet_sendmail
    (event,) = AuditEvent.objects.filter(action="deploy.host.mta_changed")
    assert event.actor == owner and event.detail == {"mta": ["sendmail", "postfix"]}
    preview = rollout.preview(changed)
    assert preview.objections == () and preview.plan is not None
    assert preview.plan.services["postfix"] == "restart"
    assert "mail server: Sendmail → Postfix" in page(signed_in, changed, "plan")
    assert "runs what it is set up for" in signed_in.post(url, follow=True).content.decode()


def test_going_back_to_the_other_mail_servers_generation_is_stopped(changed, owner, now) -> None:
    configure.follow_mta(host=changed, by=owner, at=now)
    Generation.objects.filter(host=changed).update(state=Generation.KEPT)
    view = rollout.preview(changed, to=Generation.objects.get(host=changed))
    assert sentences.problem("wrong_mta", "Postfix") in view.objections


def test_by_api(changed, client) -> None:
    secret = secret_of("auditor", "deploy:read")
    answer = call(client, f"hosts/{changed.fqdn}", secret).json()
    assert (answer["mta"], answer["family"]) == ("sendmail", "debian")


def test_what_postconf_wrote_there_can_be_taken_over(on_postfix, owner, now, signed_in) -> None:
    Host.objects.filter(pk=on_postfix.pk).update(snippet_postfix="relayhost = [a.test]\n")
    on_postfix.refresh_from_db()
    rows = rollout.request(hosts=[on_postfix], by=owner, at=now).hosts
    Generation.objects.filter(pk=rows.get().generation_id).update(
        state=Generation.LIVE, number=1, live_at=now
    )
    rows.update(state="confirmed")
    main, master = (text_of(on_postfix, f"postfix/{name}.cf") for name in ("main", "master"))
    drifts(
        on_postfix,
        file(
            f"{FOLDER}/postfix/main.cf",
            "postfix/main.cf",
            text=main.replace("[a.test]", "[b.test]") + "milter_default_action = accept\n",
        ),
        file(
            f"{FOLDER}/postfix/master.cf", "postfix/master.cf", text=master + "x unix - - n - - x\n"
        ),
        now=now,
    )
    shown, services = comparing.shown(on_postfix, rollout.live_generation(on_postfix))
    assert (shown.service, services.service) == ("postfix", "")
    assert services.why_not == comparing.WHY_NOT["services"]
    assert comparing.proposed([shown, services], on_postfix)["snippet_postfix"] == (
        "relayhost = [b.test]\nmilter_default_action = accept\n"
    )


def test_a_failed_probe_names_the_mail_server() -> None:
    advice = sentences.after_probe_failure("submission", "Connection refused", "postfix")
    assert "Postfix" in advice
    assert "Dovecot" in sentences.after_probe_failure("imaps", "Connection refused", "postfix")


def test_the_helper_and_the_console_know_the_same_files() -> None:
    assert {"postfix/main.cf", "postfix/master.cf"} <= set(paths.BUNDLE_FILES)


def test_both_mail_servers_can_be_practised_with() -> None:
    assert set(practising.RELEASES) == set(practice.RELEASES)
