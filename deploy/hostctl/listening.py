"""What the bridge's sockets share: being there, and a thread for each question."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import BinaryIO, Callable, Optional, Tuple

_MOST_KEY = 1024
_FILES = 16_384
"""What the bridge may have open: a thousand sessions with four each, for three sockets."""
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED})


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


def open_many() -> None:
    """The usual limit of 1024 files is less than what Postfix's processes keep open here."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def serve(listener: socket.socket, answer: Callable[[socket.socket], None], *, most: int) -> None:
    """Answers for ever, `most` questions at once: the others wait in line, and so does everybody
    while the system has no room for one more."""
    room = threading.BoundedSemaphore(most)

    def one(client: socket.socket) -> None:
        try:
            answer(client)
        finally:
            room.release()

    while True:
        room.acquire()
        try:
            client, _ = listener.accept()
        except OSError as failure:
            if failure.errno not in _NO_ROOM:
                raise
            room.release()
            time.sleep(0.1)
            continue
        try:
            threading.Thread(target=one, args=(client,), daemon=True).start()
        except RuntimeError:  # no thread can be started: whoever asks is told to come again
            client.close()
            room.release()


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
