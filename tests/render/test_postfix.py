"""A host with Postfix: what its files say, which own lines it takes, and what a change costs."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import adoption
from deploy import plan as planning
from deploy.bundle import Bundle
from deploy.render import CannotRender, lines, render
from deploy.render.values import Facts, HostConfig, Snapshot, from_record, to_record
from tests.render import strategies
from tests.render.examples import POSTFIX_SNIPPET, TLS, hosts_of, snapshot

LIVE = render(snapshot("postfix"))
MAIN = LIVE.files["postfix/main.cf"].decode()
RUNNING = Facts(
    mta="postfix",
    postfix_version="3.7.11",
    dovecot_version="2.3.19.1",
    generation=4,
    postfix_running=True,
    dovecot_running=True,
    bridge_running=True,
)


def rendered(**settings: object) -> dict[str, str]:
    host = HostConfig(**{"fqdn": "mail.example.test", "mta": "postfix", **settings})
    files = render(Snapshot(host=host, tls=TLS)).files
    return {path: content.decode() for path, content in files.items()}


def settings_of(main: str) -> dict[str, str]:
    """As Postfix reads them; it complains about one that is there twice."""
    found = [(name, value) for _number, name, value in lines.postfix_settings(main)]
    assert len(dict(found)) == len(found)
    return dict(found)


def services_of(master: str) -> dict[str, list[str]]:
    """`address:port` to its options."""
    found: dict[str, list[str]] = {}
    for line in master.splitlines():
        if line.startswith("  -o "):
            found[next(reversed(found))].append(line.removeprefix("  -o "))
        elif line and not line.startswith("#"):
            found[line.split()[0]] = []
    return found


# --- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", hosts_of("postfix"))
def test_a_bundle_is_for_the_hosts_own_mail_server(name):
    folders = {path.partition("/")[0] for path in render(snapshot(name))}
    assert folders == {"postfix", "dovecot", "tls"}


def test_a_record_from_before_there_was_postfix_is_sendmails():
    record = to_record(snapshot("plain"))
    for name in ("mta", "family", "snippet_postfix"):
        del record["host"][name]
    assert from_record(record) == snapshot("plain")


@given(
    strategies.fqdn.filter(lambda name: len(name) < 200),
    strategies.megabytes,
    strategies.inet,
    strategies.inet6,
)
def test_whatever_may_be_typed_is_one_line_and_itself(fqdn, size, inet, inet6):
    files = rendered(
        fqdn=fqdn, message_size_mb=size, listen_inet=tuple(inet), listen_inet6=tuple(inet6)
    )
    main = settings_of(files["postfix/main.cf"])
    assert main["myhostname"] == fqdn
    assert main["message_size_limit"] == str(size * 1024 * 1024)
    assert main["inet_protocols"] == ("all" if inet6 else "ipv4")
    assert main.keys() == settings_of(MAIN).keys()
    services = [each for each in services_of(files["postfix/master.cf"]) if ":" in each]
    wanted = {*inet, *(f"[{address}]" for address in inet6)}
    local = set() if {"0.0.0.0", "127.0.0.1"} & wanted else {"127.0.0.1"}
    for port, where in ((25, wanted | local), (587, wanted), (465, wanted)):
        assert {s.rpartition(":")[0] for s in services if s.endswith(f":{port}")} == where


def test_what_holds_for_submission_is_out_of_main_cfs_reach():
    services = services_of(LIVE.files["postfix/master.cf"].decode())
    assert services["0.0.0.0:25"] == []
    for port, wanted in (
        (587, {"smtpd_tls_security_level=encrypt"}),
        (465, {"smtpd_tls_security_level=encrypt", "smtpd_tls_wrappermode=yes"}),
    ):
        options = set(services[f"0.0.0.0:{port}"])
        assert wanted <= options
        assert "smtpd_sasl_auth_enable=yes" in options
        assert "{ smtpd_relay_restrictions = permit_sasl_authenticated, reject }" in options
        sender = next(each for each in options if "smtpd_sender_restrictions" in each)
        assert re.search(r"policy\.sock, reject_authenticated_sender_login_mismatch", sender)
        # An own "permit" there must not mean anything here.
        assert "smtpd_helo_restrictions=" in options
        client = next(each for each in options if "smtpd_client_restrictions" in each)
        assert re.search(r"= check_policy_service unix:\S+policy\.sock }$", client)


def test_nothing_is_chrooted():
    for line in LIVE.files["postfix/master.cf"].decode().splitlines():
        if line and not line.startswith(("#", "  -o")):
            assert line.split()[4] == "n", line


def test_own_lines_replace_the_consoles():
    main = rendered(snippet_postfix=POSTFIX_SNIPPET)["postfix/main.cf"]
    found = settings_of(main)
    assert found["message_size_limit"] == "104857600"
    assert found["smtpd_client_restrictions"].split() == [
        "permit_mynetworks,",
        "reject_rbl_client",
        "dnsbl.example.test",
    ]
    assert found["milter_default_action"] == "accept"
    assert "52428800" not in main


# --- own lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem", "detail"),
    [
        ("debug_peer_list = 192.0.2.1", "refused_postfix", "debug_peer_list"),
        ("smtpd_tls_loglevel = 4", "refused_postfix", "smtpd_tls_loglevel"),
        ("smtpd_relay_restrictions = permit", "refused_postfix", "smtpd_relay_restrictions"),
        ("smtpd_sasl_auth_enable=yes", "refused_postfix", "smtpd_sasl_auth_enable"),
        ("smtpd_sender_login_maps =", "refused_postfix", "smtpd_sender_login_maps"),
        ("virtual_mailbox_maps = hash:/x", "refused_postfix", "virtual_mailbox_maps"),
        ("virtual_alias_domains = x.test", "refused_postfix", "virtual_alias_domains"),
        ("inet_interfaces = loopback-only", "refused_postfix", "inet_interfaces"),
        ("master_service_disable = inet", "refused_postfix", "master_service_disable"),
        ("queue_directory = /srv/q", "refused_postfix", "queue_directory"),
        ("smtpd_tls_key_file = /x", "refused_postfix", "smtpd_tls_key_file"),
        ("smtpd_authorized_xclient_hosts = x", "refused_postfix", "smtpd_authorized_xclient_hosts"),
        ("relayhost = [x.test]\n# once\nrelayhost =", "set_twice", "relayhost"),
        ("  relayhost = x", "not_a_setting", "1"),
        ("# first\n\trelayhost = x", "not_a_setting", "2"),
        ("relayhost", "not_a_setting", "1"),
        ("relayhost = x\n-v = 1", "not_a_setting", "2"),
        ("relayhost = x # ours", "comment_behind", "1"),
        ("relayhost = #x", "comment_behind", "1"),
        ("smtpd_banner = é", "not_ascii", "1"),
        ("relayhost = x\n  # ü\n  é", "not_ascii", "3"),
    ],
)
def test_own_lines_cannot_break_what_is_promised(text, problem, detail):
    with pytest.raises(CannotRender) as refused:
        lines.postfix_snippet(text)
    assert (refused.value.setting, refused.value.problem) == ("snippet_postfix", problem)
    assert refused.value.detail == detail
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "relayhost = [smtp.example.test]:587",
        "smtp_sasl_password_maps = texthash:/etc/postfix/sasl",
        "smtpd_milters = unix:/run/rspamd/milter.sock",
        "smtpd_client_restrictions = permit_mynetworks,\n  reject_rbl_client zen.example.test",
        "mynetworks = 127.0.0.0/8, 192.0.2.0/24",
        "smtpd_tls_loglevel = 2",
        "header_checks = pcre:{{/^X-Spam: yes/ REJECT}}",
        "# 說明\n\n   # ü\nbiff = no",
        "my-relay_destination_recipient_limit = 1",
    ],
)
def test_ordinary_own_lines_are_taken(text):
    assert lines.postfix_snippet(text + "\r\n\r\n") == text + "\n"


@given(st.text(max_size=200))
def test_own_lines_are_kept_or_refused(text):
    try:
        kept = lines.postfix_snippet(text)
    except CannotRender:
        return
    assert kept.rstrip("\n") == text.replace("\r\n", "\n").rstrip()


@given(strategies.own_value)
def test_an_own_setting_changes_nothing_but_itself(value):
    """Whatever its value, and on however many lines: the others are as they were."""
    try:
        kept = lines.postfix_snippet(f"relayhost = {value}")
    except CannotRender:
        return
    found = settings_of(rendered(snippet_postfix=kept)["postfix/main.cf"])
    theirs = {name for _number, name, _value in lines.postfix_settings(kept)}
    assert {n: v for n, v in found.items() if n not in theirs} == {
        n: v for n, v in settings_of(MAIN).items() if n not in theirs
    }


# --- changed on the host -------------------------------------------------------------------------


def said(adopted: adoption.Adopted) -> list[tuple[str, str]]:
    return [(each.reason, each.line) for each in adopted.by_hand]


def test_what_postconf_wrote_can_become_own_lines():
    found = MAIN.replace("biff = no\n", "biff=yes\n") + "relayhost = [x.test],\n  [y.test]\n"
    adopted = adoption.postfix(MAIN, found)
    assert adopted.text == "biff = yes\nrelayhost = [x.test], [y.test]\n"
    assert not adopted.by_hand
    assert adoption.postfix(MAIN, MAIN) == adoption.Adopted("", ())


def test_what_own_lines_may_not_have_needs_a_hand():
    found = MAIN.replace("disable_vrfy_command = yes\n", "").replace(
        "smtpd_relay_restrictions = permit_mynetworks,", "smtpd_relay_restrictions = permit,"
    )
    adopted = adoption.postfix(MAIN, found)
    assert adopted.text == ""
    assert said(adopted) == [
        ("console", "smtpd_relay_restrictions = permit, reject_unauth_destination"),
        ("removed", "disable_vrfy_command = yes"),
    ]


def test_an_own_setting_that_was_changed_there_is_not_there_twice():
    own = "# why\nrelayhost = [a.test],\n# and\n  [b.test]\n\n# other\nbiff = yes\n"
    assert adoption.postfix_without(own, "relayhost = [c.test]\n") == (
        "# why\n# and\n\n# other\nbiff = yes\n"
    )
    assert adoption.postfix_without(own, "maximal_queue_lifetime = 1d\n") == own


# --- what it costs -------------------------------------------------------------------------------


def with_file(path: str, content: bytes) -> Bundle:
    return Bundle({**LIVE.files, path: content})


@pytest.mark.parametrize(
    ("facts", "live", "wanted", "expected"),
    [
        (RUNNING, LIVE, LIVE, "unchanged unchanged unchanged"),
        (RUNNING, LIVE, with_file("postfix/main.cf", b"x"), "reload unchanged unchanged"),
        (RUNNING, LIVE, with_file("postfix/master.cf", b"x"), "restart unchanged unchanged"),
        (RUNNING, LIVE, with_file("tls/chain.pem", b"x"), "reload reload unchanged"),
        (RUNNING, None, LIVE, "restart restart unchanged"),
        (replace(RUNNING, postfix_running=False), LIVE, LIVE, "start unchanged unchanged"),
        (RUNNING, render(snapshot("plain")), LIVE, "restart reload unchanged"),
    ],
)
def test_only_what_changed_is_touched(facts, live, wanted, expected):
    services = planning.plan(facts, live, wanted).services
    assert list(services) == ["postfix", "dovecot", "bridge"]
    assert " ".join(services.values()) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("GENERATION/postfix/main.cf", "reload"),
        ("GENERATION/postfix/master.cf", "restart"),
        ("GENERATION/sendmail/sendmail.mc", "unchanged"),
    ],
)
def test_what_was_changed_there_is_taken_out_of_postfix_again(path, expected):
    there = path.replace("GENERATION", "/var/lib/mailadmin/generations/4")
    assert planning.plan(replace(RUNNING, drift=(there,)), LIVE, LIVE).services["postfix"] == (
        expected
    )


SENDMAIL = replace(RUNNING, mta="sendmail", postfix_version="", sendmail_version="8.17.1")


@pytest.mark.parametrize(
    ("facts", "wanted", "found"),
    [
        (RUNNING, LIVE, []),
        (replace(RUNNING, postfix_version="3.10.5"), LIVE, []),
        (replace(RUNNING, fqdn_ok=False), LIVE, []),
        (replace(RUNNING, postfix_version="3.6.4"), LIVE, [("postfix_version", "3.6.4")]),
        (replace(RUNNING, mta="", postfix_version=""), LIVE, [("no_postfix", "")]),
        (SENDMAIL, LIVE, [("wrong_mta", "Sendmail")]),
        (RUNNING, render(snapshot("plain")), [("wrong_mta", "Postfix")]),
    ],
)
def test_what_cannot_go_well_is_objected_to_beforehand(facts, wanted, found):
    objections = planning.plan(facts, LIVE, wanted).objections
    assert [(each.code, each.value) for each in objections] == found


def test_another_mail_server_is_told_by_name():
    told = planning.describe(snapshot("plain"), snapshot("postfix"))
    assert told == (planning.SettingChanged("mta", "Sendmail", "Postfix"),)


@pytest.mark.parametrize(
    ("report", "mta"),
    [
        ({"sendmail": "8.17.1"}, "sendmail"),
        ({"sendmail": ""}, ""),
        ({"sendmail": "", "postfix": "3.7.11", "mta": "postfix"}, "postfix"),
    ],
)
def test_an_older_helper_tells_of_sendmail_alone(report, mta):
    assert Facts.from_report(report).mta == mta
