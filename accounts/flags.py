"""Flags: what speaks against accounts, kept as rows.

    refresh(at=now)                                         # every account, 500 at a time
    exempt(flag=flag, reason="the scanner on floor 2", until=None, by=me, at=now)

`accounts.staleness` says what is found. A flag whose finding stands keeps its day and its
exemption; one whose finding is gone is deleted, with its exemption.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import staleness, states
from accounts.models import Evidence, Flag, FlagKind, LastUse, Mailbox, WeaknessVerdict
from accounts.models.flags import FlagQuerySet
from accounts.rules import said
from core import audit
from core.errors import Refusal
from core.models import Operator

REFRESH = "accounts.refresh_flags"
EVERY = timedelta(hours=1)
CHUNK = 500
_LOOKED = "accounts.flags.looked"
_COLUMNS = (
    "pk", "address", "created_at", "password_set_at", "state", "owner_contact", "expires_at",
    "domain__host", "domain__host_since", "password",
)  # fmt: skip

_FOUND = ("mailbox", "kind", "since", "evidence", "sure", "risk")


class ExemptionRefused(Refusal):
    """A flag is set aside with a reason, and not until a day that is past."""

    def __init__(self, field: str, sentence: object) -> None:
        super().__init__(sentence)
        self.field = field


class FlagGone(Refusal):
    """Its finding is gone since it was looked at."""

    status = 409

    def __init__(self) -> None:
        super().__init__(_("This flag is gone: what it was raised for is no more. Look again."))


def due(at: datetime) -> QuerySet[Mailbox]:
    """One mailbox, once an hour: its message refreshes the flags of all."""
    nothing = Mailbox.objects.none()
    if not cache.add(_LOOKED, "1", EVERY.total_seconds()):
        return nothing
    first = Mailbox.objects.order_by("pk").values_list("pk", flat=True).first()
    return Mailbox.objects.filter(pk=first) if first else nothing


def refresh(*, at: datetime, mailboxes: Collection[int] | None = None) -> int:
    """Find anew what speaks against these mailboxes, or against all. How many flags there are."""
    watched = _watched()
    count = 0
    for rows in _chunks(mailboxes):
        count += _refresh_chunk(rows, watched, at)
    Flag.objects.filter(mailbox__state=states.ERASED).delete()
    return count


def listed(
    at: datetime, *, set_aside: bool = False, among: FlagQuerySet | None = None
) -> FlagQuerySet:
    """Flags that count now, or those that were set aside; of all, or `among` these. What an account
    did that was suspended since the last refresh counts no more."""
    rows = Flag.objects.all() if among is None else among
    if set_aside:
        rows = rows.exclude(exempt_at=None).filter(Q(exempt_until=None) | Q(exempt_until__gt=at))
    else:
        rows = rows.standing(at)
    return rows.filter(
        Q(mailbox__state=states.ACTIVE) | Q(kind=FlagKind.WEAK) & ~Q(mailbox__state=states.ERASED)
    )


def exempt(
    *, flag: Flag, reason: str, until: datetime | None, by: Operator | None, at: datetime
) -> Flag:
    """Set a flag aside, until a moment or (None) as long as it stands: what the policy announced
    because of it is off. ExemptionRefused, FlagGone."""
    if not reason.strip():
        raise ExemptionRefused("reason", _("Say why it may stay as it is."))
    if until is not None and until <= at:
        raise ExemptionRefused("until", _("That moment is past: choose a later one."))
    with transaction.atomic():
        _write(
            flag,
            exempt_at=at,
            exempt_until=until,
            exempt_reason=said(reason, "reason"),
            exempt_by=by,
            suspends_at=None,
        )
        audit.record(
            by=by,
            at=at,
            action="accounts.flag.exempted",
            subject=flag.mailbox.address,
            detail={
                "kind": flag.kind,
                "reason": flag.exempt_reason,
                "until": until.isoformat() if until else None,
            },
        )
    return flag


def unexempt(*, flag: Flag, by: Operator | None, at: datetime) -> Flag:
    """The flag counts again. FlagGone."""
    with transaction.atomic():
        _write(flag, exempt_at=None, exempt_until=None, exempt_reason="", exempt_by=None)
        audit.record(
            by=by,
            at=at,
            action="accounts.flag.unexempted",
            subject=flag.mailbox.address,
            detail={"kind": flag.kind},
        )
    return flag


def hash_digest(stored: str) -> str:
    """The half of `WeaknessVerdict.digest` that says which hash was tried."""
    return hashlib.sha256(stored.encode()).hexdigest()[:32]


def _write(flag: Flag, **fields: object) -> None:
    if not Flag.objects.filter(pk=flag.pk).update(**fields):
        raise FlagGone
    for name, value in fields.items():
        setattr(flag, name, value)


def _chunks(mailboxes: Collection[int] | None) -> Iterator[list[tuple]]:
    rows = Mailbox.objects.present().order_by("pk").values_list(*_COLUMNS)
    if mailboxes is not None:
        ids = sorted(set(mailboxes))
        for start in range(0, len(ids), CHUNK):
            yield list(rows.filter(pk__in=ids[start : start + CHUNK]))
        return
    after = 0
    while chunk := list(rows.filter(pk__gt=after)[:CHUNK]):
        after = chunk[-1][0]
        yield chunk


def _watched() -> dict[str, dict[str, staleness.Watched]]:
    hosts: dict[str, dict[str, staleness.Watched]] = defaultdict(dict)
    for each in Evidence.objects.all():
        hosts[each.host][each.protocol] = staleness.Watched(each.since, each.through)
    return hosts


def _since(
    there: datetime | None, watched: dict[str, staleness.Watched]
) -> dict[str, staleness.Watched]:
    """Before its domain came to the host, nobody there could see an account's logins."""
    if there is None:
        return watched
    return {
        name: staleness.Watched(max(each.since, there), max(each.through, there))
        for name, each in watched.items()
    }


def _refresh_chunk(
    rows: list[tuple], watched: dict[str, dict[str, staleness.Watched]], at: datetime
) -> int:
    ids = [row[0] for row in rows]
    uses: dict[int, dict[str, datetime]] = defaultdict(dict)
    used = LastUse.objects.filter(mailbox__in=ids).values_list("mailbox_id", "protocol", "at")
    for pk, protocol, moment in used:
        uses[pk][protocol] = moment
    guessed = WeaknessVerdict.objects.filter(mailbox__in=ids).guessed()
    weak = {pk: (digest, reason) for pk, digest, reason in guessed.values_list(
        "mailbox_id", "digest", "reason")}  # fmt: skip
    standing = {
        (flag.mailbox_id, flag.kind): flag
        for flag in Flag.objects.filter(mailbox__in=ids).only(*_FOUND)
    }
    new, changed, used_since = [], [], []
    count = 0
    for pk, address, created, set_at, state, owner, expires, host, there, password in rows:
        digest, reason = weak.get(pk, ("", ""))
        account = staleness.Account(
            address=address,
            created_at=created,
            password_set_at=set_at,
            active=state == states.ACTIVE,
            owner_contact=owner,
            expires_at=expires,
            uses=uses.get(pk, {}),
            watched=_since(there, watched.get(host, {})),
            weak=reason if reason and digest.startswith(hash_digest(password)) else "",
        )
        for found in staleness.findings(account, at=at):
            count += 1
            flag = standing.pop((pk, found.kind), None)
            if flag is None:
                flag = Flag(mailbox_id=pk, kind=found.kind, since=found.since, found_at=at)
                new.append(flag)
            elif (flag.evidence, flag.sure, flag.risk) != (
                found.evidence,
                found.sure,
                found.risk,
            ):
                if found.kind == staleness.DORMANT and flag.since != found.since:
                    # A later use makes another finding of it, with a day of its own.
                    flag.since = found.since
                    used_since.append(flag.pk)
                changed.append(flag)
            flag.evidence, flag.sure, flag.risk = found.evidence, found.sure, found.risk
    with transaction.atomic():
        if standing:
            Flag.objects.filter(pk__in=[flag.pk for flag in standing.values()]).delete()
        if new:  # whoever refreshes at the same moment may have been first
            Flag.objects.bulk_create(new, ignore_conflicts=True)
        if changed:
            Flag.objects.bulk_update(changed, ["evidence", "sure", "risk", "since"])
        if used_since:
            Flag.objects.filter(pk__in=used_since).update(suspends_at=None)
    return count
