"""A host that has Postfix in Sendmail's place: what differs, with the programs pretended."""

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deploy.hostctl import checks_postfix, drifted, facts, generations, names, paths, services
from deploy.hostctl.host import Ran
from deploy.hostctl.services import Dovecot, Postfix, ServiceFailed
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import KEY, FakeHost, bundle
from tests.hostctl.test_accounts import apply, box, domain

MAIN = "myhostname = mail.example.test\n"


def postfix_bundle(text: str = "") -> dict[str, bytes]:
    files = {name: each for name, each in bundle(text).items() if "sendmail/" not in name}
    return {**files, "postfix/main.cf": MAIN.encode(), "postfix/master.cf": text.encode()}


def stage(host: FakeHost, files: dict[str, bytes], number: int = 1, base: int = 0) -> None:
    generations.stage(
        host, generation=number, base=base, key=KEY, digest=generations.digest_of(files),
        files=files, dovecot_version="2.4.1",
    )  # fmt: skip


def test_which_server_there_is(host: FakeHost, postfix_host: FakeHost) -> None:
    assert list(services.all_of(host.layout)) == ["dovecot", "bridge", "sendmail"]
    assert list(services.all_of(postfix_host.layout)) == ["dovecot", "bridge", "postfix"]
    assert set(host.layout.own_paths()) == {
        "/etc/mail/sendmail.cf", "/etc/dovecot/dovecot.conf", "/etc/sasl2/Sendmail.conf",
    }  # fmt: skip
    assert set(postfix_host.layout.own_paths()) == {
        "/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/dovecot/dovecot.conf",
    }  # fmt: skip


def test_a_bundle_for_the_other_server_is_refused(host: FakeHost, postfix_host: FakeHost) -> None:
    for where, files in (
        (postfix_host, bundle("x")),
        (host, postfix_bundle()),
        (host, {**bundle("x"), **postfix_bundle()}),
        (postfix_host, {**bundle("x"), **postfix_bundle()}),
    ):
        with pytest.raises(Refused) as refused:
            stage(where, files)
        assert refused.value.code == "wrong_mta"
        assert list(where.layout.generations.iterdir()) == []


def test_a_staged_generation_is_the_hosts_name_and_a_change_of_ports_a_restart(
    postfix_host: FakeHost,
) -> None:
    host = postfix_host
    stage(host, postfix_bundle("one"), 1)
    folder = host.layout.generation(1)
    assert (folder / "postfix/master.cf").read_bytes() == b"one"
    assert names.of_generation(folder) == "mail.example.test"
    stage(host, {**postfix_bundle("one"), "postfix/main.cf": MAIN.encode() + b"x = 1\n"}, 2)
    stage(host, postfix_bundle("two"), 3)
    assert generations.affected(host, 1, 2)["postfix"] == "reload"
    assert generations.affected(host, 1, 3)["postfix"] == "restart"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MAIN, "mail.example.test"),
        ("myhostname=MAIL.example.test", "mail.example.test"),
        (f"{MAIN}x = 1\nmyhostname = own.example.test\n", "own.example.test"),
        ("#myhostname = mail.example.test", None),
        ("myhostname = mail.$mydomain", None),
        ("myhostname =", None),
        ("", None),
    ],
)
def test_the_name_in_main_cf(tmp_path: Path, text: str, name: str | None) -> None:
    path = tmp_path / "main.cf"
    path.write_text(text)
    assert names.of_main(path) == name
    assert names.of_main(tmp_path / "none") is None


def test_the_links_are_postfixs_and_drift_is_seen_on_them(postfix_host: FakeHost) -> None:
    host = postfix_host
    stage(host, postfix_bundle(), 1)
    generations.point(host, 1)
    for path, target in host.layout.well_known().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    assert drifted.found(host) == []
    main = host.layout.at("/etc/postfix/main.cf")
    main.unlink()
    main.write_text("somebody's own")
    assert [(each.name, each.state) for each in drifted.found(host)] == [
        ("postfix/main.cf", "replaced")
    ]


def test_no_maps_are_made(postfix_host: FakeHost) -> None:
    host = postfix_host
    apply(host, domain(), box("anna@example.test"), whole=True)
    apply(host, box("ben@example.test"), through=2)
    assert host.run.maps_built == host.run.maps_edited == []
    assert list(host.layout.maps.iterdir()) == []
    with closing(sqlite3.connect(host.layout.accounts_db)) as database:
        assert database.execute("SELECT dirty, through_change FROM meta").fetchone() == ("", 2)


def test_the_facts_name_it(
    host: FakeHost, postfix_host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended = postfix_host.run

    def run(argv: list[str], **options: Any) -> Ran:
        if argv[0].endswith("postconf"):
            return Ran(0, b"3.7.11\n")
        if argv[0].endswith("dpkg-query"):
            return Ran(1, b"", b"no packages found")
        return pretended(argv, **options)

    monkeypatch.setattr(postfix_host, "run", run)
    told = facts.collect(postfix_host)
    assert (told["mta"], told["postfix"], told["sendmail"]) == ("postfix", "3.7.11", "")
    assert set(told["services"]) == {"dovecot", "bridge", "postfix"}
    told = facts.collect(host)
    assert (told["mta"], told["postfix"]) == ("sendmail", "")
    monkeypatch.setattr(host, "run", lambda argv, **options: Ran(1))
    assert facts.collect(host)["mta"] == ""


# --- the daemon ----------------------------------------------------------------------------------


class Programs:
    """What `postfix` is told; it does as its master would, or says `fails`."""

    def __init__(self, fails: str = "") -> None:
        self.told: list[list[str]] = []
        self.fails = fails

    def __call__(self, argv: list[str], **options: Any) -> Ran:
        self.told.append(argv)
        return Ran(1, b"", self.fails.encode()) if self.fails else Ran(0)


def test_postfix_is_told_by_its_own_tool(
    postfix_host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    made = Postfix(postfix_host.layout, programs, patience=0.2)
    pids = iter([None, 7, 7, 7, 7, 7])
    monkeypatch.setattr(made, "pid", lambda: next(pids))
    monkeypatch.setattr(services, "under_systemd", lambda: False)
    made.start()
    made.reload()
    assert programs.told == [[paths.POSTFIX, "start"], [paths.POSTFIX, "reload"]]


def test_a_postfix_that_refuses_is_quoted(
    postfix_host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Postfix(postfix_host.layout, Programs("fatal: bad numerical value"), patience=0.2)
    monkeypatch.setattr(services, "under_systemd", lambda: False)
    with pytest.raises(ServiceFailed, match="bad numerical value"):
        made.start()


def test_its_pid_is_padded_and_must_be_a_master(postfix_host: FakeHost) -> None:
    made = Postfix(postfix_host.layout)
    assert made.pid() is None
    made.pid_file().parent.mkdir(parents=True)
    made.pid_file().write_text("              1\n")
    assert made.pid() is None, "that one is no Postfix"


def test_it_is_stopped_without_its_configuration(
    postfix_host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`postfix stop` reads main.cf first, and a broken one is what is being left."""
    programs = Programs("fatal: bad string length")
    made = Postfix(postfix_host.layout, programs)
    master = subprocess.Popen(["sleep", "60"], start_new_session=True)
    monkeypatch.setattr(made, "word", "sleep")
    monkeypatch.setattr(made, "pid", lambda: master.pid if master.poll() is None else None)
    monkeypatch.setattr(services, "under_systemd", lambda: False)
    made.stop()
    assert master.wait(5) == -signal.SIGTERM
    assert programs.told == []


class LosesPorts(Dovecot):
    """A Dovecot that runs, and whose reload leaves `lost` closed until it is started anew."""

    def __init__(self, layout: paths.Layout, lost: frozenset[int]) -> None:
        super().__init__(layout, Programs(), patience=0.3)
        self.closed, self.lost, self.did = frozenset[int](), lost, list[str]()

    def pid(self) -> int | None:
        return None if self.did[-1:] == ["stop"] else 7

    def signal_reload(self, pid: int) -> None:
        self.did.append("reload")
        self.closed = self.lost

    def stop(self) -> None:
        self.did.append("stop")

    def launch(self) -> None:
        self.did.append("start")
        self.closed = frozenset()


@pytest.mark.parametrize(
    ("lost", "did"),
    [(frozenset(), ["reload"]), (frozenset({993}), ["reload", "stop", "start"])],
)
def test_a_dovecot_that_lost_a_port_in_its_reload_is_started_anew(
    postfix_host: FakeHost, monkeypatch: pytest.MonkeyPatch, lost: frozenset[int], did: list[str]
) -> None:
    made = LosesPorts(postfix_host.layout, lost)
    monkeypatch.setattr(services, "_REBOUND", 0.1)
    monkeypatch.setattr(services, "under_systemd", lambda: False)
    monkeypatch.setattr(services, "listening", lambda: made.ports - made.closed)
    made.reload(made.ports)
    assert made.did == did


# --- validation ----------------------------------------------------------------------------------

GATE = "".join(f"{name} = {needed}\n" for name, needed in checks_postfix._HOLDS.items())
SUBMISSION = ", ".join(checks_postfix._SUBMISSION)
MASTER = (
    f"0.0.0.0:587/inet/smtpd_sender_restrictions = {SUBMISSION}\n"
    "0.0.0.0:587/inet/syslog_name = postfix/submission\n"
)


def checked(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def check(name: str = "mail.example.test", **said: Ran) -> str:
        def run(argv: list[str], **options: Any) -> Ran:
            assert argv[1:3] == ["-c", "/somewhere/postfix"], argv
            if argv[-1] == "daemon_directory":
                return Ran(0, b"/usr/sbin\n")
            if "debug_peer_list" in argv:
                return said.get("log", Ran(0, b"debug_peer_list =\nsmtpd_tls_loglevel = 1\n"))
            found = {
                "-x": Ran(0, GATE.encode()),
                "-P": Ran(0, MASTER.encode()),
                "-M": Ran(0, b"587 inet n - n - - postfix -o x=1\n"),
                **{f"-{name}": each for name, each in said.items()},
            }
            return found.get({"check": "-check", "-q": "-query"}.get(argv[3], argv[3]), Ran(0))

        monkeypatch.setattr(host, "run", run)
        return checks_postfix.postfix(host, Path("/somewhere"), name)

    return check


@pytest.fixture
def filled(postfix_host: FakeHost) -> FakeHost:
    apply(postfix_host, domain(), box("anna@example.test"), whole=True)
    return postfix_host


def test_a_good_configuration_passes(filled: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "anna@example.test" in checked(filled, monkeypatch)()


def test_our_own_links_are_no_reason_to_refuse(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = b"".join(
        b"postfix/postfix-script: warning: " + words + b": /etc/postfix/./" + name + b"\n"
        for words in (b"symlink leaves directory", b"group or other writable")
        for name in (b"main.cf", b"master.cf")
    )
    check = checked(filled, monkeypatch)
    assert check(check=Ran(0, b"", ours))
    with pytest.raises(
        Refused, match=r"^Postfix refuses the configuration: not owned by root: /x$"
    ):
        check(check=Ran(0, b"", ours + b"postfix/postfix-script: warning: not owned by root: /x\n"))


@pytest.mark.parametrize(
    ("option", "said", "words"),
    [
        ("query", Ran(1, b"", b"postmap: fatal: main.cf, line 9: missing '='\n"), "line 9"),
        ("check", Ran(1, b"", b"postfix: fatal: bad numerical value for x: many\n"), "many"),
        ("n", Ran(0, b"", b"/usr/sbin/postconf: warning: x: unused parameter: y=1\n"), "unused"),
        ("M", Ran(1, b"", b"postconf: fatal: master.cf: line 3: bad\n"), "line 3"),
    ],
)
def test_what_postfixs_tools_complain_about_is_refused(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch, option: str, said: Ran, words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        checked(filled, monkeypatch)(**{option: said})
    assert refused.value.code == "refused"
    assert "/usr/sbin/postconf:" not in refused.value.message


@pytest.mark.parametrize(
    ("option", "said", "words"),
    [
        ("M", "x unix - - n - - nothing-there", "nothing-there, which"),
        ("M", "587 inet n - n - - postfix -o x=1 -v", "With -v postfix"),
        ("M", "587 inet n - n - - postfix -vv", "With -v postfix"),
        ("log", "debug_peer_list = 192.0.2.9", "debug_peer_list = 192.0.2.9"),
        ("log", "smtpd_tls_loglevel = 4", "smtpd_tls_loglevel = 4"),
        ("P", "587/inet/debug_peer_list = 0.0.0.0/0", "debug_peer_list = 0.0.0.0/0"),
    ],
)
def test_what_would_fail_mail_by_mail_or_tell_passwords_is_refused(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch, option: str, said: str, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        checked(filled, monkeypatch)(**{option: Ran(0, said.encode())})


@pytest.mark.parametrize("name", sorted(checks_postfix._HOLDS))
def test_an_open_gate_is_refused(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lines = [line for line in GATE.splitlines() if not line.startswith(f"{name} =")]
    with pytest.raises(Refused, match=name):
        checked(filled, monkeypatch)(x=Ran(0, "\n".join(lines).encode()))


@pytest.mark.parametrize("left_out", checks_postfix._SUBMISSION)
def test_submission_that_anybody_could_spoof_by_is_refused(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    spoiled = Ran(0, MASTER.replace(left_out, "permit").encode())
    with pytest.raises(Refused, match="as anybody"):
        checked(filled, monkeypatch)(P=spoiled)


def test_a_server_named_as_a_domain_of_mailboxes_is_refused(
    filled: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="give the server another name"):
        checked(filled, monkeypatch)("example.test")


def test_a_host_without_mailboxes_passes(
    postfix_host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(postfix_host, domain(), whole=True)
    assert "no mailboxes" in checked(postfix_host, monkeypatch)()
