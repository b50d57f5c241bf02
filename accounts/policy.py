"""The policy: flagged accounts are suspended by themselves, after a notice. Off from the start.

    set_policy(on=True, kinds=["weak"], notice_days=14, revision=0, by=me, at=now)
    concerned(["weak"], at=now).count()         # whom it would reach, before anybody switches it on
    carry_out(flag.pk, at=then)                 # one account whose announced moment has come

`accounts.announcing` tells people and writes `Flag.suspends_at`. When that moment comes everything
is looked at again, and an account is left alone when the flag does not stand any more, was set
aside, or is of a kind that the policy does not name any more.

Never reached: `postmaster` and `abuse`, accounts where an operator's mail arrives, temporary ones
and those whose name has a reason (for their name), and, for not being used, accounts on hosts whose
logins are not known to this day by each protocol. Against disasters at most a twentieth of a
domain's mailboxes, and of all, is suspended within a day, or one where there are fewer; the others
wait for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import flags, lifecycle, protection, staleness, states
from accounts.addresses import ROLE_LOCAL_PARTS
from accounts.import_rows import NAME_REASON
from accounts.models import Domain, Evidence, Flag, FlagPolicy, Mailbox
from accounts.models.mailboxes import BY_POLICY
from core import audit
from core.errors import Refusal
from core.models import AuditEvent, Operator
from core.nudge import nudge

ANNOUNCE = "accounts.announce"
# Not "expired", which is suspended anyway, nor what says nothing of danger: a scanner only sends.
KINDS = (staleness.WEAK, staleness.TEST_NAMED, staleness.NEVER_USED, staleness.DORMANT)
_OF_USE = (staleness.NEVER_USED, staleness.DORMANT)
LEAST_DAYS, MOST_DAYS, USUAL_DAYS = 1, 365, 14
# How new what a host tells of logins must be.
FRESH = timedelta(days=1)
SHARE = 20
DAY = timedelta(days=1)
NAMED_AT_MOST = 10
AGAIN = timedelta(hours=1)
ONLY = 1
_LOOKED = "accounts.policy.looked"
LOOK_AGAIN_SECONDS = 30


class PolicyRefused(Refusal):
    def __init__(self, field: str, sentence: object) -> None:
        super().__init__(sentence)
        self.field = field


class PolicyChangedMeanwhile(Refusal):
    status = 409

    def __init__(self) -> None:
        super().__init__(
            _(
                "Somebody else changed the policy after you opened it. Nothing of yours was saved: "
                "look at what it says now, then change it again."
            )
        )


def current() -> FlagPolicy:
    """The policy; one that is not stored, of revision 0, where nobody ever set it."""
    found = FlagPolicy.objects.select_related("changed_by").order_by("pk").first()
    return found or FlagPolicy(pk=ONLY, on=False, kinds=[], notice_days=USUAL_DAYS, revision=0)


def check(*, on: bool, kinds: Iterable[str], notice_days: int) -> list[str]:
    """The kinds in their order, each once. PolicyRefused."""
    wanted = set(kinds)
    if unknown := wanted - set(KINDS):
        shown = ", ".join(sorted(str(each)[:40] for each in unknown))
        sentence = _("Nothing is suspended for this: %(unknown)s. Possible are: %(known)s.")
        raise PolicyRefused("kinds", sentence % {"unknown": shown, "known": ", ".join(KINDS)})
    if on and not wanted:
        raise PolicyRefused("kinds", _("Choose what accounts are suspended for."))
    if not LEAST_DAYS <= notice_days <= MOST_DAYS:
        raise PolicyRefused(
            "notice_days",
            _("People are told %(least)d to %(most)d days before.")
            % {"least": LEAST_DAYS, "most": MOST_DAYS},
        )
    return [str(kind) for kind in KINDS if kind in wanted]


def set_policy(
    *,
    on: bool,
    kinds: Iterable[str],
    notice_days: int,
    revision: int,
    by: Operator | None,
    at: datetime,
) -> FlagPolicy:
    """`revision` is the one that was seen, 0 for none yet. What was announced and is not covered
    any more is off; who was told of fewer days than now gets the rest. PolicyRefused,
    PolicyChangedMeanwhile."""
    chosen = check(on=on, kinds=kinds, notice_days=notice_days)
    with transaction.atomic():
        _lock()
        before = current()
        if before.revision != revision:
            raise PolicyChangedMeanwhile
        said = {"on": on, "kinds": chosen, "notice_days": notice_days}
        was = {name: getattr(before, name) for name in said}
        if said == was:
            return before
        policy = before
        policy.on, policy.kinds, policy.notice_days = on, chosen, notice_days
        policy.changed_by, policy.changed_at, policy.revision = by, at, revision + 1
        try:
            with transaction.atomic():
                policy.save(force_insert=revision == 0)
        except IntegrityError:  # somebody else made the first one
            raise PolicyChangedMeanwhile from None
        off = announced().exclude(kind__in=chosen) if on else announced()
        withdrawn = off.update(suspends_at=None)
        if notice_days > was["notice_days"]:
            more = timedelta(days=notice_days - was["notice_days"])
            announced().update(suspends_at=F("suspends_at") + more)
        audit.record(
            by=by,
            at=at,
            action="accounts.policy.set",
            subject="on" if on else "off",
            detail={"before": was, "after": said, "withdrawn": withdrawn},
        )
        if on:
            nudge(ANNOUNCE, policy.pk)
    return policy


def announced() -> QuerySet[Flag]:
    return Flag.objects.exclude(suspends_at=None)


def concerned(kinds: Sequence[str], *, at: datetime, known: bool = True) -> QuerySet[Flag]:
    """The flags that a policy of these kinds acts upon. With `known` False also where a host has
    not told of logins to this day: what was announced there waits."""
    rows = Flag.objects.standing(at).filter(mailbox__state=states.ACTIVE, kind__in=kinds)
    rows = rows.exclude(mailbox__local_part__in=ROLE_LOCAL_PARTS)
    rows = rows.exclude(mailbox__address__in=protection.protected())
    named = Q(mailbox__expires_at__isnull=False) | ~Q(mailbox__name_reason__in=("", NAME_REASON))
    rows = rows.exclude(named, kind=staleness.TEST_NAMED)
    rows = rows.exclude(kind__in=_OF_USE, evidence__has_key="unwatched")
    if known:
        late = Evidence.objects.filter(through__lt=at - FRESH).values_list("host", flat=True)
        rows = rows.exclude(kind__in=_OF_USE, mailbox__domain__host__in=list(late))
    return rows


@dataclass(frozen=True)
class Preview:
    """Whom a policy would announce now: how many mailboxes, and the first of them."""

    count: int
    names: list[str]


def preview(kinds: Sequence[str], *, by: Operator | None, at: datetime) -> Preview:
    """Of the mailboxes that exist for `by`, those that are announced already left out."""
    new = concerned(kinds, at=at).filter(suspends_at=None).visible_to(by)
    rows = Mailbox.objects.filter(pk__in=new.order_by().values("mailbox"))
    first = rows.order_by("address")[:NAMED_AT_MOST]
    return Preview(rows.count(), [row.unicode_address for row in first])


def numbers(*, by: Operator | None, at: datetime) -> dict[str, int]:
    """How many mailboxes each kind concerns now."""
    rows = concerned(KINDS, at=at).visible_to(by).order_by()
    found = dict(rows.values_list("kind").annotate(Count("mailbox")))
    return {kind: found.get(kind, 0) for kind in KINDS}


def due(at: datetime) -> QuerySet[Flag]:
    """Whose announced moment has come."""
    if not cache.add(_LOOKED, "1", LOOK_AGAIN_SECONDS):
        return Flag.objects.none()
    if not FlagPolicy.objects.filter(on=True).exists():
        return Flag.objects.none()
    return announced().filter(suspends_at__lte=at).order_by("suspends_at", "pk")


def carry_out(pk: int, *, at: datetime) -> Mailbox | None:
    """Suspend the mailbox of a flag whose announced moment has come, by nobody. None when it is
    left alone, or has to wait."""
    with transaction.atomic():
        # Of two workers the second counts what the first suspended.
        policy = _lock()
        ripe = Flag.objects.filter(pk=pk, suspends_at__lte=at).select_related("mailbox")
        flag = ripe.first()
        if policy is None or not policy.on or flag is None:
            return None
        mailbox = lifecycle.locked(flag.mailbox)
        flags.refresh(at=at, mailboxes=[mailbox.pk])
        if not concerned(policy.kinds, at=at, known=False).filter(pk__in=ripe).exists():
            Flag.objects.filter(pk=pk).update(suspends_at=None)
            return None
        if not concerned(policy.kinds, at=at).filter(pk=pk).exists():
            Flag.objects.filter(pk=pk).update(suspends_at=at + AGAIN)
            return None
        if not _room(mailbox.domain, at=at):
            Flag.objects.filter(pk=pk).update(suspends_at=at + DAY)
            return None
        lifecycle.suspend(mailbox=mailbox, reason=BY_POLICY[flag.kind], by=None, at=at)
        announced().filter(mailbox=mailbox).update(suspends_at=None)
    return mailbox


def most_a_day(count: int) -> int:
    """How many of so many mailboxes are suspended by themselves within a day."""
    return max(1, count // SHARE)


def _room(domain: Domain, *, at: datetime) -> bool:
    """Whether one more may be suspended today. The log is what is counted: an operator who resumes
    an account makes no room for another."""
    acts = AuditEvent.objects.filter(
        at__gt=at - DAY,
        action="accounts.mailbox.suspended",
        actor=None,
        detail__reason__in=list(BY_POLICY.values()),
    )
    there = Mailbox.objects.present()
    if acts.count() >= most_a_day(there.count()):
        return False
    here = acts.filter(subject__endswith=f"@{domain.name}").count()
    return here < most_a_day(there.filter(domain=domain).count())


def _lock() -> FlagPolicy | None:
    return FlagPolicy.objects.select_for_update().order_by("pk").first()
