"""The commands about hosts, each in a process of its own, on a real Debian; no console runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.terminal import CHECKOUT, Terminal, on_sqlite, started

pytestmark = on_sqlite
NAME = "mail2.example.test"


@pytest.fixture
def terminal(fresh_machine) -> Iterator[Terminal]:
    """A console whose practice host is live on generation 1."""
    machine = fresh_machine("trixie")
    with started() as at:
        at.data.mkdir(exist_ok=True)
        worker = [sys.executable, "-m", "tests.live.worker", "prepare", str(machine.directory)]
        env = os.environ | {"MAILADMIN_DATA": str(at.data)}
        env["DJANGO_SETTINGS_MODULE"] = "mailadmin.settings"
        subprocess.run(worker, cwd=CHECKOUT, env=env, check=True)
        at.machine = machine  # type: ignore[attr-defined]
        yield at


def test_from_a_shell_alone(terminal: Terminal) -> None:
    assert terminal.does("plan", "practice")["changes"] == []
    same = terminal.does("deploy", "practice", "--yes")
    assert (same["confirmed"], same["rollout"]) == (True, None)
    assert same["hosts"] == [{"host": NAME, "state": "nothing_to_do", "generation": 1}]

    terminal.sql("UPDATE deploy_host SET message_size_mb = 20")
    plan = terminal.does("plan", NAME)
    assert plan["may_go"] and plan["changes"] == ["largest message, in MB: 50 → 20"]
    shown = terminal.run("deploy", "practice", "--yes", "--reason", "smaller")
    assert shown.status == 0, shown.out + shown.err
    for part in ("largest message, in MB: 50 → 20", "✓ Checked on the server", "on generation 2"):
        assert part in shown.out
    assert not shown.err

    proved = terminal.does("probe", "practice")
    assert proved["generation"] == 2 and all(each["ok"] for each in proved["probes"])
    assert {each["port"] for each in proved["probes"]} == {25, 465, 587, 993, 995}

    back = terminal.does("rollback", "practice", "--to", "1")
    (host,) = back["hosts"]
    assert (host["state"], host["generation"], host["base"]) == ("confirmed", 3, 2)
    assert terminal.does("drift", "practice")["drift"] == []
    file = "/var/lib/mailadmin/generations/3/sendmail/sendmail.mc"
    terminal.machine.run(["sh", "-c", f"echo dnl by hand >> {file}"])  # type: ignore[attr-defined]
    assert terminal.does("drift", "practice")["drift"] == [file]
    asked = terminal.run("drift", NAME, "--exit-code")
    assert asked.status == 2 and file in asked.out
