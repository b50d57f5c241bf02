"""The root helper with real hosts: who may ask, and what is left when it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.practice import Machine, client, helper

ROOT = Path(__file__).parents[2]
SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from deploy.practice import serve\n"
    "serve(sys.argv[2], 65534, sys.argv[3])\n"
)
ASK = (
    "import os, socket, sys; os.setgid(65534); os.setuid(int(sys.argv[2]))\n"
    "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
    's.sendall(b\'{"verb": "practice.status"}\\n\'); print(s.makefile().readline())\n'
)


class Served:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "local.sock"
        self.directory = folder / "practice"
        self.process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        command = [sys.executable, "-c", SERVE, str(ROOT), str(self.socket), str(self.directory)]
        self.process = subprocess.Popen(command)
        end = time.monotonic() + 10
        while client.status(self.socket)["code"] == "no_helper":
            assert time.monotonic() < end
            time.sleep(0.02)

    def down(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    @property
    def machine(self) -> Machine:
        return Machine(self.directory / "practice")


@pytest.fixture
def served(tmp_path, can_run_hosts):
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    found = Served(tmp_path)
    try:
        found.up()
        yield found
    finally:
        found.down()
        if (found.directory / "practice").exists():
            found.machine.destroy()


def test_a_host_is_made_with_progress_and_described(served):
    assert client.status(served.socket)["possible"] is True
    events = list(client.stream("practice.create", served.socket, release="trixie"))
    fractions = [event["fraction"] for event in events[:-1]]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    result = events[-1]
    assert result["event"] == "result"
    assert result["state"] == "running"
    assert result["release"] == "trixie"
    assert result["host_key"] == served.machine.host_key()
    again = list(client.stream("practice.create", served.socket, release="trixie"))[-1]
    assert again == result
    other = list(client.stream("practice.create", served.socket, release="bookworm"))[-1]
    assert other["code"] == "exists"
    assert list(client.stream("practice.stop", served.socket))[-1]["state"] == "stopped"
    assert client.status(served.socket)["state"] == "stopped"
    assert list(client.stream("practice.start", served.socket))[-1]["state"] == "running"
    assert list(client.stream("practice.destroy", served.socket))[-1]["state"] == "absent"
    assert list(client.stream("practice.destroy", served.socket))[-1]["state"] == "absent"
    assert list(client.stream("practice.start", served.socket))[-1]["code"] == "absent"


def test_only_the_console_and_root_may_ask(served):
    def ask(uid: int) -> dict[str, object]:
        command = ["/usr/bin/python3", "-c", ASK, str(served.socket), str(uid)]
        answer: dict[str, object] = json.loads(subprocess.check_output(command))
        return answer

    assert ask(65534)["event"] == "result"
    assert ask(65533) == {
        "event": "error",
        "code": "denied",
        "message": "Only the console itself may ask.",
    }


def test_hosts_stop_with_the_console_and_come_back_with_it(served):
    list(client.stream("practice.create", served.socket))
    key = served.machine.host_key()
    served.down()
    assert not served.machine.running
    assert not served.socket.exists()
    served.up()
    end = time.monotonic() + 10
    while client.status(served.socket)["state"] != "running" and time.monotonic() < end:
        time.sleep(0.05)
    assert served.machine.host_key() == key
    list(client.stream("practice.stop", served.socket))
    served.down()
    served.up()
    time.sleep(0.5)
    assert client.status(served.socket)["state"] == "stopped"


def test_a_killed_helper_leaves_the_host_running_and_the_next_finds_it(served):
    list(client.stream("practice.create", served.socket))
    pid = served.machine.pid
    served.down(signal.SIGKILL)
    assert served.machine.pid == pid
    served.up()
    found = client.status(served.socket)
    assert found["state"] == "running"
    assert served.machine.pid == pid


def test_files_stay_where_only_root_decides(tmp_path, monkeypatch, can_run_hosts):
    monkeypatch.setenv("MAILADMIN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    assert helper.safe_directory(folder / "practice") == folder / "practice"
    folder.chmod(0o1777)  # sticky: others write, and cannot rename what is root's
    assert helper.safe_directory(folder / "practice") == folder / "practice"
    folder.chmod(0o777)
    elsewhere = helper.safe_directory(folder / "practice")
    assert elsewhere.parent == tmp_path / "cache" / "instances"
    os.chown(folder, 65534, 65534)
    assert helper.safe_directory(folder / "practice") == elsewhere
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert helper.safe_directory(link / "practice").parent == elsewhere.parent
