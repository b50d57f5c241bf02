"""The web process's sockets, opened by the supervisor: no request is refused while web starts
again, and a port that is taken is known before anything is started."""

import socket

from mailadmin.privileges import CannotStart


def listen(port: int) -> list[socket.socket]:
    """Loopback, both families where there are two. Raises CannotStart with the port's number."""
    found = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
            one.listen(512)
        except PermissionError:
            raise CannotStart(
                f"Port {port} needs root. Choose one above 1023: MAILADMIN_PORT=8000 ./run"
            ) from None
        except OSError:
            one.close()
            if family is socket.AF_INET6:
                continue  # no IPv6 here, or another program has it there: localhost still works
            raise CannotStart(
                f"Port {port} is taken by another program. "
                f"Choose another one: MAILADMIN_PORT={port + 1} ./run"
            ) from None
        found.append(one)
    return found
