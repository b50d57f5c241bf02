"""SSH for real: an SSH server in this process, whose one command answers as a helper would."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import asyncssh
import pytest

from deploy import transport
from deploy.transport import (
    Broken,
    HostError,
    HostKeyMismatch,
    LoginRefused,
    SshTransport,
    Target,
    Unreachable,
    last,
)

Answer = Callable[[dict, bytes], list[str]]


class Server:
    """Runs in a thread of its own. `answers` maps a verb to the lines it prints."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.connections = 0
        self.commands: list[str | None] = []
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.private, self.public = transport.make_key_pair("mailadmin")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._acceptor = self._run(self._listen())
        self.port = self._acceptor.get_port()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self):
        server = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, connection) -> None:
                server.connections += 1
                server.last = connection

            def begin_auth(self, username: str) -> bool:
                return True

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                known = asyncssh.import_public_key(server.public)
                return username == "mailadmin" and key == known

        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Door,
            server_host_keys=[self.host_key],
            process_factory=self._helper,
            encoding=None,
        )

    async def _helper(self, process) -> None:
        self.commands.append(process.command)
        header = json.loads(await process.stdin.readline())
        payload = await process.stdin.read()
        for line in self.answers[header["verb"]](header, payload):
            if line == "close":
                process.channel.get_connection().abort()
                return
            if line.startswith("sleep "):
                await asyncio.sleep(float(line.split()[1]))
                continue
            process.stdout.write(line.encode() + b"\n")
        process.exit(0)

    def drop_connections(self) -> None:
        self._loop.call_soon_threadsafe(self.last.abort)

    def close(self) -> None:
        async def end() -> None:
            self._acceptor.close()
            if self.connections:
                self.last.abort()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def target(self) -> Target:
        return Target(
            uuid="u",
            fqdn="mail1.example.test",
            address="127.0.0.1",
            port=self.port,
            host_key=self.host_key.export_public_key().decode().strip(),
            private_key=self.private,
        )


def result(**fields) -> str:
    return json.dumps({"event": "result", **fields})


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.answers["facts"] = lambda header, payload: [result(hostname="mail1")]
    yield made
    made.close()


@pytest.fixture
def ssh() -> SshTransport:
    return SshTransport()


FACTS = {"v": 1, "verb": "facts"}


def test_steps_come_as_they_happen_and_the_result_last(server, ssh) -> None:
    step = json.dumps({"event": "step", "name": "m4", "ok": True})
    server.answers["validate"] = lambda header, payload: [step, "sleep 0.5", result(done=1)]
    events = ssh.connect(server.target).call({"v": 1, "verb": "validate"})
    began = time.monotonic()
    assert next(events)["name"] == "m4"
    assert time.monotonic() - began < 0.4
    assert next(events)["done"] == 1


def test_a_payload_of_megabytes_arrives_whole(server, ssh) -> None:
    server.answers["stage"] = lambda header, payload: [result(size=len(payload))]
    payload = bytes(3_000_000)
    answer = last(ssh.connect(server.target).call({"v": 1, "verb": "stage"}, payload))
    assert answer["size"] == len(payload)


def test_no_command_is_sent_for_the_host_decides_what_runs(server, ssh) -> None:
    last(ssh.connect(server.target).call(FACTS))
    assert server.commands == [None]


def test_one_connection_serves_all_requests_of_a_job_and_of_the_next(server, ssh) -> None:
    for _job in range(2):
        connection = ssh.connect(server.target)
        for _request in range(3):
            last(connection.call(FACTS))
        connection.close()
    assert server.connections == 1


def test_a_kept_connection_that_died_is_replaced(server, ssh) -> None:
    connection = ssh.connect(server.target)
    last(connection.call(FACTS))
    connection.close()
    server.drop_connections()
    time.sleep(0.2)
    assert last(ssh.connect(server.target).call(FACTS))["hostname"] == "mail1"
    assert server.connections == 2


def test_another_host_key_is_refused_before_anything_is_sent(server, ssh) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(HostKeyMismatch):
        ssh.connect(replace(server.target, host_key=other))
    assert server.commands == []


def test_a_key_of_another_kind_is_a_mismatch_too(server, ssh) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(HostKeyMismatch):
        ssh.connect(replace(server.target, host_key=other))


def test_a_key_the_host_does_not_know_is_a_refused_login(server, ssh) -> None:
    private, _public = transport.make_key_pair("other")
    with pytest.raises(LoginRefused):
        ssh.connect(replace(server.target, private_key=private))


def test_nobody_listening_is_unreachable(server, ssh) -> None:
    with pytest.raises(Unreachable):
        ssh.connect(replace(server.target, port=1))


def test_the_helpers_error_has_its_code_and_words(server, ssh) -> None:
    error = {"event": "error", "code": "base_moved", "message": "Look again.", "generation": 4}
    server.answers["stage"] = lambda header, payload: [json.dumps(error)]
    with pytest.raises(HostError) as raised:
        last(ssh.connect(server.target).call({"v": 1, "verb": "stage"}))
    assert (raised.value.code, raised.value.message) == ("base_moved", "Look again.")
    assert raised.value.event["generation"] == 4


@pytest.mark.parametrize("line", ["close", "not json", '{"event": "surprise"}', "[]"])
def test_an_answer_that_stops_short_or_is_none_is_broken(server, ssh, line) -> None:
    server.answers["switch"] = lambda header, payload: [line]
    with pytest.raises(Broken):
        last(ssh.connect(server.target).call({"v": 1, "verb": "switch"}))


def test_a_host_that_takes_too_long_is_broken_and_the_caller_was_kept_awake(server, ssh) -> None:
    server.answers["switch"] = lambda header, payload: ["sleep 30"]
    beats = []
    with pytest.raises(Broken):
        call = ssh.connect(server.target).call
        last(call({"v": 1, "verb": "switch"}, seconds=2.5, beat=lambda: beats.append(1)))
    assert len(beats) >= 2


def test_a_caller_that_lost_its_lease_stops_at_once(server, ssh) -> None:
    class LeaseLost(Exception):
        pass

    def lost() -> None:
        raise LeaseLost

    server.answers["switch"] = lambda header, payload: ["sleep 30"]
    with pytest.raises(LeaseLost):
        last(ssh.connect(server.target).call({"v": 1, "verb": "switch"}, beat=lost))


def test_the_hosts_key_can_be_read_before_it_is_trusted(server) -> None:
    read = transport.read_host_key("127.0.0.1", server.port)
    assert read.split()[:2] == server.target.host_key.split()[:2]
    assert transport.fingerprint(read).startswith("SHA256:")
    with pytest.raises(Unreachable):
        transport.read_host_key("127.0.0.1", 1, seconds=2)


def test_a_header_is_bounded() -> None:
    with pytest.raises(ValueError, match="64 KiB"):
        transport.encode_header({"verb": "x" * 70_000})


def test_a_forked_worker_opens_its_own_connection(server, ssh) -> None:
    """Celery forks: neither the loop nor an open connection may be shared with the parent."""
    import os

    connection = ssh.connect(server.target)
    last(connection.call(FACTS))
    connection.close()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = last(ssh.connect(server.target).call(FACTS))
            os.write(writing, str(answer["hostname"]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 100)
    os.waitpid(child, 0)
    assert said == b"mail1"
    assert server.connections == 2
