"""The life of a mailbox: one table of states and of the verbs that lead from one to another.

    new --create--> active <--suspend/resume--> suspended
    active, suspended --close--> closing --erase--> erased;  closing --reopen--> active

What a state means to the mail host is in `RIGHTS`: a suspended mailbox can neither log in nor send,
and goes on receiving unless the operator said otherwise; a closing one keeps its mail until a date
and takes no more. `diagram()` draws the table; docs/accounts.md shows the drawing and a test
compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"
CLOSING: Final = "closing"
ERASED: Final = "erased"
STATES: Final = (ACTIVE, SUSPENDED, CLOSING, ERASED)


@dataclass(frozen=True)
class Transition:
    verb: str
    sources: tuple[str, ...]
    target: str


TABLE: Final = (
    Transition("suspend", (ACTIVE,), SUSPENDED),
    Transition("resume", (SUSPENDED,), ACTIVE),
    Transition("close", (ACTIVE, SUSPENDED), CLOSING),
    Transition("reopen", (CLOSING,), ACTIVE),
    Transition("erase", (CLOSING,), ERASED),
)
BY_VERB: Final = {transition.verb: transition for transition in TABLE}


@dataclass(frozen=True)
class Rights:
    """What the host lets a mailbox do."""

    can_login: bool
    can_send: bool
    receives: bool


NO_RIGHTS: Final = Rights(can_login=False, can_send=False, receives=False)


def may(verb: str, state: str) -> bool:
    """Whether the table has this verb for a mailbox in this state; KeyError on an unknown verb."""
    return state in BY_VERB[verb].sources


def rights(state: str, *, refuses_mail: bool) -> Rights:
    """The rights of a state. `refuses_mail` counts for a suspended mailbox only."""
    if state == ACTIVE:
        return Rights(can_login=True, can_send=True, receives=True)
    if state == SUSPENDED:
        return Rights(can_login=False, can_send=False, receives=not refuses_mail)
    if state in (CLOSING, ERASED):
        return NO_RIGHTS
    raise ValueError(f"no such state: {state!r}")


def diagram() -> str:
    """The table as a Mermaid state diagram, one line a transition, without a trailing newline."""
    lines = ["stateDiagram-v2", f"    [*] --> {ACTIVE}: create"]
    for transition in TABLE:
        lines += [
            f"    {source} --> {transition.target}: {transition.verb}"
            for source in transition.sources
        ]
    lines.append(f"    {ERASED} --> [*]")
    return "\n".join(lines)
