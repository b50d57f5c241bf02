"""Verbs on aliases: create and delete.

An alias to itself, or to an alias of ours that leads back, would go round until the hop limit and
bounce, so `create` follows the aliases there are and refuses the circle.
"""

import datetime
from collections.abc import Iterable, Sequence

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.lifecycle import check_free, check_local_part
from accounts.models import Alias, Change, Domain
from accounts.refusals import AddressTaken, DomainGone, TargetRefused
from accounts.tell import tell_host
from core import audit
from core.errors import Refusal
from core.models import Operator

MOST_TARGETS = 100


class TargetsMissing(Refusal):
    field = "targets"

    def __init__(self) -> None:
        super().__init__(_("Say at least one address that the mail goes to."))


class TooManyTargets(Refusal):
    field = "targets"

    def __init__(self) -> None:
        super().__init__(
            _("An alias leads to %(most)d addresses at most. A mailing list does more.")
            % {"most": MOST_TARGETS}
        )


class AliasLoop(Refusal):
    """`path` is the circle, from the alias back to itself."""

    field = "targets"

    def __init__(self, path: Sequence[str]) -> None:
        shown = " → ".join(addresses.unicode_address(address) for address in path)
        super().__init__(_("Mail would go in a circle: %(path)s.") % {"path": shown})
        self.path = list(path)


def create(
    *,
    domain: Domain,
    local_part: str,
    targets: Iterable[str],
    note: str = "",
    by: Operator | None,
    at: datetime.datetime,
) -> Alias:
    """AddressRefused, AddressTaken, TargetsMissing, TooManyTargets, TargetRefused, AliasLoop."""
    local = check_local_part(local_part, domain)
    check_free(domain, local)
    checked = check_targets(targets)
    address = f"{local}@{domain.name}"
    with transaction.atomic():
        # Locks out a mailbox of the same address, and a second half of a loop.
        list(Domain.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
        home = Domain.objects.filter(pk=domain.pk).first()
        if home is None:
            raise DomainGone(domain.name)
        check_free(home, local)
        check_loop(address, checked)
        try:
            with transaction.atomic():
                alias = Alias.objects.create(
                    domain=home,
                    local_part=local,
                    address=address,
                    targets=checked,
                    note=note.strip(),
                    created_at=at,
                )
        except IntegrityError:
            raise AddressTaken(address, "alias") from None
        audit.record(
            by=by,
            at=at,
            action="accounts.alias.created",
            subject=address,
            detail={"targets": checked},
        )
        _tell(alias, at)
    return alias


def delete(*, alias: Alias, by: Operator | None, at: datetime.datetime) -> None:
    """Deleting twice is one deletion."""
    with transaction.atomic():
        row = Alias.objects.select_related("domain").filter(pk=alias.pk).first()
        if row is None or not Alias.objects.filter(pk=row.pk).delete()[0]:
            return
        audit.record(
            by=by,
            at=at,
            action="accounts.alias.deleted",
            subject=row.address,
            detail={"targets": row.targets},
        )
        _tell(row, at)


def check_targets(targets: Iterable[str]) -> list[str]:
    """The targets as they are stored, each once."""
    checked: dict[str, None] = {}
    for text in targets:
        if not text.strip():
            continue
        try:
            checked[_plain(addresses.target(text))] = None
        except addresses.NotAnAddress as refused:
            raise TargetRefused(text.strip(), refused.reasons) from None
        if len(checked) > MOST_TARGETS:
            raise TooManyTargets
    if not checked:
        raise TargetsMissing
    return list(checked)


def check_loop(address: str, targets: Sequence[str]) -> None:
    """Follow the aliases of ours, level by level, and refuse when one leads back."""
    came_from: dict[str, str] = {}
    level = []
    for target in targets:
        came_from.setdefault(target, address)
        level.append(target)
    while level:
        if address in came_from:
            path = [address]
            while (before := came_from[path[0]]) != address:
                path.insert(0, before)
            raise AliasLoop([address, *path])
        following = []
        for alias in Alias.objects.filter(address__in=level[: MOST_TARGETS * 5]):
            for target in alias.targets:
                if target not in came_from:
                    came_from[target] = alias.address
                    following.append(target)
        level = following


def _plain(target: str) -> str:
    """Targets in our own domains are stored as our addresses are: in lower case."""
    local, _at, domain = target.rpartition("@")
    if Domain.objects.filter(name=domain).exists():
        return f"{local.lower()}@{domain}"
    return target


def _tell(alias: Alias, at: datetime.datetime) -> None:
    Change.objects.all().append([Change.of(alias, at=at)])
    tell_host(alias.domain.host)
