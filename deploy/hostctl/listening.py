"""What the bridge's sockets share: being there, and a thread for each question."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Callable


def listen(path: Path) -> socket.socket:
    """The socket, in place only when it can be connected to."""
    beside = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(beside))
    beside.chmod(0o600)
    listener.listen(128)
    os.replace(beside, path)
    return listener


def serve(listener: socket.socket, answer: Callable[[socket.socket], None], *, most: int) -> None:
    """Answers for ever, `most` questions at once: the others wait in line."""
    room = threading.BoundedSemaphore(most)

    def one(client: socket.socket) -> None:
        try:
            answer(client)
        finally:
            room.release()

    while True:
        room.acquire()
        client, _ = listener.accept()
        threading.Thread(target=one, args=(client,), daemon=True).start()
