"""Verbs on aliases: create, edit, delete, and the end of those that were made for a time.

`*` as the name makes a domain's catch-all (`accounts.catch_all`).

An alias to itself, or to an alias of ours that leads back, would go round until the hop limit and
bounce, so `create` and `edit` follow the aliases there are and refuse the circle.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import addresses, catch_all
from accounts.checks import check_expiry, check_free, check_local_part
from accounts.models import Alias, Change, Domain
from accounts.protection import check_address
from accounts.refusals import AddressTaken, DomainGone, EditedMeanwhile, TargetRefused
from accounts.rules import said
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


class AliasGone(Refusal):
    """Somebody deleted it meanwhile, or its time was over."""

    status = 409

    def __init__(self, address: str) -> None:
        shown = addresses.unicode_address(address)
        super().__init__(_("The alias %(address)s was deleted meanwhile.") % {"address": shown})


class AliasEditedMeanwhile(EditedMeanwhile):
    SENTENCE = _(
        "Somebody else changed this alias after you opened it. Nothing of yours was saved: look at "
        "what it says now, then change it again."
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
    expires_at: datetime.datetime | None = None,
    by: Operator | None,
    at: datetime.datetime,
) -> Alias:
    """One with `expires_at` deletes itself then. AddressRefused, AddressTaken, TargetsMissing,
    TooManyTargets, TargetRefused, AliasLoop, ExpiryRefused, MailboxProtected."""
    local = local_part.strip()
    if local != addresses.CATCH_ALL:
        local = check_local_part(local_part, domain)
    check_free(domain, local)
    checked = check_targets(targets)
    check_expiry(expires_at, at)
    address = f"{local}@{domain.name}"
    check_address(address, by)
    with transaction.atomic():
        _lock_domains()
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
                    note=said(note, "note", lines=True),
                    expires_at=expires_at,
                    created_at=at,
                )
        except IntegrityError:
            raise AddressTaken(address, "alias") from None
        audit.record(
            by=by,
            at=at,
            action="accounts.alias.created",
            subject=address,
            detail={"targets": checked, "expires_at": _iso(expires_at)},
        )
        _tell(alias, at)
    return alias


def edit(
    *,
    alias: Alias,
    revision: int,
    targets: Iterable[str],
    note: str,
    expires_at: datetime.datetime | None,
    by: Operator | None,
    at: datetime.datetime,
) -> Alias:
    """Where it leads, until when, and what is said about it. `revision` is the one that the
    operator saw. AliasGone, AliasEditedMeanwhile, and the refusals of `create` but the address's.
    """
    check_address(alias.address, by)
    checked = check_targets(targets)
    new: dict[str, Any] = {
        "targets": checked,
        "note": said(note, "note", lines=True),
        "expires_at": expires_at,
    }
    with transaction.atomic():
        _lock_domains()
        row = _locked(alias.pk)
        if row is None:
            raise AliasGone(alias.address)
        if row.revision != revision:
            raise AliasEditedMeanwhile
        before = {name: getattr(row, name) for name in new}
        changed = [name for name in new if new[name] != before[name]]
        if not changed:
            return row
        if "expires_at" in changed:
            check_expiry(expires_at, at)
        if "targets" in changed:
            check_loop(row.address, checked)
        for name in changed:
            setattr(row, name, new[name])
        row.revision += 1
        row.save(update_fields=[*changed, "revision"])
        audit.record(
            by=by,
            at=at,
            action="accounts.alias.edited",
            subject=row.address,
            detail={
                when: {name: _iso(values[name]) for name in changed}
                for when, values in (("before", before), ("after", new))
            },
        )
        if "targets" in changed:
            _tell(row, at)
    return row


def delete(*, alias: Alias, by: Operator | None, at: datetime.datetime) -> None:
    """Deleting twice is one deletion. MailboxProtected."""
    check_address(alias.address, by)
    with transaction.atomic():
        row = _locked(alias.pk)
        if row is not None:
            _delete(row, "accounts.alias.deleted", by, at)


def due(at: datetime.datetime) -> QuerySet[Alias]:
    """Those whose time is over."""
    return Alias.objects.filter(expires_at__lte=at).order_by("expires_at")


def expire(pk: int, *, at: datetime.datetime) -> None:
    """Delete one, by nobody; nothing when it was extended or deleted meanwhile."""
    with transaction.atomic():
        row = _locked(pk)
        if row is not None and row.expires_at is not None and row.expires_at <= at:
            _delete(row, "accounts.alias.expired", None, at)


def _delete(row: Alias, action: str, by: Operator | None, at: datetime.datetime) -> None:
    Alias.objects.filter(pk=row.pk).delete()
    audit.record(by=by, at=at, action=action, subject=row.address, detail={"targets": row.targets})
    _tell(row, at)


def _locked(pk: int) -> Alias | None:
    rows = Alias.objects.select_for_update(of=("self",)).select_related("domain")
    return rows.filter(pk=pk).first()


def _lock_domains() -> None:
    """Locks out a mailbox of the same address, and a second half of a loop."""
    list(Domain.objects.select_for_update().order_by("pk").values_list("pk", flat=True))


def _iso(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


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
    level = [(target, address) for target in targets]
    while level:
        found = [target for target, source in level if _first(came_from, target, source)]
        further = catch_all.reached(found[: MOST_TARGETS * 5], address)
        names = [name for name in found if name not in further]
        names += [name for target, name in further.items() if _first(came_from, name, target)]
        if address in came_from:
            path = [address]
            while (before := came_from[path[0]]) != address:
                path.insert(0, before)
            raise AliasLoop([address, *path])
        leading = Alias.objects.filter(address__in=names[: MOST_TARGETS * 5])
        level = [(target, alias.address) for alias in leading for target in alias.targets]


def _first(came_from: dict[str, str], target: str, source: str) -> bool:
    """Whether mail reaches `target` for the first time; then, from where."""
    if target in came_from:
        return False
    came_from[target] = source
    return True


def _plain(target: str) -> str:
    """Targets in our own domains are stored as our addresses are: in lower case."""
    local, _at, domain = target.rpartition("@")
    if Domain.objects.filter(name=domain).exists():
        return f"{local.lower()}@{domain}"
    return target


def _tell(alias: Alias, at: datetime.datetime) -> None:
    Change.objects.all().append([Change.of(alias, at=at)])
    tell_host(alias.domain.host)
