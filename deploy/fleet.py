"""Many hosts in one rollout: one first, then the rest side by side, nothing more after a failure.

A host's `turn` says when it may begin: turn 0 from `Rollout.starts_at` on (at once when empty), a
later turn when every host of an earlier one is confirmed (`HostRollout.objects.due`). All of it is
in the rows, so whoever dies in between leaves nothing to mend: the tick finds what is due.

    cancel(rollout=it, by=me, at=now)        # hosts that have not begun end here; others finish

A host that ends otherwise than confirmed takes those with it that have not begun, in the
transaction of its own end (`after`, called by `deploy.logbook`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext_lazy as _

from core import audit
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge
from deploy import states
from deploy.models import Generation, Host, HostRollout, Rollout

TASK = "deploy.carry_out"
FARTHEST = timedelta(days=14)
LATE = timedelta(hours=1)
"""A console that was off at the time does not begin in the middle of a working day instead."""

# Each wakes a worker that looks for more by itself (`deploy.abreast`); the tick wakes the rest.
WOKEN = 8


class Past(Refusal):
    def __init__(self) -> None:
        super().__init__(_("That time is over. Choose a later one, or begin at once."))


class TooFar(Refusal):
    def __init__(self) -> None:
        super().__init__(
            _("It can begin at most %(days)s days from now: what is prepared now grows old.")
            % {"days": FARTHEST.days}
        )


class EndsBefore(Refusal):
    """What is planned keeps the host from anything else, a renewal too."""

    def __init__(self, host: Host) -> None:
        super().__init__(
            _(
                "The certificate of %(host)s ends before that time. Choose an earlier one, or ask "
                "for a new certificate first."
            )
            % {"host": host.fqdn}
        )


class Begun(Refusal):
    status = 409

    def __init__(self) -> None:
        super().__init__(
            _("Every host has begun or ended already, so there is nothing to call off.")
        )


class NotAmongThem(Refusal):
    def __init__(self, host: Host) -> None:
        super().__init__(
            _("%(host)s cannot go first: it is not among the hosts to put live.")
            % {"host": host.fqdn}
        )


def check_start(starts_at: datetime, *, at: datetime) -> None:
    """Raises Past or TooFar."""
    if starts_at <= at:
        raise Past()
    if starts_at > at + FARTHEST:
        raise TooFar()


def check_ends(hosts: Iterable[Host], starts_at: datetime) -> None:
    """Raises EndsBefore."""
    for host in hosts:
        if host.certificate is not None and host.certificate.not_after <= starts_at:
            raise EndsBefore(host)


def is_missed(row: HostRollout, at: datetime) -> bool:
    """It was to begin long ago and nobody was there; only the first host can be too late."""
    if row.turn:
        return False
    planned = row.rollout.starts_at
    return planned is not None and at > planned + LATE


def cancel(*, rollout: Rollout, by: Operator, at: datetime) -> list[str]:
    """End every host that has not begun, and return their names. Raises Begun."""
    with transaction.atomic():
        names = _end_the_rest(rollout.pk, states.CANCELLED, by.get_username(), at)
        if not names:
            raise Begun()
        audit.record(
            by=by,
            at=at,
            action="deploy.rollout.cancelled",
            subject=names[0] if len(names) == 1 else f"#{rollout.pk}",
            detail={"rollout": rollout.pk, "hosts": names},
        )
    return names


def after(row: HostRollout, at: datetime) -> None:
    """What the end of one host means for the others; inside the transaction that ended it."""
    if row.state == states.CONFIRMED:
        later = HostRollout.objects.due(at).filter(rollout=row.rollout_id, turn__gt=row.turn)
        wake(list(later.order_by("pk").values_list("pk", flat=True)[:WOKEN]))
        return
    names = _end_the_rest(row.rollout_id, states.STOPPED, row.host.fqdn, at)
    if names:
        audit.record(
            by=None,
            at=at,
            action="deploy.rollout.stopped",
            subject=row.host.fqdn,
            detail={"rollout": row.rollout_id, "hosts": names},
        )


def wake(pks: list[int]) -> None:
    for pk in pks:
        nudge(TASK, pk)


def listed() -> "QuerySet[Rollout]":
    """All rollouts; of each how many hosts it has (`count`), how many of them are `live`, still
    `open` and `begun`, and the `name` of the first."""
    first = HostRollout.objects.filter(rollout=OuterRef("pk")).order_by("turn", "pk")
    return Rollout.objects.select_related("created_by").annotate(
        count=Count("hosts"),
        live=Count("hosts", filter=Q(hosts__state=states.CONFIRMED)),
        open=Count("hosts", filter=Q(hosts__state__in=states.OPEN)),
        begun=Count("hosts", filter=Q(hosts__started_at__isnull=False)),
        name=Subquery(first.values("host__fqdn")[:1]),
    )


def not_begun(rollout: Rollout) -> list[Host]:
    """Hosts that nobody has tried, to go on with in a rollout of their own."""
    rows = rollout.hosts.filter(state=states.REFUSED, problem__in=states.NOT_BEGUN)
    return [row.host for row in rows.select_related("host").order_by("turn", "pk")]


def _end_the_rest(rollout: int, problem: str, detail: str, at: datetime) -> list[str]:
    planned = HostRollout.objects.filter(rollout=rollout, state=states.PLANNED)
    rows = list(
        planned.select_for_update(of=("self",)).select_related("host").order_by("turn", "pk")
    )
    if not rows:
        return []
    # A worker that claimed one a moment ago has lost its lease, before it did anything.
    HostRollout.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=states.REFUSED,
        problem=problem,
        problem_detail=detail,
        finished_at=at,
        retry_at=None,
        claimed_by="",
        lease_until=None,
    )
    Generation.objects.filter(pk__in=[row.generation_id for row in rows]).update(
        state=Generation.DISCARDED
    )
    Rollout.objects.filter(pk=rollout, stopped_at=None).update(stopped_at=at)
    return [row.host.fqdn for row in rows]
