"""A mail server for tests of what the console sends."""

from __future__ import annotations

import socketserver


class Sink(socketserver.ThreadingTCPServer):
    """A mail server of a few lines (RFC 5321): it keeps what it is given, or says `answer`."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.mails: list[tuple[list[str], bytes]] = []
        self.answer = b""


class Session(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        self.wfile.write(b"220 sink.example.test ESMTP\r\n")
        to: list[str] = []
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"RCPT":
                to.append(line.split(b"<")[1].split(b">")[0].decode())
            if verb == b"RCPT" and self.server.answer:
                self.wfile.write(self.server.answer + b"\r\n")
            elif verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (more := self.rfile.readline()) not in (b".\r\n", b""):
                    body += more
                self.server.mails.append((to, body))
                to = []
                self.wfile.write(b"250 kept\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")
