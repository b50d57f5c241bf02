"""Queued mail that would bounce while the console does not manage the host: held, and let go.

Sendmail quarantines a message with a reason, and ours is how our own are known again.  One that is
being delivered is skipped without a word and with status 0, so what is left is looked for until
nothing is.  A message is held as a whole, its other recipients included: the queue knows no halves.

Postfix holds without a reason: which were held by us is kept in `held.json`, an id with the time
of arrival, because Postfix uses ids again.
"""

from __future__ import annotations

import json
import time
from typing import Callable, Iterable, List, Set, Tuple

from . import durable, queue
from .before import Before
from .host import Host
from .queue import Message
from .services import Sendmail
from .wire import Refused

REASON = "mailadmin: held until this server is managed by the console again"
POSTSUPER = "/usr/sbin/postsuper"
_AT_ONCE = 2000
"""Ids in one command: each one reads the whole queue (5,000 messages held: 5 s; by 100: 42 s)."""
_TRIED_BY_ID = 100
_PATIENCE = 30.0


def would_bounce(waiting: Iterable[Message], before: Before) -> List[Message]:
    """What is not held and is for somebody whom generation 0 does not know."""
    return [
        message
        for message in waiting
        if message.held is None and not all(map(before.takes, message.recipients))
    ]


def ours(host: Host) -> List[Message]:
    """What we held and nobody has let go."""
    known = _remembered(host)
    if "postfix" in host.services and not known:
        return []  # every confirmation asks, and a long queue takes seconds to list
    return [
        message
        for message in queue.messages(host)
        if message.held is not None
        and (message.held == REASON or (message.id, message.arrived) in known)
    ]


def hold(host: Host, before: Before, patience: float = _PATIENCE) -> int:
    """How many were held.  Raises `not_held` when one is still there after `patience` seconds."""

    def left() -> List[Message]:
        return would_bounce(queue.messages(host), before)

    act = _hold_postfix if "postfix" in host.services else _hold_sendmail
    return _until_none(host, left, act, patience)


def let_go(host: Host, patience: float = _PATIENCE) -> int:
    """Gives the held ones back to the queue, and has it tried at once.  How many."""

    def left() -> List[Message]:
        return ours(host)

    act = _let_go_postfix if "postfix" in host.services else _let_go_sendmail
    moved = _until_none(host, left, act, patience)
    if _remembered(host):
        _remember(host, set())
    return moved


def _until_none(
    host: Host,
    left: Callable[[], List[Message]],
    act: Callable[[Host, List[Message]], None],
    patience: float,
) -> int:
    until = time.monotonic() + patience
    seen: Set[str] = set()
    waiting = left()
    while waiting:
        seen |= {message.id for message in waiting}
        act(host, waiting)
        waiting = left()
        if waiting and time.monotonic() > until:
            named = ", ".join(message.id for message in waiting[:5])
            raise Refused(
                "not_held", f"{len(waiting)} messages in the queue could not be moved: {named}."
            )
        if waiting:
            time.sleep(0.2)
    return len(seen)


def _batches(waiting: List[Message]) -> List[List[str]]:
    ids = [message.id for message in waiting]
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]


def _hold_sendmail(host: Host, waiting: List[Message]) -> None:
    for ids in _batches(waiting):
        chosen = [f"-qI{each}" for each in ids]
        host.run([Sendmail.binary, "-Am", f"-Q{REASON}", *chosen], timeout=60)


def _let_go_sendmail(host: Host, waiting: List[Message]) -> None:
    for ids in _batches(waiting):
        chosen = [f"-qI{each}" for each in ids]
        host.run([Sendmail.binary, "-Am", "-Q", *chosen, "-qQ"], timeout=60)
    left = ours(host)
    for ids in _batches(left):
        # Cut off between its two steps, Sendmail leaves a `qf` file with a reason.
        chosen = [f"-qI{each}" for each in ids]
        host.run([Sendmail.binary, "-Am", "-Q", *chosen], timeout=60)
    few = len(waiting) <= _TRIED_BY_ID
    tried = [f"-qI{message.id}" for message in waiting] if few else ["-q"]
    host.spawn([Sendmail.binary, "-Am", *tried])


def _hold_postfix(host: Host, waiting: List[Message]) -> None:
    _remember(host, _remembered(host) | {(each.id, each.arrived) for each in waiting})
    _postsuper(host, "-h", waiting)


def _let_go_postfix(host: Host, waiting: List[Message]) -> None:
    _postsuper(host, "-H", waiting)
    for message in waiting[:_TRIED_BY_ID]:  # the rest is tried within minutes
        host.run([queue.POSTQUEUE, "-i", message.id], timeout=60)


def _postsuper(host: Host, option: str, waiting: List[Message]) -> None:
    given = "".join(f"{message.id}\n" for message in waiting)
    host.run([POSTSUPER, option, "-"], stdin=given.encode(), timeout=60)


def _remembered(host: Host) -> Set[Tuple[str, int]]:
    try:
        rows = json.loads((host.layout.state / "held.json").read_text())
        return {(str(name), int(arrived)) for name, arrived in rows}
    except (OSError, ValueError, TypeError):
        return set()


def _remember(host: Host, held: Set[Tuple[str, int]]) -> None:
    content = json.dumps(sorted(held)).encode() + b"\n"
    durable.write(host.layout.state / "held.json", content, 0o600, host.owner("root", "root"))
