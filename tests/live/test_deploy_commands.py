"""The commands about hosts, each in a process of its own, on a real Debian; no console runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.practice import Machine
from tests.live.conftest import started as machine_started
from tests.terminal import CHECKOUT, Answer, Terminal, on_sqlite, started

pytestmark = on_sqlite
NAME = "mail2.example.test"
LIVE = "SELECT number, fingerprint FROM deploy_generation WHERE state = 'live'"

SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from deploy.practice import serve;"
    "serve(sys.argv[2], int(sys.argv[3]), sys.argv[4] + '/practice')"
)


@dataclass
class Console:
    """A stopped console with a real host."""

    terminal: Terminal
    machine: Machine

    def worker(self, *words: str) -> Any:
        """What a running console's worker does, in a process of its own."""
        env = {
            **os.environ,
            "MAILADMIN_DATA": str(self.terminal.data),
            "DJANGO_SETTINGS_MODULE": "mailadmin.settings",
        }
        argv = [sys.executable, "-m", "tests.live.worker", *words]
        return subprocess.run(argv, cwd=CHECKOUT, env=env, check=True, capture_output=True)

    @property
    def number(self) -> int:
        return int(self.terminal.sql(LIVE)[0][0])

    @property
    def mailboxes(self) -> int:
        said = json.loads(self.worker("facts").stdout.splitlines()[-1])
        return int(said["accounts"]["mailboxes"])

    def wants(self, megabytes: int) -> None:
        """Something to put live."""
        self.terminal.sql("UPDATE deploy_host SET message_size_mb = ?", megabytes)


@pytest.fixture(scope="module")
def console(can_run_hosts: None) -> Iterator[Console]:
    """Its practice host is live on generation 1."""
    with machine_started("trixie") as machine, started() as at:
        at.data.mkdir(exist_ok=True)
        made = Console(at, machine)
        made.worker("prepare", str(machine.directory))
        yield made


def test_from_a_shell_alone(console: Console) -> None:
    terminal = console.terminal
    assert terminal.does("plan", "practice")["changes"] == []
    same = terminal.does("deploy", "practice", "--yes")
    assert (same["confirmed"], same["rollout"]) == (True, None)
    assert same["hosts"] == [{"host": NAME, "state": "nothing_to_do", "generation": 1}]

    console.wants(20)
    plan = terminal.does("plan", NAME)
    assert plan["may_go"] and plan["changes"] == ["largest message, in MB: 50 → 20"]
    shown = terminal.run("deploy", "practice", "--yes", "--reason", "smaller")
    assert shown.status == 0, shown.out + shown.err
    for part in ("largest message, in MB: 50 → 20", "✓ Checked on the server", "on generation 2"):
        assert part in shown.out
    assert shown.out.index("on the server: m4") < shown.out.index("✓ Checked on the server (")
    assert not shown.err

    proved = terminal.does("probe", "practice")
    assert proved["generation"] == 2 and all(each["ok"] for each in proved["probes"])
    assert {each["port"] for each in proved["probes"]} == {25, 465, 587, 143, 993, 110, 995}
    assert "delivery" in {each["kind"] for each in proved["probes"]}
    served = {each["fingerprint"] for each in proved["probes"] if each["fingerprint"]}
    assert served == {terminal.sql(LIVE)[0][1]}
    assert console.mailboxes == 0, "the login of the probes goes again"

    back = terminal.does("rollback", "practice", "--to", "1")
    (host,) = back["hosts"]
    assert (host["state"], host["generation"], host["base"]) == ("confirmed", 3, 2)
    assert terminal.does("rollback", NAME, "--to", "3")["rollout"] is None


def test_given_back_and_put_live_again(console: Console) -> None:
    """Its daemons did not run before the console, so they stop."""
    terminal, machine = console.terminal, console.machine
    machine.run(["useradd", "-m", "carol"])
    machine.run(["chpasswd"], input="carol:larch\n")
    refused = terminal.refuses("confirmation_missing", "release", "practice")
    assert "--yes" in refused
    shown = terminal.run("release", "practice", "--yes")
    assert shown.status == 0, shown.out + shown.err
    for part in ("open again, too: carol.", "In the queue: 0", "as it was before the console"):
        assert part in shown.out
    assert not machine.path("/etc/mail/sendmail.cf").is_symlink()
    assert terminal.sql(LIVE) == []
    facts = json.loads(console.worker("facts").stdout.splitlines()[-1])
    assert facts["generation"] == 0
    assert not any(each["running"] for each in facts["services"].values())
    assert "nothing to give back" in terminal.refuses("nothing_live", "release", NAME, "--yes")
    (host,) = terminal.does("deploy", NAME, "--yes")["hosts"]
    assert (host["state"], host["base"]) == ("confirmed", 0)
    given = terminal.does("release", NAME, "--yes")
    assert given["released_at"] and [each["name"] for each in given["logins"]] == ["carol"]
    assert terminal.does("deploy", NAME, "--yes")["confirmed"]


def test_what_was_changed_there_is_named(console: Console) -> None:
    terminal = console.terminal
    assert terminal.does("drift", "practice", "--exit-code")["drift"] == []
    file = f"/var/lib/mailadmin/generations/{console.number}/sendmail/sendmail.mc"
    console.machine.run(["sh", "-c", f"echo dnl by hand >> {file}"])
    assert terminal.does("drift", "practice")["drift"] == [file]
    asked = terminal.run("drift", NAME, "--exit-code")
    assert asked.status == 2 and file in asked.out
    assert terminal.does("plan", "practice")["drift"] == [file]
    assert "+dnl by hand" in terminal.run("drift", NAME, "--diff").out
    assert file in terminal.refuses("drifted", "deploy", NAME, "--yes")
    (host,) = terminal.does("deploy", NAME, "--yes", "--overwrite")["hosts"]
    assert host["state"] == "confirmed"
    assert terminal.does("drift", NAME)["drift"] == []


def test_what_a_running_console_took_is_followed(console: Console) -> None:
    """The command may not read the keys; the console's worker may."""
    terminal = console.terminal
    empty = terminal.folder / "empty"
    empty.mkdir()
    console.wants(30)
    before = console.number
    answers: list[Answer] = []
    command = threading.Thread(
        target=lambda: answers.append(
            terminal.run("deploy", NAME, "--yes", CREDENTIALS_DIRECTORY=str(empty))
        )
    )
    command.start()
    until = time.monotonic() + 30
    asked: list[Any] = []
    while not asked and time.monotonic() < until:
        asked = terminal.sql("SELECT id FROM deploy_hostrollout WHERE state = 'planned'")
        time.sleep(0.1)
    console.worker("carry", str(asked[0][0]))
    command.join(60)
    (answer,) = answers
    assert answer.status == 0, answer.out + answer.err
    assert "✓ Checked on the server" in answer.out and f"on generation {before + 1}" in answer.out


def test_what_fails_ends_with_status_1(console: Console) -> None:
    terminal = console.terminal
    terminal.sql("UPDATE deploy_host SET snippet_dovecot = 'no_such_setting = yes'")
    answer = terminal.run("deploy", "practice", "--yes", "--json")
    assert answer.status == 1 and answer.json["code"] == "not_confirmed"
    assert answer.json["confirmed"] is False and "no_such_setting" in answer.json["error"]
    assert [each["state"] for each in answer.json["hosts"]] == ["refused"]
    shown = terminal.run("deploy", "practice", "--yes")
    assert shown.status == 1 and "✗" in shown.out and NAME in shown.err

    console.machine.run(["doveadm", "stop"])
    answer = terminal.run("probe", "practice", "--json")
    assert answer.status == 1 and answer.json["code"] == "probe_failed"
    failed = {each["port"] for each in answer.json["probes"] if not each["ok"]}
    assert {993, 995} <= failed and 25 not in failed


def test_from_nothing_to_a_live_host(fresh_machine) -> None:
    """Added, certified and put live, with nothing but a shell."""
    machine = fresh_machine("bookworm", "mail4.example.test")
    name = machine.fqdn
    with started() as terminal:
        made = terminal.does("add_host", name, "--address", machine.address)
        offered = made["offered_host_key"]
        assert offered.startswith("SHA256:") and made["host_key"] == ""
        check = ("add_host", name, "--check")
        assert offered in terminal.refuses("confirmation_missing", *check)
        other = offered[:-3] + "AAA"
        terminal.refuses("key_changed", *check, "--host-key", other)
        terminal.refuses("login", *check, "--host-key", offered)

        # Pasted, as people do: as an argument it is longer than Linux takes.
        printed = machine.run(["sh"], input=made["command"])
        assert offered in str(printed.stdout)
        ready = terminal.does(*check)
        assert (ready["state"], ready["host_key"]) == ("ready", offered)
        assert ready["dovecot"].startswith("2.3") and ready["command"] == ""
        terminal.refuses("key_changed", *check, "--host-key", other)

        assert "no certificate" in terminal.refuses("objected", "deploy", name, "--yes")
        terminal.refuses("no_issuer", "certify", name)
        authority(terminal)
        certificate = terminal.does("certify", name)
        assert certificate["names"] == [name]
        live = terminal.does("deploy", name, "--yes")
        assert live["confirmed"] is True and live["hosts"][0]["generation"] == 1
        ((number, served),) = terminal.sql(LIVE)
        assert (number, served) == (1, certificate["fingerprint_sha256"])


def authority(terminal: Terminal) -> None:
    terminal.write("pass", "six honest serving men\n")
    secret = ("--passphrase-file", "pass")
    root = ("--name", "Example Root", "--algorithm", "p256", "--days", "7305", *secret)
    terminal.does("create_root", *root)
    issuing = ("--root", "Example Root", "--name", "Example Issuing", "--algorithm", "p256")
    terminal.does("create_issuer", *issuing, *secret, "--permit", "example.test")


def test_the_practice_host_is_made_from_a_shell(can_run_hosts: None) -> None:
    """By the root helper of a console that runs; the command is nobody but who may ask it."""
    with started() as terminal, practice_helper(terminal):
        made = terminal.run("add_host", "practice")
        assert made.status == 0, made.out + made.err
        assert "mail1.example.test is connected: Sendmail 8" in made.out and "… " in made.out
        assert terminal.does("add_host", "practice")["state"] == "ready", "once more is the same"
        assert "no certificate" in terminal.refuses("objected", "deploy", "practice", "--yes")


@contextmanager
def practice_helper(terminal: Terminal) -> Iterator[None]:
    terminal.run("drift", "practice")  # the data folder, and whom it belongs to
    socket, uid = terminal.data / "run" / "local.sock", (terminal.data / "db.sqlite3").stat().st_uid
    helper = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(CHECKOUT), str(socket), str(uid), str(terminal.data)]
    )
    until = time.monotonic() + 20
    while not socket.exists() and time.monotonic() < until:
        time.sleep(0.05)
    try:
        yield
    finally:
        helper.terminate()
        helper.wait(30)
        for machine in (terminal.data / "practice").glob("*/machine.json"):
            Machine(machine.parent).destroy()
