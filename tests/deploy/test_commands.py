"""The commands about hosts, each in a process of its own, with the console stopped.

With a host that answers, and on a real Debian, they are in `tests/live/test_deploy_commands.py`.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from deploy.bundle import TLS_CHAIN
from deploy.management.following import finer_first
from deploy.models import RolloutStep
from tests.terminal import CHECKOUT, Terminal, on_sqlite, started

pytestmark = on_sqlite
NAME, OTHER = "mail3.example.test", "mail5.example.test"
DEPLOY = ("deploy", NAME, "--yes", "--overwrite")
WAITING = (
    "SELECT s.id FROM deploy_rolloutstep s JOIN deploy_hostrollout r ON r.id = s.host_rollout_id"
    " WHERE r.state = 'staging' AND s.name = 'wait'"
)
KEY = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    """With a host that is ready, and at whose address nothing answers."""
    with started() as at:
        at.data.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.deploy.console"]
        subprocess.run(command, cwd=CHECKOUT, env=environment(at), check=True)
        yield at


@pytest.fixture(autouse=True)
def idle(terminal: Terminal) -> Iterator[None]:
    """No test leaves the next one a rollout under way."""
    yield
    refused(terminal)


def refused(terminal: Terminal) -> None:
    terminal.sql("UPDATE deploy_hostrollout SET state = 'refused', lease_until = NULL")


def environment(terminal: Terminal) -> dict[str, str]:
    return {
        **os.environ,
        "MAILADMIN_DATA": str(terminal.data),
        "DJANGO_SETTINGS_MODULE": "mailadmin.settings",
    }


def without_keys(terminal: Terminal) -> dict[str, str]:
    empty = terminal.folder / "empty"
    empty.mkdir(exist_ok=True)
    return {"CREDENTIALS_DIRECTORY": str(empty)}


def at_a_terminal(terminal: Terminal, answer: str, *argv: str) -> tuple[int, str]:
    """Somebody types `answer`; returns the status and what stood on the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(CHECKOUT / "manage.py"), *argv],
        cwd=terminal.folder,
        env=environment(terminal),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    out, _none = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, out


def rollouts(terminal: Terminal) -> int:
    ((count,),) = terminal.sql("SELECT count(*) FROM deploy_rollout")
    return int(count)


@pytest.mark.parametrize(
    "argv",
    [
        ("plan", "nobody.test"),
        ("deploy", NAME, "nobody.test", "--yes"),
        ("rollback", "nobody.test", "--to", "1"),
        ("drift", "nobody.test"),
        ("release", "nobody.test", "--yes"),
        ("probe", "nobody.test"),
        ("certify", "nobody.test"),
        ("add_host", "nobody.test", "--check"),
    ],
)
def test_an_unknown_host_is_refused_by_naming_those_there_are(terminal, argv) -> None:
    sentence = terminal.refuses("host_unknown", *argv)
    assert "nobody.test" in sentence and NAME in sentence
    practice = tuple("practice" if word == "nobody.test" else word for word in argv)
    if argv[0] != "add_host":  # which makes it
        assert NAME in terminal.refuses("host_unknown", *practice)


@pytest.mark.parametrize(
    ("argv", "needed", "may", "may_not"),
    [
        (("plan", NAME), "Auditor", "auditor", "helpdesk"),
        (("drift", NAME), "Auditor", "auditor", "helpdesk"),
        (("deploy", NAME), "Administrator", "administrator", "auditor"),
        (("release", NAME), "Administrator", "administrator", "auditor"),
        (("rollback", NAME, "--to", "7"), "Administrator", "administrator", "auditor"),
        (("probe", NAME), "Administrator", "administrator", "auditor"),
        (("add_host", "-"), "Owner", "owner", "administrator"),
        (("certify", NAME, "--issuer", "no"), "Administrator", "administrator", "auditor"),
    ],
)
def test_each_needs_its_role(terminal, argv, needed, may, may_not) -> None:
    assert needed in terminal.refuses("operator_may_not", *argv, "--as", may_not)
    answer = terminal.run(*argv, "--json", "--as", may)
    assert answer.json.get("code") != "operator_may_not"


def test_the_plan_is_the_api_s(terminal: Terminal) -> None:
    plan = terminal.does("plan", NAME.upper())
    assert set(plan) == {
        *("host", "may_go", "objections", "changes"),
        *("files", "services", "seconds_refused", "drift", "drift_mark"),
    }
    assert plan["may_go"] and plan["changes"] == ["first configuration"]
    assert plan["services"]["sendmail"] == "start" and plan["drift"] == ["/etc/mail/sendmail.cf"]
    (chain,) = [file for file in plan["files"] if file["path"] == TLS_CHAIN]
    assert chain["kind"] == "added" and "SHA-256" in chain["diff"]


def test_people_read_the_plan_file_by_file(terminal: Terminal) -> None:
    short, long = terminal.run("plan", NAME), terminal.run("plan", NAME, "--diff")
    assert short.status == long.status == 0
    for part in ("first configuration", "+ sendmail/sendmail.mc (Sendmail)", "Sendmail: starts"):
        assert part in short.out
    assert "SMTP 587: A wrong password is refused" in short.out
    assert "would be overwritten:\n  /etc/mail/sendmail.cf" in short.out
    assert "confMAX_MESSAGE_SIZE" in long.out and "confMAX_MESSAGE_SIZE" not in short.out


def test_nothing_is_put_live_that_nobody_said_yes_to(terminal: Terminal) -> None:
    before = rollouts(terminal)
    assert "--yes" in terminal.refuses("confirmation_missing", "deploy", NAME)
    status, screen = at_a_terminal(terminal, "n", "deploy", NAME)
    assert status == 1 and "Put it live? [y/N]" in screen and "Nothing was put live." in screen
    assert "first configuration" in screen
    assert rollouts(terminal) == before
    status, screen = at_a_terminal(terminal, "y", "deploy", NAME, "--wait", "0.5")
    assert status == 1 and rollouts(terminal) == before + 1


def test_what_was_changed_there_is_not_overwritten_by_a_yes_alone(terminal: Terminal) -> None:
    before = rollouts(terminal)
    said = terminal.refuses("drifted", "deploy", NAME, "--yes")
    assert "/etc/mail/sendmail.cf" in said and "--overwrite" in said
    assert rollouts(terminal) == before


def test_a_host_that_does_not_answer_is_waited_for(terminal: Terminal) -> None:
    answer = terminal.run(*DEPLOY, "--wait", "1", "--json")
    assert answer.status == 1 and answer.json["code"] == "not_in_time"
    (host,) = answer.json["hosts"]
    assert (host["host"], host["state"]) == (NAME, "staging")
    assert host["steps"][-1]["name"] == "wait"
    terminal.refuses("under_way", *DEPLOY)
    by = "SELECT DISTINCT actor_name FROM core_auditevent WHERE action = 'deploy.rollout.requested'"
    assert ("console",) in terminal.sql(by)


def test_of_several_hosts_one_goes_first_and_each_one_once(terminal: Terminal) -> None:
    argv = ("deploy", NAME, OTHER, NAME, "--yes", "--overwrite", "--wait", "1")
    answer = terminal.run(*argv, "--json")
    assert [each["host"] for each in answer.json["hosts"]] == [NAME, OTHER]
    assert [each["state"] for each in answer.json["hosts"]] == ["staging", "planned"]
    refused(terminal)
    shown = terminal.run(*argv)
    assert f"{NAME}:\n" in shown.out
    assert shown.out.count("… Waiting for the server") == 1


def test_which_one_goes_first_is_said(terminal: Terminal) -> None:
    argv = ("deploy", NAME, OTHER, "--first", OTHER, "--yes", "--overwrite", "--wait", "1")
    answer = terminal.run(*argv, "--json")
    seen = [(each["host"], each["state"], each["turn"]) for each in answer.json["hosts"]]
    assert seen == [(OTHER, "staging", 0), (NAME, "planned", 1)]
    refused(terminal)
    assert OTHER in terminal.refuses("not_among_them", *DEPLOY, "--first", OTHER)


def test_a_plan_for_several_hosts(terminal: Terminal) -> None:
    plans = terminal.does("plan", NAME, OTHER)["hosts"]
    assert [each["host"] for each in plans] == [NAME, OTHER]
    assert f"./run manage deploy {NAME} {OTHER}" in terminal.run("plan", NAME, OTHER).out


def test_at_a_time_it_is_planned_and_not_waited_for(terminal: Terminal) -> None:
    later = (datetime.now(UTC) + timedelta(hours=3)).isoformat(timespec="minutes")
    planned = terminal.does(*DEPLOY, "--at", later)
    assert planned["confirmed"] is False and planned["hosts"][0]["state"] == "planned"
    assert datetime.fromisoformat(planned["starts_at"]) == datetime.fromisoformat(later)
    refused(terminal)
    assert f"is planned for {later}" in terminal.run(*DEPLOY, "--at", later).out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tonight", "time_unreadable"),
        ("2099-01-01T03:00", "time_without_zone"),
        ("2020-01-01T03:00Z", "past"),
        ("2099-01-01T03:00+08:00", "too_far"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(terminal: Terminal, text, code) -> None:
    before = rollouts(terminal)
    terminal.refuses(code, *DEPLOY, "--at", text)
    assert rollouts(terminal) == before


def test_an_interrupted_command_says_that_it_goes_on(terminal: Terminal) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            str(CHECKOUT / "manage.py"),
            "deploy",
            NAME,
            "--yes",
            "--overwrite",
            "--json",
        ],
        env=environment(terminal),
        stdout=subprocess.PIPE,
        text=True,
        # Tests that run in the background were told to ignore it, and so would the command be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until = time.monotonic() + 30
    while not terminal.sql(WAITING) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _none = process.communicate(timeout=30)
    said = json.loads(out)
    assert process.returncode == 1 and said["code"] == "interrupted"
    assert "goes on" in said["error"] and terminal.sql(WAITING), "it is asked for still"


def test_finer_steps_come_before_what_they_are_part_of() -> None:
    names = ["stage", "stage.unpack", "stage.write", "validate", "probe.tls.imaps", "wait"]
    said = [step.name for step in finer_first([RolloutStep(name=name) for name in names])]
    assert said == ["stage.unpack", "stage.write", "stage", "validate", "probe.tls.imaps", "wait"]


def test_a_proof_needs_a_generation_and_the_keys(terminal: Terminal) -> None:
    assert "nothing to prove" in terminal.refuses("nothing_live", "probe", OTHER)
    terminal.run("deploy", OTHER, "--yes", "--overwrite", "--wait", "0.5")
    argv = ("rollback", OTHER, "--to", kept(terminal), "--overwrite")
    assert "already" in terminal.refuses("under_way", *argv)
    refused(terminal)
    terminal.sql("UPDATE deploy_generation SET state = 'live' WHERE state = 'kept'")
    terminal.refuses("keys_not_held", "probe", OTHER, **without_keys(terminal))
    assert "does not answer" in terminal.refuses("unreachable", "probe", OTHER)
    terminal.sql("UPDATE deploy_generation SET state = 'discarded'")


def kept(terminal: Terminal) -> str:
    """The newest generation of the other host, as if it had been live."""
    terminal.sql(
        "UPDATE deploy_generation SET state = 'kept' WHERE id = (SELECT max(g.id) FROM"
        " deploy_generation g JOIN deploy_host h ON h.id = g.host_id WHERE h.fqdn = ?)",
        OTHER,
    )
    ((number,),) = terminal.sql("SELECT number FROM deploy_generation WHERE state = 'kept'")
    return str(number)


def test_without_the_keys_it_waits_for_a_running_console(terminal: Terminal) -> None:
    argv = (*DEPLOY, "--wait", "0.5", "--json")
    answer = terminal.run(*argv, **without_keys(terminal))
    assert answer.status == 1 and answer.json["code"] == "keys_not_held"
    assert answer.json["hosts"][0]["state"] == "planned"
    assert "start the console" in answer.json["error"]
    refused = terminal.run("drift", NAME, "--wait", "0.5", "--json", **without_keys(terminal))
    assert refused.json["code"] == "keys_not_held"
    terminal.sql("DELETE FROM deploy_hostjob")


def test_what_cannot_work_is_refused_before_anybody_is_asked(terminal: Terminal) -> None:
    before = rollouts(terminal)
    terminal.sql("UPDATE deploy_host SET facts = json_set(facts, '$.sendmail', '')")
    sentence = terminal.refuses("objected", "deploy", NAME)
    assert NAME in sentence and "Sendmail is not installed" in sentence
    assert terminal.does("plan", NAME)["may_go"] is False
    terminal.sql("UPDATE deploy_host SET facts = json_set(facts, '$.sendmail', '8.17.1.9')")
    assert rollouts(terminal) == before


def test_only_what_was_live_is_gone_back_to(terminal: Terminal) -> None:
    assert NAME in terminal.refuses("not_kept", "rollback", NAME, "--to", "99")
    terminal.refuses("usage", "rollback", NAME)
    terminal.refuses("usage", "rollback", NAME, "--to", "first")


def test_a_host_that_cannot_be_reached_is_said_so(terminal: Terminal) -> None:
    assert "does not answer" in terminal.refuses("unreachable", "drift", NAME)


def test_a_host_is_added_by_a_command_to_paste(terminal: Terminal) -> None:
    name = "mail8.example.test"
    assert "full host name" in terminal.refuses("host_refused", "add_host", "mail8")
    terminal.refuses("host_refused", "add_host", name, "--address", "no address")
    argv = ("add_host", name, "--address", "127.0.0.1", "--port", "9")
    added = terminal.run(*argv, "--json")
    assert added.status == 0 and "does not answer" in added.err
    made = added.json
    assert (made["state"], made["host_key"]) == ("enrolling", "")
    assert made["public_key"].startswith("ssh-ed25519 ") and made["command"].startswith("base64 -d")
    again = terminal.run("add_host", name)
    assert again.status == 0 and made["public_key"] in again.out and made["command"] in again.out
    assert f"add_host {name} --check" in again.out
    terminal.refuses("host_taken", "add_host", name, "--address", "127.0.0.2")
    terminal.refuses("host_taken", "add_host", NAME)
    terminal.refuses("unreachable", "add_host", name, "--check", "--host-key", KEY)
    for command in ("plan", "drift"):
        assert "not connected yet" in terminal.refuses("not_ready", command, name)
    terminal.refuses("not_ready", "deploy", name, "--yes")
    by = "SELECT actor_name FROM core_auditevent WHERE subject = ? AND action = 'deploy.host.added'"
    assert terminal.sql(by, name) == [("console",)]
    shown = json.dumps(made)
    assert "PRIVATE" not in shown


def test_the_practice_host_needs_its_helper(terminal: Terminal) -> None:
    sentence = terminal.refuses("practice", "add_host", "practice")
    assert "start the console as root" in sentence
    assert terminal.sql("SELECT fqdn FROM deploy_host WHERE practice") == []
