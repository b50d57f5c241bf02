"""The states of a rollout on one host, in one table.

`docs/deployment.md` shows the table as a diagram drawn by `mermaid`; a test fails when they differ.

Up to `validating` nothing that runs was touched, and what goes wrong ends in `refused`. From
`switching` on, the host is on its way: it ends on the new generation, proved (`confirmed`), on the
old one (`rolled_back`), or says that going back did not work (`rollback_failed`). A switch that the
host declines before it touches anything is `refused` as well.
"""

from collections.abc import Mapping
from typing import Final

PLANNED: Final = "planned"
STAGING: Final = "staging"
VALIDATING: Final = "validating"
SWITCHING: Final = "switching"
PROBING: Final = "probing"
CONFIRMED: Final = "confirmed"
REFUSED: Final = "refused"
ROLLED_BACK: Final = "rolled_back"
ROLLBACK_FAILED: Final = "rollback_failed"

TABLE: Final[Mapping[str, tuple[str, ...]]] = {
    PLANNED: (STAGING, REFUSED),
    STAGING: (VALIDATING, REFUSED),
    VALIDATING: (SWITCHING, REFUSED),
    SWITCHING: (PROBING, REFUSED, ROLLED_BACK, ROLLBACK_FAILED),
    PROBING: (CONFIRMED, ROLLED_BACK, ROLLBACK_FAILED),
    CONFIRMED: (),
    REFUSED: (),
    ROLLED_BACK: (),
    ROLLBACK_FAILED: (),
}

STOPPED: Final = "stopped"
CANCELLED: Final = "cancelled"
MISSED: Final = "missed"
NOT_BEGUN: Final = (STOPPED, CANCELLED, MISSED)
"""Problems of refused hosts that were not tried: another failed before them, somebody called it
off, or nobody was there at the time."""

OPEN: Final = tuple(state for state, following in TABLE.items() if following)
UNTOUCHED: Final = (PLANNED, STAGING, VALIDATING)


class NoSuchStep(Exception):
    """The table does not allow it: a mistake in the program, never the operator's."""


def check(old: str, new: str) -> None:
    if new not in TABLE[old]:
        raise NoSuchStep(f"a rollout does not go from {old} to {new}")


def mermaid() -> str:
    """The table as a Mermaid state diagram, one arrow a line, in the table's order."""
    lines = ["stateDiagram-v2", f"    [*] --> {PLANNED}"]
    for state, following in TABLE.items():
        lines += [f"    {state} --> {new}" for new in following]
        if not following:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
