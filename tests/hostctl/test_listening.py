"""The bridge's sockets when the system has no room."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.hostctl import listening


def _echo(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        client.sendall(client.recv(10))


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        yield client


def _serving(tmp_path: Path) -> Path:
    path = tmp_path / "asked.sock"
    listening.start(listening.listen(path), _echo, most=4)
    return path


def test_without_a_free_descriptor_it_goes_on_as_soon_as_there_is_one(tmp_path: Path) -> None:
    path = _serving(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _connected(path) as first:
        first.sendall(b"one")
        assert first.recv(10) == b"one"
        with socket.socket(socket.AF_UNIX) as taken, socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            try:
                taken.connect(str(path))  # its descriptor was set aside before
                client.connect(str(path))
                threading.Event().wait(0.3)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.sendall(b"two")
            assert client.recv(10) == b"two"


def test_without_a_thread_it_hangs_up_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _serving(tmp_path)
    with monkeypatch.context() as patched:

        def none(*_: object, **__: object) -> threading.Thread:
            raise RuntimeError("can't start new thread")

        patched.setattr(threading, "Thread", none)
        for _ in range(6):  # more than there are places
            with _connected(path) as client:
                assert client.recv(10) == b""
    with _connected(path) as client:
        client.sendall(b"three")
        assert client.recv(10) == b"three"


def test_more_files_may_be_open_than_usual() -> None:
    code = (
        "import resource; from deploy.hostctl import listening; of = resource.RLIMIT_NOFILE;"
        "resource.setrlimit(of, (64, resource.getrlimit(of)[1])); listening.open_many();"
        "print(*resource.getrlimit(of))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    soft, hard = map(int, done.stdout.split())
    assert soft == (16_384 if hard < 0 else min(16_384, hard))
