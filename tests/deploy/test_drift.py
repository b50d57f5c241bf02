"""What was changed on a host: asked for and shown.

What is decided about it is in `test_drift_decided.py`, the host's side in
`tests/hostctl/test_drifted.py`, all of it together in `tests/live/test_drift.py`.
"""

from datetime import timedelta

import pytest

from deploy import comparing, drift, rollout, turns
from deploy.hostctl import paths
from deploy.models import DriftedFile, Host, HostJob
from deploy.transport import Unreachable
from tests.deploy.conftest import refusal
from tests.deploy.drifting import CF, CONF, FOLDER, drifts, file, page, text_of

pytestmark = pytest.mark.django_db

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
