"""What the bridge's sockets share: being there, and a thread for each question."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import BinaryIO, Callable, Optional, Tuple

_MOST_KEY = 1024


def listen(path: Path, owner: Optional[Tuple[int, int]] = None) -> socket.socket:
    """The socket, in place only when it can be connected to: by root, or by `owner` (uid, gid)."""
    beside = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(beside))
    beside.chmod(0o600)
    if owner is not None:
        os.chown(beside, *owner)
        beside.chmod(0o660)
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


def start(listener: socket.socket, answer: Callable[[socket.socket], None], *, most: int) -> None:
    """The same beside whoever calls."""
    threading.Thread(
        target=serve, args=(listener, answer), kwargs={"most": most}, daemon=True
    ).start()


def netstring(stream: BinaryIO) -> bytes:
    """What socketmap_table(5) sends: `5:hello,`.  Raises EOFError, ValueError."""
    length = b""
    while True:
        sign = stream.read(1)
        if not sign:
            raise EOFError
        if sign == b":":
            break
        length += sign
        if not sign.isdigit() or len(length) > 4:
            raise ValueError("not a netstring")
    if not length or int(length) > _MOST_KEY:
        raise ValueError("too long")
    text = stream.read(int(length) + 1)
    if len(text) != int(length) + 1 or text[-1:] != b",":
        raise ValueError("not a netstring")
    return text[:-1]
