"""The root helper's conversation: what may be asked, and jobs that outlive whoever asked."""

import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from deploy.practice import PracticeError, client, helper, verbs


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


def test_without_a_helper_the_reason_is_said(tmp_path):
    found = client.status(tmp_path / "none.sock")
    assert found["possible"] is False
    assert "root" in found["reason"]
    assert list(client.stream("practice.create", tmp_path / "none.sock"))[-1]["code"] == "no_helper"
