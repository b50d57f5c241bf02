"""`manage.py up`, for real: starting, refusing to start, restarting what dies, stopping."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest
import redis

from tests.run.console import Console, alive, free_port, owner_of, wait_for

pytestmark = pytest.mark.faults


def test_starts_and_says_where(running: Console) -> None:
    assert running.get() == 200
    said = running.said()
    assert f"Mailadmin is at http://localhost:{running.port}\n" in said
    assert running.link().startswith(f"http://localhost:{running.port}/setup/")
    assert f"ssh -L {running.port}:localhost:{running.port} " in said


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_and_leaves_no_process(running: Console, by: signal.Signals) -> None:
    everything = running.everything()
    assert len(everything) > 8
    assert running.stop(by) == 0
    assert not [pid for pid in everything if alive(pid)]
    assert running.said().endswith("Stopped.\n")


def test_starts_again_on_the_same_data(running: Console) -> None:
    first = running.link()
    running.stop()
    running.output.unlink()
    running.start().ready()
    assert running.link() != first, "each start makes a new link while there is no owner"


def test_a_second_start_says_so(running: Console) -> None:
    second = running.once("up", MAILADMIN_PORT=str(free_port()))
    assert second.returncode == 1
    assert f"process {running.pid}, http://localhost:{running.port}" in second.stderr
    assert "Traceback" not in second.stderr
    assert running.get() == 200


def test_a_taken_port_is_named(console: Console) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", console.port))
        other.listen()
        refused = console.once("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Port {console.port} is taken by another program.")
    assert f"MAILADMIN_PORT={console.port + 1}" in refused.stderr


def test_a_port_that_is_no_number_is_named(console: Console) -> None:
    refused = console.once("up", MAILADMIN_PORT="http")
    assert refused.returncode == 1
    assert "MAILADMIN_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_data_folder_that_cannot_be_written(console: Console) -> None:
    console.data.write_text("a file where the folder should be")
    refused = console.once("up")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"The data folder {console.data} cannot be written")
    assert "MAILADMIN_DATA" in refused.stderr


def test_a_data_folder_of_another_user(console: Console, as_root: None) -> None:
    console.data.mkdir(mode=0o700)
    console.prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    if console.once("help").returncode not in (0, 1):
        pytest.skip("an ordinary user cannot read this checkout")
    refused = console.once("up")
    assert refused.returncode == 1
    assert f"The data folder {console.data} cannot be written by nobody" in refused.stderr


def test_a_data_folder_whose_path_is_too_long_for_a_socket(console: Console) -> None:
    console.data = console.folder / ("long" * 30)
    refused = console.once("up")
    assert refused.returncode == 1
    assert "too long for a socket" in refused.stderr


@pytest.fixture(scope="module")
def steady() -> Iterator[Console]:
    """One console for the tests that leave it as they found it."""
    one = Console()
    yield one.start().ready()
    one.clear()


def test_workers_listen_again_after_valkey_was_killed(steady: Console) -> None:
    before = steady.children()["valkey"]
    wait_for(lambda: _listeners(steady) == 3)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: steady.children().get("valkey", before) != before)
    assert "valkey was killed by SIGKILL" in steady.said()
    assert steady.get() == 200
    wait_for(lambda: _listeners(steady) == 3)


@pytest.mark.parametrize("name", ["web", "sign", "now", "work", "beat"])
def test_a_child_comes_back_after_kill(steady: Console, name: str) -> None:
    before = steady.children()[name]
    below = [pid for pid in steady.everything() if _parent(pid) == before]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: steady.children().get(name, before) != before)
    assert not [pid for pid in below if alive(pid)], "its pool went with it"
    assert steady.get() == 200


def test_nothing_outlives_a_killed_supervisor(running: Console) -> None:
    everything = running.everything()
    assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not [pid for pid in everything if alive(pid)])
    running.start().ready()


def test_a_database_that_does_not_answer(console: Console) -> None:
    url = f"postgres://mailadmin@127.0.0.1:{free_port()}/mailadmin"
    refused = console.once("up", MAILADMIN_DATABASE_URL=url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The database cannot be used: ")
    assert "Traceback" not in refused.stderr


def test_a_machine_without_the_web_process_does_not_migrate(console: Console) -> None:
    refused = console.once("up", MAILADMIN_PROCESSES="now,work")
    assert refused.returncode == 1
    assert "Start the machine with the web process first" in refused.stderr


def test_only_the_wanted_processes_run(console: Console) -> None:
    refused = console.once("up", MAILADMIN_PROCESSES="web,mail")
    assert refused.returncode == 1
    assert "names mail; it knows web, sign, now, work, beat" in refused.stderr


def test_as_root_everything_gives_root_up(running: Console, as_root: None) -> None:
    if "Everything stays root" in running.said():
        pytest.skip("an ordinary user cannot read this checkout")
    children = running.children()
    for name in ("valkey", "web", "sign", "now", "work", "beat"):
        assert owner_of(children[name]) == "mailadmin", name
    keys = running.data / "keys"
    assert (keys.stat().st_uid, keys.stat().st_mode & 0o777) == (0, 0o700)
    assert (running.data / "db.sqlite3").owner() == "mailadmin"


def _listeners(console: Console) -> int:
    """How many workers wait for messages at the broker."""
    try:
        with redis.Redis(unix_socket_path=str(console.data / "run/valkey.sock")) as broker:
            return sum(client["cmd"] == "brpop" for client in broker.client_list())
    except redis.ConnectionError:
        return 0


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0
