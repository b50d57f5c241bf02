"""A line protocol over TCP, in clear or in TLS: what SMTP, IMAP and POP3 have in common.

The standard library's clients take the name for certificate checks from the address they connect
to; a probe connects to an address and must be shown a certificate for a name.
"""

import socket
import ssl
from types import TracebackType
from typing import Self

from deploy.probes.tls import Served, handshake
from deploy.probes.values import NotYet, Place, ProbeFailed

LINE_MOST = 8192


class Dialogue:
    """Connect, read lines, send lines, start TLS.

    A refused or reset connection is NotYet: a daemon may be on its way up.
    """

    def __init__(self, place: Place, port: int) -> None:
        self.place = place
        self.served: Served | None = None
        try:
            self._socket: socket.socket = socket.create_connection(
                (place.address, port), timeout=place.seconds
            )
        except OSError as error:
            raise NotYet(_words(error)) from error
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask_for_tls(self) -> None:
        """Whatever must be said before a ClientHello: nothing where TLS is there from the first
        byte."""

    def start_tls(self) -> Served:
        """TLS with everything checked but the fingerprint, which the caller compares."""
        self._buffer = b""  # what came in clear must not speak inside TLS
        self._socket, self.served = handshake(self._socket, self.place)
        return self.served

    def line(self) -> str:
        while b"\n" not in self._buffer:
            try:
                more = self._socket.recv(4096)
            except (OSError, ssl.SSLError) as error:
                raise NotYet(_words(error)) from error
            if not more:
                raise NotYet("connection closed by the host")
            self._buffer += more
            if len(self._buffer) > LINE_MOST and b"\n" not in self._buffer:
                raise ProbeFailed("a line without an end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def exchange(self, record: bytes, most: int) -> bytes:
        """Bytes in clear and the first of the answer: nothing where the host closed."""
        answer = b""
        try:
            self._socket.sendall(record)
            while len(answer) < most and (more := self._socket.recv(most - len(answer))):
                answer += more
                if len(answer) >= 5 and len(answer) >= 5 + int.from_bytes(answer[3:5], "big"):
                    break
        except ConnectionResetError:
            pass
        except OSError as error:
            raise NotYet(_words(error)) from error
        return answer

    def send(self, line: str) -> None:
        try:
            self._socket.sendall(line.encode("utf-8") + b"\r\n")
        except (OSError, ssl.SSLError) as error:
            raise NotYet(_words(error)) from error


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
