"""Leaving for what was there before, with a pretended Sendmail whose queue is real files."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.hostctl import __main__, accounts, before, generations, holding, logins, switch
from deploy.hostctl.host import Ran
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import FakeHost
from tests.hostctl.queued import BOUNCE, Sendmail, fill, put, two_domains, waiting


@pytest.fixture
def managed(host: FakeHost) -> FakeHost:
    return two_domains(host)


def release(host: FakeHost, **fields: Any) -> dict[str, Any]:
    return switch.switch(host, generation=0, base=1, **{"deadline": 60, **fields})


def test_a_look_names_what_would_happen_and_changes_nothing(managed: FakeHost) -> None:
    fill(managed)
    pointer, log = generations.current(managed), managed.services["sendmail"].log
    seen = managed.ask("release", look=True)
    assert (seen["unknown"], seen["unknown_count"], seen["domains"]) == (["example.test"], 1, 2)
    assert (seen["queue"]["count"], seen["queue"]["held"], seen["to_hold"]["count"]) == (6, 1, 3)
    assert seen["services"]["bridge"] == {"running": True, "before": False}
    assert seen["services"]["sendmail"] == {"running": True, "before": True}
    assert seen["files"] == {
        "/etc/dovecot/dovecot.conf": "elsewhere.conf",
        "/etc/mail/sendmail.cf": "file",
        "/etc/sasl2/Sendmail.conf": "absent",
    }
    assert (generations.current(managed), managed.services["sendmail"].log) == (pointer, log)
    assert waiting(managed)["ours"] is None


def test_leaving_holds_what_would_bounce_and_nothing_else(managed: FakeHost) -> None:
    fill(managed)
    result = release(managed)
    assert result["services"] == {
        "dovecot": "restarted", "bridge": "stopped", "sendmail": "restarted",
    }  # fmt: skip
    held = {name for name, reason in waiting(managed).items() if reason == holding.REASON}
    assert held == BOUNCE
    assert waiting(managed)["theirs"] == "an administrator's"
    assert managed.layout.at("/etc/mail/sendmail.cf").read_text() == "the system's own cf"
    assert generations.current(managed) == 0
    # Held while nothing could be delivered or come in.
    assert managed.services["sendmail"].log[-2:] == ["stop", "restart"]
    assert switch.confirm(managed, generation=0)["outcome"] == "confirmed"
    assert {n for n, r in waiting(managed).items() if r == holding.REASON} == BOUNCE


def test_what_is_being_delivered_is_waited_for(managed: FakeHost) -> None:
    fill(managed)
    assert isinstance(managed.run, Sendmail)
    managed.run.skips["ours"] = 3
    release(managed)
    assert waiting(managed)["ours"] == holding.REASON


def test_what_cannot_be_held_keeps_the_host_as_it_is(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(managed)
    assert isinstance(managed.run, Sendmail)
    managed.run.skips["ours"] = 10**6
    monkeypatch.setattr(holding.hold, "__defaults__", (0.3,))
    with pytest.raises(Refused) as refused:
        release(managed)
    assert refused.value.code == "rolled_back" and "ours" in refused.value.message
    assert generations.current(managed) == 1
    assert managed.services["sendmail"].loaded == "cf of generation 1"
    # What was held so far is in the queue again.
    assert {name for name, reason in waiting(managed).items() if reason} == {"theirs"}
    assert set(managed.run.tried) == BOUNCE - {"ours"}


def test_nobody_confirms_and_it_is_ours_again(managed: FakeHost) -> None:
    fill(managed)
    release(managed, deadline=2)
    switch.rollback(managed, generation=0)
    assert generations.current(managed) == 1
    assert managed.services["bridge"].pid() is not None
    assert {name for name, reason in waiting(managed).items() if reason} == {"theirs"}


def test_a_later_deployment_lets_go_exactly_what_we_held(managed: FakeHost) -> None:
    fill(managed)
    release(managed)
    switch.confirm(managed, generation=0)
    managed.stage(2, 0)
    switch.switch(managed, generation=2, base=0, deadline=60)
    assert {n for n, r in waiting(managed).items() if r == holding.REASON} == BOUNCE, (
        "not proved yet"
    )
    switch.confirm(managed, generation=2)
    assert waiting(managed) == {
        "ours": None, "mixed": None, "far": None, "carol": None, "dave": None,
        "theirs": "an administrator's",
    }  # fmt: skip
    assert isinstance(managed.run, Sendmail)
    assert set(managed.run.tried) == BOUNCE


def test_a_first_deployment_that_goes_back_holds_too(host: FakeHost) -> None:
    host.before()
    host.run = Sendmail(host)
    with accounts.opened(host) as database:
        database.execute("INSERT INTO domain (name) VALUES ('example.test')")
    host.stage(1, 0)
    switch.switch(host, generation=1, base=0, deadline=60)
    put(host, "ours", "anna@example.test")
    switch.rollback(host, generation=1)
    assert waiting(host) == {"ours": holding.REASON}


def test_recipients_are_asked_about_for_a_bounded_time(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = managed.run, []

    def slow(argv: list[str], **options: Any) -> Ran:
        if argv[-2:-1] == ["-bv"]:
            asked.append(argv[-1])
            time.sleep(0.06)
        return run(argv, **options)

    managed.run = slow  # type: ignore[assignment]
    then = before.Before(managed)
    monkeypatch.setattr(before, "_MOST_SECONDS", 0.05)
    assert then.takes("carol@known.test")
    assert not then.takes("erin@known.test"), "held, which can be undone"
    assert then.takes("carol@known.test") and asked == ["carol@known.test"]


def test_where_nothing_was_held_postfixs_queue_is_not_listed(postfix_host: FakeHost) -> None:
    listed = b'{"queue_name": "hold", "queue_id": "A1", "arrival_time": 7, "recipients": []}'
    asked = []

    def run(argv: list[str], **_: Any) -> Ran:
        asked.append(argv[0])
        return Ran(0, listed)

    postfix_host.run = run  # type: ignore[assignment]
    assert holding.ours(postfix_host) == [] and asked == []
    holding._remember(postfix_host, {("A1", 7)})
    assert [each.id for each in holding.ours(postfix_host)] == ["A1"]


def test_accounts_that_cannot_be_read_keep_nobody_from_going_back(host: FakeHost) -> None:
    host.before()
    host.run = Sendmail(host)
    with accounts.opened(host) as database:
        database.execute("INSERT INTO domain (name) VALUES ('example.test')")
    host.stage(1, 0)
    switch.switch(host, generation=1, base=0, deadline=60)
    host.layout.accounts_db.write_bytes(b"no database any more" * 500)
    assert switch.rollback(host, generation=1)["outcome"] == "rolled_back"
    assert generations.current(host) == 0
    assert host.layout.at("/etc/mail/sendmail.cf").read_text() == "the system's own cf"


def test_the_uninstaller_holds_too(managed: FakeHost) -> None:
    fill(managed)
    switch.leave(managed)
    assert {n for n, r in waiting(managed).items() if r == holding.REASON} == BOUNCE
    assert managed.services["bridge"].pid() is None


def test_a_reboot_starts_what_ran_before_and_no_more(managed: FakeHost) -> None:
    release(managed)
    switch.confirm(managed, generation=0)
    for service in managed.services.values():
        service.stop()
    __main__.boot(managed)
    running = {name for name, each in managed.services.items() if each.pid() is not None}
    assert running == {"dovecot", "sendmail"}


def test_a_smarthost_takes_everything_and_knows_nothing(managed: FakeHost) -> None:
    assert isinstance(managed.run, Sendmail)
    managed.run.smarthost = "smart.example.net"
    assert before.Before(managed).unknown == {"example.test"}


def test_what_cannot_be_asked_is_unknown(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "run", lambda argv, **options: Ran(124))
    then = before.Before(managed)
    assert then.unknown == {"example.test", "known.test"}
    assert then.takes("x@far.example")


def test_a_host_without_a_generation_0_is_not_left(host: FakeHost) -> None:
    for fields in ({"look": True}, {"sequence": 1, "base": 0, "deadline": 60}):
        with pytest.raises(Refused) as refused:
            host.ask("release", **fields)
        assert refused.value.code == "origin"


def test_leaving_twice_is_done_once(managed: FakeHost) -> None:
    managed.ask("release", sequence=7, base=1, deadline=60)
    managed.ask("confirm", sequence=8, generation=0)
    log = managed.services["sendmail"].log
    assert managed.ask("release", sequence=9, base=0, deadline=60)["services"] == {}
    assert managed.services["sendmail"].log == log


def test_routes_are_read_one_for_each_question() -> None:
    said = (
        "ADDRESS TEST MODE\n> Cracked address = $g\n3 input: a\n"
        "mailer esmtp, host X.invalid., user a\n"
        "> Cracked address = $g\nCannot parse\n> Cracked address = $g\nmailer local, user b\n"
        "> Cracked address = $g\nmailer *error*, host 5.1.1, user no\n> "
    )
    assert before.routes_of(said) == [("esmtp", "x.invalid"), None, ("local", ""), None]


# --- logins ----------------------------------------------------------------------------------

DOVECONF_23 = """# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
first_valid_uid = 1000
namespace inbox {
  mailbox Drafts {
    special_use = \\Drafts
  }
}
passdb {
  driver = pam
}
passdb {
  args = scheme=SHA512-CRYPT username_format=%n /etc/mailusers/%d
  driver = passwd-file
}
passdb {
  args = /etc/dovecot/denied
  deny = yes
  driver = passwd-file
}
passdb {
  args = /etc/dovecot/sql.ext
  driver = sql
}
userdb {
  driver = passwd
}
"""
DOVECONF_24 = """dovecot_config_version = 2.4.1
passdb pam {
}
passdb passwd-file {
  passwd_file_path = /etc/mailusers/%{user | domain}
}
passdb local {
  driver = sql
}
"""


def test_the_passdbs_of_both_versions() -> None:
    settings, old = logins.parse_doveconf(DOVECONF_23)
    assert settings["first_valid_uid"] == "1000"
    assert [each.driver for each in old] == ["pam", "passwd-file", "sql"]
    assert old[1].file == "/etc/mailusers/%d"
    _settings, new = logins.parse_doveconf(DOVECONF_24)
    assert new == [
        logins.Passdb("pam", ""),
        logins.Passdb("passwd-file", "/etc/mailusers/%{user | domain}"),
        logins.Passdb("sql", ""),
    ]


@pytest.mark.parametrize(
    ("hashed", "does"),
    [("$y$j9T$x", True), ("$6$x$y", True), ("abJnggxhB/yWI", True),
     ("", False), ("!", False), ("!$6$x", False), ("*", False), ("x", False)],
)  # fmt: skip
def test_which_passwords_open(hashed: str, does: bool) -> None:
    assert logins.opens(hashed) is does


@pytest.mark.parametrize("doveconf", [DOVECONF_23, DOVECONF_24])
def test_who_could_log_in_again(
    managed: FakeHost, monkeypatch: pytest.MonkeyPatch, doveconf: str
) -> None:
    at = managed.layout.at
    for name, text in {
        "/etc/passwd": "root:x:0:0::/root:/bin/bash\ntest:x:1001:1001::/home/test:/bin/sh\n"
        "locked:x:1002:1002::/home/l:/bin/sh\nno:x:1003\n",
        "/etc/shadow": "root:$6$a:1::::::\ntest:$y$b:1::::::\nlocked:!$6$c:1::::::\n",
        "/etc/mailusers/example.test": "erin@example.test:{SHA512-CRYPT}$6$d::::::\n"
        "# a comment: here\nshut@example.test:!:::::::\nnobody:{PLAIN}x:::::/h::nologin\n",
        "/etc/sasl2/Sendmail.conf": "pwcheck_method: saslauthd\n",
        "/etc/dovecot/elsewhere.conf": "!include conf.d/*.conf\n",
        "/etc/dovecot/conf.d/10-auth.conf": "",
    }.items():
        path = at(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    (managed.layout.generation(0) / "etc.sasl2.Sendmail.conf").write_text("")

    def run(argv: list[str], **options: Any) -> Ran:
        assert argv[0].endswith("doveconf") and argv[-1] == "-n", argv
        conf = Path(argv[2])
        assert conf.read_text().startswith("!include"), "the file that the link led to"
        assert (conf.parent / "conf.d/10-auth.conf").exists(), "with its neighbours"
        return Ran(0, doveconf.encode())

    monkeypatch.setattr(managed, "run", run)
    found = logins.collect(managed)
    assert {row["name"]: row["by"] for row in found["logins"]} == {
        "erin@example.test": ["passwd-file"], "test": ["dovecot"],
    }  # fmt: skip
    assert [row["shell"] for row in found["logins"]] == ["", "/bin/sh"]
    assert (found["unlisted"], found["more"]) == (["sql"], 0)
    assert not re.search(r"\$(6|y)\$", str(found)), "never a hash"
