"""Catch-alls: the alias `*@example.test` takes what its domain has no other recipient for.

    reached(["sales+x@example.test", "nobody@example.test", "far@else.test"])
    → {"sales+x@example.test": "sales@example.test", "nobody@example.test": "*@example.test"}

A host delivers so: the address, without what follows a `+`, then the catch-all. postmaster and
abuse are never its business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from accounts import addresses
from accounts.models import Alias, Domain, Mailbox


def of(address: str) -> str:
    """The catch-all that would take this address: `*@` and its domain."""
    return f"{addresses.CATCH_ALL}@{address.rpartition('@')[2]}"


def is_there(domain: Domain) -> bool:
    """Whether the domain has one."""
    return Alias.objects.filter(domain=domain, local_part=addresses.CATCH_ALL).exists()


def taken(names: Collection[str]) -> set[str]:
    """Those that a mailbox or an alias has."""
    mailboxes = Mailbox.objects.present().filter(address__in=names)
    aliases = Alias.objects.filter(address__in=names)
    return {
        *mailboxes.values_list("address", flat=True),
        *aliases.values_list("address", flat=True),
    }


def reached(targets: Iterable[str], making: str = "") -> dict[str, str]:
    """Where mail to each target is delivered, for those for which that is another address.

    `making` is an alias that is about to be.
    """
    plain = {target: addresses.without_detail(target) for target in targets}
    stars = {of(name) for name in plain.values()}
    there = {making, *taken([*plain.values(), *stars])}
    found = {}
    for target, name in plain.items():
        role = name.partition("@")[0] in addresses.ROLE_LOCAL_PARTS
        if name not in there and not role and of(name) in there:
            name = of(name)
        if name != target:
            found[target] = name
    return found
