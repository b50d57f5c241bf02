"""The root helper: who may ask, what may be asked, and jobs that outlive whoever asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deploy.practice import Machine, PracticeError, client, helper, verbs

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
            self.process.wait(20)
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


# --- the conversation, without a host -------------------------------------------------------------


class Conversation:
    """A helper whose only verb waits until it is told to go on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.helper = helper.Helper(os.getuid(), folder)
        self.go_on = threading.Event()
        self.runs = 0
        known = {"practice.create": (self.slow, frozenset({"name"}))}
        monkeypatch.setattr(verbs, "VERBS", known)
        monkeypatch.setattr(helper, "REPEAT_SECONDS", 0.05)

    def slow(self, directory, *, name="practice", progress):
        self.runs += 1
        progress("download", 0.5)
        assert self.go_on.wait(10)
        if name == "broken":
            raise PracticeError("mirror", "No mirror.")
        if name == "mad":
            raise ZeroDivisionError("one over nothing")
        return {"state": "running", "name": name}

    def ask(self, line: bytes):
        ours, theirs = socket.socketpair()
        threading.Thread(target=self.helper.converse, args=(theirs,), daemon=True).start()
        ours.settimeout(10)
        ours.sendall(line)
        return ours


def events(connection: socket.socket) -> list[dict[str, object]]:
    with connection, connection.makefile("r") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
def conversation(tmp_path, monkeypatch):
    return Conversation(tmp_path, monkeypatch)


def test_asking_again_joins_the_job_and_sees_it_whole(conversation):
    request = b'{"verb": "practice.create"}\n'
    first = conversation.ask(request)
    assert b"download" in first.recv(200)
    second = conversation.ask(request)
    assert b"download" in second.recv(200)
    conversation.go_on.set()
    for connection in (first, second):
        assert events(connection)[-1] == {"event": "result", "state": "running", "name": "practice"}
    assert conversation.runs == 1


def test_a_client_that_leaves_does_not_end_the_job(conversation):
    request = b'{"verb": "practice.create"}\n'
    with conversation.ask(request) as first:
        assert first.recv(200)
    time.sleep(0.2)
    second = conversation.ask(request)
    assert second.recv(200)
    conversation.go_on.set()
    assert events(second)[-1]["event"] == "result"
    assert conversation.runs == 1


def test_a_job_that_says_nothing_new_repeats_itself(conversation):
    connection = conversation.ask(b'{"verb": "practice.create"}\n')
    time.sleep(0.3)
    conversation.go_on.set()
    seen = events(connection)
    assert len([event for event in seen if event["event"] == "progress"]) >= 3


def test_one_job_at_a_time(conversation):
    first = conversation.ask(b'{"verb": "practice.create"}\n')
    assert first.recv(200)
    other = events(conversation.ask(b'{"verb": "practice.create", "name": "other"}\n'))
    assert [event.get("code") for event in other] == ["busy"]
    conversation.go_on.set()
    events(first)
    other = events(conversation.ask(b'{"verb": "practice.create", "name": "other"}\n'))
    assert other[-1]["name"] == "other"


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("broken", "mirror", "No mirror."), ("mad", "internal", "ZeroDivisionError")],
)
def test_a_failure_is_told_and_the_next_job_is_taken(conversation, name, code, words):
    conversation.go_on.set()
    line = json.dumps({"verb": "practice.create", "name": name}).encode() + b"\n"
    last = events(conversation.ask(line))[-1]
    assert last["code"] == code
    assert words in last["message"]
    assert events(conversation.ask(b'{"verb": "practice.create"}\n'))[-1]["event"] == "result"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{nonsense\n",
        b'{"verb": "practice.run", "argv": "id"}\n',
        b'{"verb": "practice.create", "image": "/"}\n',
        b'{"verb": "practice.create", "name": 7}\n',
        b'{"verb": ["practice.create"]}\n',
        b"{" + b" " * 9000 + b"}\n",
        b'{"verb": "practice.status", "name": "../../etc"}\n',
    ],
)
def test_anything_else_is_refused(conversation, line):
    answer = events(conversation.ask(line))
    assert [event["event"] for event in answer] == ["error"]
    assert answer[0]["code"] in ("request", "name")
    assert conversation.runs == 0


@pytest.mark.parametrize("name", ["..", "a/b", "", "A", "x" * 21, "a\nb"])
def test_a_name_is_no_path(tmp_path, name):
    with pytest.raises(PracticeError, match="is no name"):
        verbs.place(tmp_path, name)


@pytest.mark.parametrize(
    "key",
    ["ssh-ed25519", 'ssh-ed25519 AAAA" x', "ssh-ed25519 AAAA\nssh-ed25519 BBBB", "x AAAA"],
)
def test_a_public_key_is_one_key(tmp_path, key):
    with pytest.raises(PracticeError, match="not a public SSH key"):
        verbs.create(tmp_path, public_key=key)


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


def test_without_a_helper_the_reason_is_said(tmp_path):
    found = client.status(tmp_path / "none.sock")
    assert found["possible"] is False
    assert "root" in found["reason"]
    assert list(client.stream("practice.create", tmp_path / "none.sock"))[-1]["code"] == "no_helper"
