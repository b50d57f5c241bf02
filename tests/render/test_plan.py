"""These facts and this difference: this is done to the services."""

from dataclasses import replace

import pytest

from deploy import plan as planning
from deploy.bundle import Bundle
from deploy.render import render
from deploy.render.values import Facts, HostConfig
from tests.render.examples import TLS, snapshot

RUNNING = Facts(
    sendmail_version="8.17.1",
    dovecot_version="2.3.19.1",
    generation=4,
    sendmail_running=True,
    dovecot_running=True,
    bridge_running=True,
)
ON_TRIXIE = replace(RUNNING, dovecot_version="2.4.1")
LIVE = render(snapshot("plain"))


GENERATION = "/var/lib/mailadmin/generations/4"


def with_file(path: str, content: bytes) -> Bundle:
    return Bundle({**LIVE.files, path: content})


CASES = {
    "nothing": (RUNNING, LIVE, LIVE, "unchanged unchanged unchanged"),
    "mc": (RUNNING, LIVE, with_file("sendmail/sendmail.mc", b"x"), "reload unchanged unchanged"),
    "sasl": (
        RUNNING,
        LIVE,
        with_file("sendmail/Sendmail.conf", b"x"),
        "restart unchanged unchanged",
    ),
    "certificate": (RUNNING, LIVE, with_file("tls/chain.pem", b"x"), "reload reload unchanged"),
    "authorities": (RUNNING, LIVE, with_file("tls/ca.pem", b"x"), "reload reload unchanged"),
    "dovecot 2.3 on 2.3": (
        RUNNING,
        LIVE,
        with_file("dovecot/dovecot23.conf", b"x"),
        "unchanged reload unchanged",
    ),
    "queries on 2.3": (
        RUNNING,
        LIVE,
        with_file("dovecot/sql23.ext", b"x"),
        "unchanged reload unchanged",
    ),
    "dovecot 2.4 on 2.3": (
        RUNNING,
        LIVE,
        with_file("dovecot/dovecot24.conf", b"x"),
        "unchanged unchanged unchanged",
    ),
    "dovecot 2.4 on 2.4": (
        ON_TRIXIE,
        LIVE,
        with_file("dovecot/dovecot24.conf", b"x"),
        "unchanged reload unchanged",
    ),
    "dovecot 2.3 on 2.4": (
        ON_TRIXIE,
        LIVE,
        with_file("dovecot/dovecot23.conf", b"x"),
        "unchanged unchanged unchanged",
    ),
    "first": (replace(RUNNING, generation=None), None, LIVE, "restart restart unchanged"),
    "first, nothing runs": (Facts(), None, LIVE, "start start start"),
    "after leaving": (replace(RUNNING, generation=0), LIVE, LIVE, "restart restart unchanged"),
    "a dead daemon": (
        replace(RUNNING, sendmail_running=False),
        LIVE,
        with_file("tls/chain.pem", b"x"),
        "start reload unchanged",
    ),
    "a dead bridge": (
        replace(RUNNING, bridge_running=False),
        LIVE,
        LIVE,
        "unchanged unchanged start",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_only_what_changed_is_touched(name):
    facts, live, wanted, expected = CASES[name]
    made = planning.plan(facts, live, wanted)
    services = [made.services[each] for each in ("sendmail", "dovecot", "bridge")]
    assert " ".join(services) == expected
    switch = next(step for step in made.steps if step.verb == "switch")
    assert dict(switch.detail) == {k: v for k, v in made.services.items() if v != "unchanged"}


def test_the_helper_tells_the_same_services():
    from deploy.hostctl import paths

    for path, file in paths.BUNDLE_FILES.items():
        assert set(planning.SERVICES_OF[path]) == file.services


def test_the_steps_are_in_order():
    made = planning.plan(RUNNING, LIVE, LIVE)
    assert [step.verb for step in made.steps] == ["stage", "validate", "switch", "probe", "confirm"]


def test_an_empty_plan_says_so():
    assert planning.plan(RUNNING, LIVE, LIVE).is_empty
    assert not planning.plan(replace(RUNNING, bridge_running=False), LIVE, LIVE).is_empty
    assert not planning.plan(RUNNING, LIVE, with_file("tls/ca.pem", b"x")).is_empty


def test_a_change_is_shown_as_a_difference():
    wanted = render(
        replace(snapshot("plain"), host=HostConfig(fqdn="mail.example.test", message_size_mb=20))
    )
    (change,) = planning.plan(RUNNING, LIVE, wanted).changes
    assert (change.path, change.kind, change.service) == (
        "sendmail/sendmail.mc",
        "changed",
        "sendmail",
    )
    assert "-define(`confMAX_MESSAGE_SIZE', `52428800')dnl" in change.unified_diff
    assert "+define(`confMAX_MESSAGE_SIZE', `20971520')dnl" in change.unified_diff


def test_a_certificate_is_shown_by_its_fingerprint():
    wanted = with_file(
        "tls/chain.pem", b"-----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----\n"
    )
    (change,) = planning.plan(RUNNING, LIVE, wanted).changes
    assert "CCCC" not in change.unified_diff
    assert f"+SHA-256 {wanted.fingerprint_sha256}" in change.unified_diff
    assert change.service == "sendmail, dovecot"


def test_files_come_and_go():
    more = with_file("dovecot/app23.ext", b"x")
    assert [c.kind for c in planning.plan(RUNNING, LIVE, more).changes] == ["added"]
    assert [c.kind for c in planning.plan(RUNNING, more, LIVE).changes] == ["removed"]


def test_what_it_costs_is_told():
    made = planning.plan(RUNNING, LIVE, with_file("sendmail/Sendmail.conf", b"x"))
    assert made.port_refused == {"sendmail": 2.2}
    assert planning.plan(RUNNING, LIVE, with_file("tls/ca.pem", b"x")).port_refused == {
        "sendmail": 0.05,
        "dovecot": 0.0,
    }


def test_the_probes_want_the_new_certificate_on_every_port():
    probes = planning.plan(RUNNING, None, LIVE).probes
    served = {p.port: p.expect for p in probes if p.kind in ("tls", "starttls")}
    assert served == dict.fromkeys((25, 587, 465, 143, 993, 110, 995), LIVE.fingerprint_sha256)
    everywhere = set(served)
    for kind in ("old_tls", "weak_tls"):
        assert {p.port for p in probes if p.kind == kind} == everywhere
    assert {p.port for p in probes if p.kind == "auth_in_clear"} == {25, 587, 143, 110}
    assert {p.kind for p in probes} >= {
        "auth_right",
        "auth_wrong",
        "unknown_recipient",
        "relay",
        "postmaster",
        "delivery",
    }


@pytest.mark.parametrize(
    ("facts", "wanted", "code"),
    [
        (replace(RUNNING, fqdn_ok=False), LIVE, "fqdn"),
        (replace(RUNNING, sendmail_version=""), LIVE, "no_sendmail"),
        (replace(RUNNING, dovecot_version=""), LIVE, "no_dovecot"),
        (replace(RUNNING, dovecot_version="2.2.36"), LIVE, "dovecot_version"),
        (RUNNING, Bundle({}), "no_certificate"),
    ],
)
def test_what_cannot_go_well_is_objected_to_beforehand(facts, wanted, code):
    assert [each.code for each in planning.plan(facts, LIVE, wanted).objections] == [code]


def test_drift_is_part_of_the_plan():
    assert planning.plan(replace(RUNNING, drift=("a",)), LIVE, LIVE).drift == ("a",)
    assert planning.plan(RUNNING, LIVE, LIVE).objections == ()


# --- for people ----------------------------------------------------------------------------------


def test_the_first_deployment_is_told_as_one_thing():
    assert planning.describe(None, snapshot("plain")) == (
        planning.FirstDeployment("mail.example.test"),
    )


def test_nothing_changed_is_nothing_to_tell():
    assert planning.describe(snapshot("plain"), snapshot("plain")) == ()


def test_every_setting_that_differs_is_told():
    old = snapshot("plain")
    new = replace(
        old,
        host=HostConfig(
            fqdn="mx.example.test",
            message_size_mb=20,
            listen_inet=("192.0.2.1", "192.0.2.2"),
            snippet_sendmail="x",
            snippet_dovecot="y",
        ),
        tls=replace(TLS, fingerprint_sha256="cd" * 32),
    )
    assert planning.describe(old, new) == (
        planning.CertificateChanged(TLS.fingerprint_sha256, "cd" * 32),
        planning.SettingChanged("fqdn", "mail.example.test", "mx.example.test"),
        planning.SettingChanged("message_size_mb", "50", "20"),
        planning.SettingChanged("listen_inet", "0.0.0.0", "192.0.2.1, 192.0.2.2"),
        planning.SnippetChanged("sendmail"),
        planning.SnippetChanged("dovecot"),
    )


def test_other_authorities_with_the_same_certificate_are_told():
    new = replace(snapshot("plain"), tls=replace(TLS, ca_pem=b"other"))
    assert planning.describe(snapshot("plain"), new) == (planning.AuthoritiesChanged(),)


def test_no_field_of_a_host_changes_in_silence():
    """A setting that is added to HostConfig must be told as well."""
    from dataclasses import fields

    other = {
        "fqdn": "mx.example.test",
        "message_size_mb": 1,
        "listen_inet": ("192.0.2.1",),
        "listen_inet6": ("2001:db8::1",),
        "mta": "postfix",
        "family": "fedora",
        "snippet_sendmail": "x",
        "snippet_postfix": "x",
        "snippet_dovecot": "x",
    }
    assert {f.name for f in fields(HostConfig)} == set(other)
    for name, value in other.items():
        changed = replace(snapshot("plain").host, **{name: value})
        assert planning.describe(snapshot("plain"), replace(snapshot("plain"), host=changed))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc/mail/sendmail.cf", "reload unchanged unchanged"),
        ("/etc/sasl2/Sendmail.conf", "restart unchanged unchanged"),
        ("/etc/dovecot/dovecot.conf", "unchanged reload unchanged"),
        ("GENERATION/sendmail/sendmail.cf", "reload unchanged unchanged"),
        ("GENERATION/dovecot/dovecot23.conf", "unchanged reload unchanged"),
        (
            "GENERATION/dovecot/dovecot24.conf",
            "unchanged unchanged unchanged",
        ),
        ("GENERATION/tls/key.pem", "reload reload unchanged"),
        ("/somewhere/else", "unchanged unchanged unchanged"),
    ],
)
def test_what_was_changed_there_is_taken_out_of_the_daemon_again(path, told):
    made = planning.plan(
        replace(RUNNING, drift=(path.replace("GENERATION", GENERATION),)), LIVE, LIVE
    )
    assert " ".join(made.services.values()) == told
    assert not made.is_empty
