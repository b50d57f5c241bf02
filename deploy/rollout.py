"""Putting a configuration live: the preview, and asking for it.

    rollout = request(hosts=[host], by=me, at=now)             # rows, and a nudge
    rollout = request(hosts=[mail1, mail2, mail3], first=mail2, starts_at=tonight, by=me, at=now)
    carriage.carry_out(host_rollout_pk)                        # the task's one call

`request` renders, plans and refuses what cannot work, then stores one `Generation` and one
`HostRollout` a host: what was rendered then is what goes live, whenever it begins.
`deploy.carriage` claims the row and goes through `states.TABLE`; of many hosts, `deploy.fleet` says
who begins when.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from core import audit
from core.errors import Refusal
from core.models import Operator
from deploy import fleet, going_back, sentences, snapshot
from deploy import plan as planning
from deploy.bundle import TLS_CA, TLS_CHAIN, Bundle
from deploy.hostctl import paths
from deploy.models import Generation, Host, HostJob, HostRollout, Rollout
from deploy.plan import Plan
from deploy.render import CannotRender
from deploy.render.values import Snapshot, from_record, to_record


class NotReady(Refusal):
    """The host is still being added."""

    def __init__(self, host: Host) -> None:
        super().__init__(
            _("%(host)s is not connected yet. Finish adding it first.") % {"host": host.fqdn}
        )


class Objected(Refusal):
    """The plan says that it cannot work."""


class UnderWay(Refusal):
    status = 409

    def __init__(self, host: Host) -> None:
        busy = HostRollout.objects.open().filter(host=host).select_related("rollout").first()
        if busy is not None and busy.state == HostRollout.PLANNED and busy.rollout.starts_at:
            sentence = _(
                "Something is planned for %(host)s already (rollout %(number)s, not begun yet). "
                "Call it off first, or wait until it has ended."
            ) % {"host": host.fqdn, "number": busy.rollout_id}
        else:
            sentence = _(
                "Something is being put live on %(host)s already. Wait until it has ended."
            ) % {"host": host.fqdn}
        super().__init__(sentence)


class NothingToDo(Refusal):
    def __init__(self, host: Host) -> None:
        super().__init__(
            _("%(host)s is already as it should be: nothing differs.") % {"host": host.fqdn}
        )


class Drifted(Refusal):
    """Files there would be overwritten that nobody said may be; `mark` is what to say."""

    status = 409

    def __init__(self, host: Host) -> None:
        known = host.reported()
        self.mark = known.drift_mark
        super().__init__(
            _(
                "On %(host)s itself these files were changed, and this would overwrite them: "
                "%(paths)s. Look at what differs, then take it over or say that it may go."
            )
            % {"host": host.fqdn, "paths": ", ".join(known.drift)}
        )


class NotKept(Refusal):
    def __init__(self) -> None:
        super().__init__(_("Only a generation that was live before can be gone back to."))


@dataclass(frozen=True)
class Wanted:
    """What a host would be given."""

    snapshot: Snapshot
    bundle: Bundle
    certificate_id: int | None


@dataclass(frozen=True)
class Preview:
    """The plan page: what would happen, before anybody asks for it."""

    host: Host
    live: Generation | None
    wanted: Wanted | None
    plan: Plan | None
    changes: tuple[planning.Change, ...]
    objections: tuple[str, ...]

    @property
    def base(self) -> int:
        """The generation that is replaced: what is live, or what the host was found on instead."""
        known = self.host.reported()
        if paths.CURRENT in known.drift:
            return known.generation or 0
        return self.live.number if self.live else 0

    @property
    def may_go(self) -> bool:
        return self.plan is not None and not self.objections and not self.plan.is_empty


def live_generation(host: Host) -> Generation | None:
    return Generation.objects.live().filter(host=host).first()


def live_numbers(hosts: Sequence[Host]) -> dict[int, int]:
    """Host to the number of its live generation."""
    rows = Generation.objects.live().filter(host__in=hosts)
    return dict(rows.values_list("host_id", "number"))


def preview(host: Host, *, to: Generation | None = None, only_certificate: bool = False) -> Preview:
    """What putting the host live would do; with `to`, what going back to that generation would.

    `only_certificate`: what is live stays as it is, but for the certificate.
    """
    return _preview(host, live_generation(host), to, only_certificate)


def previews(hosts: Sequence[Host]) -> list[Preview]:
    """The same of many hosts."""
    rows = Generation.objects.live().filter(host__in=hosts)
    live = {generation.host_id: generation for generation in rows}
    return [_preview(host, live.get(host.pk), None, False) for host in hosts]


def _preview(
    host: Host, live: Generation | None, to: Generation | None, only_certificate: bool
) -> Preview:
    objections: list[str] = []
    wanted: Wanted | None = None
    try:
        if only_certificate and live:
            wanted = _exchanged(host, live)
        else:
            wanted = _of_generation(to) if to else _wanted(host)
    except CannotRender as error:
        objections.append(sentences.cannot_render(error))
    if wanted is None:
        if not objections:
            objections.append(sentences.problem("no_certificate"))
        return Preview(host, live, None, None, (), tuple(objections))
    plan = planning.plan(host.reported(), live.bundle() if live else None, wanted.bundle)
    objections += [sentences.problem(each.code, each.value) for each in plan.objections]
    before = _snapshot_of(live) if live else None
    return Preview(
        host, live, wanted, plan, planning.describe(before, wanted.snapshot), tuple(objections)
    )


def _snapshot_of(generation: Generation) -> Snapshot:
    return from_record(generation.snapshot)


def _wanted(host: Host) -> Wanted | None:
    made = snapshot.of_host(host)
    if made is None:
        return None
    return Wanted(made, snapshot.rendered(made), host.certificate_id)


def _exchanged(host: Host, live: Generation) -> Wanted | None:
    made = snapshot.of_host(host)
    if made is None:
        return None
    # Not rendered anew: what this release writes differently is for somebody to look at.
    tls = {TLS_CHAIN: made.tls.chain_pem, TLS_CA: made.tls.ca_pem}
    bundle = Bundle({**live.bundle().files, **tls})
    return Wanted(replace(_snapshot_of(live), tls=made.tls), bundle, host.certificate_id)


def _of_generation(generation: Generation) -> Wanted:
    return Wanted(_snapshot_of(generation), generation.bundle(), generation.certificate_id)


def request(
    *,
    hosts: Sequence[Host],
    by: Operator | None,
    at: datetime,
    reason: str = "",
    to: Generation | None = None,
    even_if_same: bool = False,
    overwrite: Collection[str] = (),
    only_certificate: bool = False,
    first: Host | None = None,
    starts_at: datetime | None = None,
    despite_certificate: bool = False,
) -> Rollout:
    """Put what is wanted live on each host, or (`to`, one host) an earlier generation again.

    `first` (else the first of `hosts`) goes alone; the others begin when it is confirmed.
    `starts_at`: nothing begins before. `overwrite`: of each host on which files were changed, the
    mark of what somebody has seen there (`reported().drift_mark`). `despite_certificate`: `to` has
    one that was revoked since. Raises NotReady, Objected, UnderWay, NothingToDo, NotKept, Drifted,
    fleet.Past, TooFar, EndsBefore, NotAmongThem, going_back.BadCertificate; nothing is stored then.
    """
    if starts_at is not None:
        fleet.check_start(starts_at, at=at)
        if to is None:
            fleet.check_ends(hosts, starts_at)
    if first is not None and first not in hosts:
        raise fleet.NotAmongThem(first)
    if to is not None:
        going_back.check(to, at=starts_at or at, insist=despite_certificate)
    previews = [_checked(host, to, even_if_same, overwrite, only_certificate) for host in hosts]
    if first is not None:
        previews.sort(key=lambda view: view.host.pk != first.pk)
    # Compressed before the transaction: of many hosts it is most of the work.
    packed = [Generation.pack(view.wanted.bundle) for view in previews if view.wanted]
    with transaction.atomic():
        _refuse_given_back(hosts)
        rollout = Rollout.objects.create(
            created_at=at, created_by=by, reason=reason, starts_at=starts_at
        )
        rows = [
            _add(rollout, view, files, to, turn=min(place, 1))
            for place, (view, files) in enumerate(zip(previews, packed, strict=True))
        ]
        if starts_at is None:
            fleet.wake([row.pk for row in rows if row.turn == 0])
    return rollout


def _checked(
    host: Host,
    to: Generation | None,
    even_if_same: bool,
    overwrite: Collection[str],
    only_certificate: bool,
) -> Preview:
    if not host.is_ready:
        raise NotReady(host)
    if to is not None and (to.host_id != host.pk or to.state != Generation.KEPT):
        raise NotKept()
    view = preview(host, to=to, only_certificate=only_certificate)
    if view.objections:
        raise Objected(" ".join(view.objections))
    if view.plan is not None and view.plan.is_empty and not even_if_same:
        raise NothingToDo(host)
    mark = host.reported().drift_mark
    if mark and mark not in overwrite:
        raise Drifted(host)
    return view


def _refuse_given_back(hosts: Sequence[Host]) -> None:
    """Not while one is being given back. Whoever asks for that waits for the same rows."""
    Host.objects.lock(hosts)
    job = HostJob.objects.open().filter(kind=HostJob.RELEASE, host__in=hosts).first()
    if job is not None and job.host is not None:
        raise UnderWay(job.host)


def _next_number(host: Host) -> int:
    """Above every generation that this console or the host knows of: a console restored from a
    backup has forgotten some, and the host does not take another with the same number."""
    top = Generation.objects.filter(host=host).aggregate(top=Max("number"))["top"] or 0
    last = (host.facts.get("last") or {}).get("generation") or 0
    return max(top, host.reported().generation or 0, last) + 1


def _add(
    rollout: Rollout, view: Preview, files: bytes, to: Generation | None, *, turn: int
) -> HostRollout:
    assert view.wanted is not None
    host, wanted = view.host, view.wanted
    by, at = rollout.created_by, rollout.created_at
    try:
        # Of two requests at once the second finds the number taken, or the first one's row.
        with transaction.atomic():
            generation = Generation.objects.create(
                host=host,
                number=_next_number(host),
                digest=wanted.bundle.digest,
                files=files,
                snapshot=to_record(wanted.snapshot),
                key_id=wanted.snapshot.tls.key_id,
                fingerprint=wanted.bundle.fingerprint_sha256,
                certificate_id=wanted.certificate_id,
                came_from=to,
                reason=rollout.reason,
                created_at=at,
                created_by=by,
            )
            row = HostRollout.objects.create(
                rollout=rollout,
                host=host,
                generation=generation,
                base=view.base,
                turn=turn,
                overwrites=host.reported().drifted,
            )
    except IntegrityError:
        raise UnderWay(host) from None
    audit.record(
        by=by,
        at=at,
        action="deploy.rollout.requested",
        subject=host.fqdn,
        detail={
            "rollout": rollout.pk,
            "generation": generation.number,
            "base": row.base,
            "digest": generation.digest,
            **({"back_to": to.number} if to else {}),
            **({"overwrites": row.overwrites} if row.overwrites else {}),
            **({"starts_at": rollout.starts_at.isoformat()} if rollout.starts_at else {}),
        },
    )
    return row
