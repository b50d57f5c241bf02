"""Asking the root helper for practice hosts; standard library alone, no root.

    for event in stream("practice.create", socket_path, fqdn="mail1.example.test", public_key=key):
        ...   # {"event": "progress", …} until one {"event": "result", …} or {"event": "error", …}

The last event is always a result or an error, also when there is no helper or it goes away. Leaving
the loop early does not stop the job; asking the same again joins it.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The helper repeats itself every 3 seconds: longer silence means that it is gone.
SILENCE_SECONDS = 60.0

Event = dict[str, Any]


def stream(verb: str, socket_path: Path | str, **arguments: str) -> Iterator[Event]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SILENCE_SECONDS)
        try:
            connection.connect(str(socket_path))
        except OSError:
            yield _error(
                "no_helper",
                "Practice hosts need root: start the console as root on Linux to use them.",
            )
            return
        try:
            connection.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    event: Event = json.loads(line)
                    yield event
                    if event["event"] != "progress":
                        return
        except (OSError, ValueError):
            pass
    yield _error("helper_gone", "The helper for practice hosts went away: try again.")


def status(socket_path: Path | str, **arguments: str) -> Event:
    """The helper's status; without a helper `possible` is false and `reason` says why."""
    *_, event = stream("practice.status", socket_path, **arguments)
    if event["event"] == "result":
        return event
    return {
        "state": "absent",
        "possible": False,
        "code": event["code"],
        "reason": event["message"],
        "job": None,
    }


def _error(code: str, message: str) -> Event:
    return {"event": "error", "code": code, "message": message}
