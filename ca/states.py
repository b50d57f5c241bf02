"""The states of an order, a certificate and a ceremony, each in one table.

A table maps a state to the states it may go to. The diagrams of `docs/authority.md` are drawn
from these tables by `mermaid()`, and a test fails when they differ.
"""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str, tuple[str, ...]]

# An order with a CSR waits as "requested" until the signer takes it; one without a CSR waits as
# "awaiting_csr" until its key's owner (a mail host) hands one in.
ORDER: Table = {
    "requested": ("awaiting_csr", "signing", "refused"),
    "awaiting_csr": ("signing", "refused"),
    "signing": ("issued", "refused"),
    "issued": (),
    "refused": (),
}

# "expired" is no state: it follows from notAfter.
CERTIFICATE: Table = {
    "valid": ("held", "superseded", "revoked"),
    "held": ("valid", "revoked"),
    "superseded": ("revoked",),
    "revoked": (),
}

# A ceremony is one use of a root's passphrase. A refused one keeps what was typed, apart from
# the passphrase, and can be tried again.
CEREMONY: Table = {
    "requested": ("working", "refused"),
    "working": ("done", "refused"),
    "refused": ("requested",),
    "done": (),
}


def may_go(table: Table, old: str, new: str) -> bool:
    """Whether `table` allows the step from `old` to `new`."""
    return new in table[old]


def final(table: Table) -> frozenset[str]:
    """The states nothing leaves by itself: a page that follows the row stops polling there."""
    return frozenset(state for state, following in table.items() if not following)


def mermaid(table: Table) -> str:
    """The table as a Mermaid state diagram, one arrow a line, in the table's order."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, following in table.items():
        lines += [f"    {state} --> {new}" for new in following]
        if not following:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
