"""The rows of an import's part: what becomes of each, and the writing of it.

`look` and `plan` read and decide, without a transaction; `write` is the last step of the import's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from django.db.models import Count, F
from django.utils import timezone

from accounts import addresses, domains, rules, states
from accounts.hashing import hash_password, matches
from accounts.models import (
    AccountImport,
    Alias,
    Change,
    Domain,
    Erasure,
    ImportOutcome,
    Mailbox,
    search_text,
)
from accounts.reading import Row
from accounts.tell import tell_host

CREATED, UPDATED, UNCHANGED, REFUSED = "created", "updated", "unchanged", "refused"
OUTCOMES = (CREATED, UPDATED, UNCHANGED, REFUSED)
_TEXTS = ("display_name", "owner_contact", "note")
# Why a name is allowed that looks like a test: the flags find the account.
NAME_REASON = "imported"

Reasons = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Choices:
    make_domains: bool = False
    update_existing: bool = False


@dataclass
class Plan:
    """What becomes of one row."""

    row: Row
    outcome: str = REFUSED
    reasons: Reasons = field(default_factory=list)
    before: Mailbox | None = None
    new: dict[str, Any] = field(default_factory=dict)
    password: str = ""


@dataclass
class Ground:
    """What there is, as it stood when the part was planned."""

    domains: dict[str, Domain]
    mailboxes: dict[str, Mailbox]
    aliases: set[str]
    # Erased addresses whose mail is still on a host.
    erasing: set[str]

    def same(self, other: Ground) -> bool:
        def seen(ground: Ground) -> Any:
            rows = {name: (row.pk, row.revision) for name, row in ground.mailboxes.items()}
            return rows, ground.aliases, {n: (d.pk, d.revision) for n, d in ground.domains.items()}

        return bool(seen(self) == seen(other))


def look(rows: Sequence[Row], *, lock: bool = False) -> Ground:
    """One query each, however many rows. With the lock nobody else makes an address meanwhile."""
    good = [row["address"] for row in rows if not row["reasons"]]
    homes = Domain.objects.filter(name__in={name.rpartition("@")[2] for name in good})
    mailboxes = Mailbox.objects.filter(address__in=good)
    if lock:
        homes = homes.select_for_update().order_by("pk")
        mailboxes = mailboxes.select_for_update().order_by("pk")
    return Ground(
        domains={home.name: home for home in homes},
        mailboxes={mailbox.address: mailbox for mailbox in mailboxes},
        aliases=set(Alias.objects.filter(address__in=good).values_list("address", flat=True)),
        erasing=set(
            Erasure.objects.filter(address__in=good, state=Erasure.WAITING).values_list(
                "address", flat=True
            )
        ),
    )


def plan(
    rows: Sequence[Row],
    ground: Ground,
    choices: Choices,
    *,
    dry_run: bool,
    pool: ThreadPoolExecutor,
    made: Mapping[str, int],
    at: datetime,
) -> list[Plan]:
    """`made` says how many mailboxes of each domain the parts before would have made, in a dry
    run."""
    room = {name: left - made.get(name, 0) for name, left in _room(ground).items()}
    plans = [_plan_row(row, ground, choices, room, at) for row in rows]
    asked = [plan for plan in plans if plan.password]
    # Argon2 lets go of the interpreter's lock, so this fills the cores.
    list(pool.map(lambda each: _with_password(each, ground, choices, dry_run), asked))
    return plans


def would_be_made(batch: AccountImport) -> Counter[str]:
    """How many mailboxes of each domain a dry run found that it would make, where any domain has a
    limit."""
    if not batch.dry_run or not Domain.objects.exclude(most_mailboxes=None).exists():
        return Counter()
    rows = ImportOutcome.objects.filter(batch=batch, outcome=CREATED)
    found = rows.values_list("address", flat=True).iterator(chunk_size=10_000)
    return Counter(address.rpartition("@")[2] for address in found)


def domains_of(plans: Iterable[Plan]) -> list[str]:
    """The domain of each mailbox that is made, one for each."""
    return [plan.row["address"].rpartition("@")[2] for plan in plans if plan.outcome == CREATED]


def _room(ground: Ground) -> dict[str, int]:
    """How many mailboxes fit yet, for domains that have a limit."""
    limited = [home for home in ground.domains.values() if home.most_mailboxes is not None]
    if not limited:
        return {}
    held = dict(
        Mailbox.objects.present()
        .filter(domain__in=limited)
        .order_by()
        .values_list("domain__name")
        .annotate(Count("pk"))
    )
    return {home.name: (home.most_mailboxes or 0) - held.get(home.name, 0) for home in limited}


def _plan_row(
    row: Row, ground: Ground, choices: Choices, room: dict[str, int], at: datetime
) -> Plan:
    plan = Plan(row, reasons=[(code, values) for code, values in row["reasons"]])
    if plan.reasons:
        return plan
    address = row["address"]
    name = address.rpartition("@")[2]
    home = ground.domains.get(name)
    plan.before = ground.mailboxes.get(address)
    if home is None and not choices.make_domains:
        plan.reasons.append(("import_no_domain", {"domain": name}))
    if address in ground.aliases:
        plan.reasons.append(("import_alias", {}))
    quota = row.get("quota_mb")
    most = home.most_quota_mb if home else None
    if most is not None and quota is not None and not 0 < quota <= most:
        plan.reasons.append(("import_quota_most", {"most": most}))
    if address in ground.erasing:
        plan.reasons.append(("import_erasing", {}))
    elif plan.before is not None:
        _against(plan, plan.before)
        _check_end(plan, plan.before.expires_at, plan.before.owner_contact, at)
    else:
        _check_end(plan, None, "", at)
        if not row.get("hash") and not row.get("password"):
            plan.reasons.append(("password_missing", {}))
        if name in room and not plan.reasons:
            if room[name] <= 0:
                plan.reasons.append(("import_domain_full", {"domain": name}))
            room[name] -= 1
        plan.new = {"password": row.get("hash", "")}
    plan.password = row.get("password", "")
    if not plan.reasons:
        plan.outcome = _outcome(plan, choices)
    return plan


def _against(plan: Plan, before: Mailbox) -> None:
    """What the row says differently from the account that there is."""
    row = plan.row
    if before.state == states.ERASED:
        plan.reasons.append(("import_erased", {}))
        return
    if before.state == states.CLOSING:
        plan.reasons.append(("import_closing", {}))
        return
    said: dict[str, Any] = {name: row[name] for name in _TEXTS if name in row}  # type: ignore[literal-required]
    if "quota_mb" in row:
        said["quota_mb"] = row["quota_mb"] or None
    if "hash" in row:
        said["password"] = row["hash"]
    if "state" in row:
        said["state"] = row["state"]
    if "expires_at" in row:
        said["expires_at"] = _end_of(row)
    plan.new = {name: value for name, value in said.items() if getattr(before, name) != value}


def _check_end(plan: Plan, before: datetime | None, owner: str, at: datetime) -> None:
    """A temporary account has an end to come, and an owner."""
    end = _end_of(plan.row)
    if end is None or end == before:
        return
    if end <= at:
        plan.reasons.append(("import_expired", {}))
    if not plan.row.get("owner_contact", owner):
        plan.reasons.append(("import_owner_missing", {}))


def _end_of(row: Row) -> datetime | None:
    """A day is over when it ends where the console is."""
    if "expires_at" not in row:
        return None
    text = row["expires_at"]
    end = datetime.fromisoformat(text)
    if len(text) <= len("2027-01-31"):
        end = datetime.combine(end, time(23, 59, 59))
    return end if timezone.is_aware(end) else timezone.make_aware(end)


def _outcome(plan: Plan, choices: Choices) -> str:
    if plan.before is None:
        return CREATED
    if not plan.new:
        return UNCHANGED
    if choices.update_existing:
        return UPDATED
    plan.reasons.append(("import_differs", {"columns": ", ".join(sorted(plan.new))}))
    return REFUSED


def _with_password(plan: Plan, ground: Ground, choices: Choices, dry_run: bool) -> None:
    """Judge, compare and hash a clear password. In a thread: no database here."""
    row, password = plan.row, plan.password
    if plan.before is not None:
        if plan.reasons and plan.reasons[0][0] != "import_differs":
            return
        if matches(plan.before.password, password):
            return
    local, _at, domain = row["address"].rpartition("@")
    home = ground.domains.get(domain) or Domain(name=domain)
    verdict = rules.judge_password(
        password, local=local, domain=home, display_name=row.get("display_name", "")
    )
    plan.reasons = [each for each in plan.reasons if each[0] != "import_differs"]
    plan.reasons += [(reason.code, reason.values) for reason in verdict.reasons]
    plan.new["password"] = ""
    plan.outcome = REFUSED if plan.reasons else _outcome(plan, choices)
    if plan.outcome != REFUSED and not dry_run:
        plan.new["password"] = hash_password(password)


def write(batch: AccountImport, plans: Sequence[Plan], ground: Ground, *, at: datetime) -> None:
    homes = dict(ground.domains)
    made: list[Mailbox] = []
    changes: list[Change] = []
    for plan in plans:
        if plan.outcome not in (CREATED, UPDATED):
            continue
        address = plan.row["address"]
        local, _at, name = address.rpartition("@")
        if name not in homes:
            homes[name] = domains.create(name=name, by=batch.asked_by, at=at)
        if plan.before is None:
            made.append(_mailbox(plan, homes[name], local, at=at))
        else:
            _update(plan, plan.before, at=at)
        ends = plan.before is not None and bool({"password", "state"} & set(plan.new))
        changes.append(
            Change(at=at, host=homes[name].host, kind="mailbox", subject=address, end_sessions=ends)
        )
    Mailbox.objects.bulk_create(made)
    Change.objects.all().append(changes)
    for host in sorted({change.host for change in changes}):
        tell_host(host)


def _mailbox(plan: Plan, home: Domain, local: str, *, at: datetime) -> Mailbox:
    row = plan.row
    address = row["address"]
    name, owner = row.get("display_name", ""), row.get("owner_contact", "")
    end = _end_of(row)
    quota = row["quota_mb"] or None if "quota_mb" in row else rules.quota_for(home, None)
    return Mailbox(
        domain=home,
        local_part=local,
        address=address,
        display_name=name,
        owner_contact=owner,
        note=row.get("note", ""),
        quota_mb=quota,
        password=plan.new["password"],
        password_set_at=at,
        state=row.get("state", states.ACTIVE),
        state_since=at,
        expires_at=end,
        name_reason=NAME_REASON if addresses.test_token(local) and end is None else "",
        created_at=at,
        search_text=search_text(address, name, owner),
    )


def _update(plan: Plan, before: Mailbox, *, at: datetime) -> None:
    new = dict(plan.new)
    if "password" in new:
        new["password_set_at"] = at
    if "state" in new:
        new |= {"state_since": at, "state_reason": "", "refuses_mail": False}
    found_by = search_text(
        before.address,
        new.get("display_name", before.display_name),
        new.get("owner_contact", before.owner_contact),
    )
    Mailbox.objects.filter(pk=before.pk).update(
        **new, search_text=found_by, revision=F("revision") + 1
    )
