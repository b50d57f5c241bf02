"""`/api/v1`: hosts, what would change on them, and putting it live.

    GET  /hosts                 GET /hosts/mail1.example.test
    GET  /hosts/mail1.example.test/plan
    GET  /hosts/mail1.example.test/drift
    GET  /hosts/mail1.example.test/probes
    GET  /hosts/mail1.example.test/release      POST: see api_leaving
    POST /rollouts  {"hosts": ["mail1.example.test"]}      → 202, the rollout
    POST /rollouts  {"hosts": […], "first": "mail2.example.test",
                     "starts_at": "2026-11-25T03:00+08:00"}
    GET  /rollouts              the newest first, and what is planned
    GET  /rollouts/7            every step as it happened; `state` of each host
    POST /rollouts/7/cancel     hosts that have not begun do not

Refusals are problem details with the same sentences as in the pages.
"""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status
from pydantic import AwareDatetime

from core import roles
from core.access import NotAllowed
from core.api_auth import Token
from core.models import Operator
from core.paging import page_of
from deploy import changes, drift, fleet, leaving, rollout, sentences
from deploy.api_drift import DriftOut, drift_out
from deploy.api_leaving import LeavingIn, LeavingOut, leaving_out
from deploy.api_probing import ProbesOut, probes_out
from deploy.api_rollouts import RolloutOut, RolloutsOut, listed_out, rollout_out
from deploy.models import AccountPush, Generation, Host, HostJob, Rollout
from deploy.snapshot import WITH_CHAIN

router = Router(tags=["deploy"])
READ = Token("deploy:read")
WRITE = Token("deploy:write")
MOST = 500


class HostOut(Schema):
    fqdn: str
    uuid: str = Field(description="what a domain's `host` names")
    address: str
    ssh_port: int
    state: str
    problem: str
    practice: bool
    mta: str = Field(description="sendmail or postfix")
    family: str = Field(description="of systems: debian or fedora")
    generation: int | None = Field(description="the live one; null before the first rollout")
    released_at: datetime | None = Field(
        description="given back to what was there before the console"
    )
    pending: list[str] = Field(description="what is not live yet, in sentences")
    drift: list[str] = Field(description="managed files that were changed on the host itself")
    accounts_state: str
    accounts_through_change: int
    certificate_fingerprint: str | None
    facts: dict[str, Any]
    facts_at: datetime | None


class HostsOut(Schema):
    items: list[HostOut]
    next: int | None = Field(description="give it as `after` for the next page")


class ListIn(Schema):
    after: str = ""
    limit: int = Field(100, ge=1, le=MOST)


class FileOut(Schema):
    path: str
    kind: str
    services: list[str]
    diff: str


class PlanOut(Schema):
    host: str
    may_go: bool
    objections: list[str]
    changes: list[str]
    files: list[FileOut]
    services: dict[str, str]
    seconds_refused: dict[str, float] = Field(description="how long a service's ports refuse")
    drift: list[str] = Field(description="files changed on the host that this would overwrite")
    drift_mark: str = Field(description="what `overwrite` names to say that they may be")


class RolloutIn(Schema):
    hosts: list[str] = Field(min_length=1, max_length=MOST, description="names of hosts")
    reason: str = Field("", max_length=200)
    to_generation: int | None = Field(
        None, description="go back to this one (with exactly one host)"
    )
    despite_certificate: bool = Field(
        False, description="with `to_generation`: although its certificate was revoked since"
    )
    overwrite: list[str] = Field(
        [],
        max_length=MOST,
        description="`drift_mark` of each host whose changed files may be overwritten",
    )
    first: str = Field(
        "", description="goes alone, the others when it is confirmed; else the first of `hosts`"
    )
    starts_at: AwareDatetime | None = Field(
        None, description="nothing begins before; at most two weeks from now"
    )


def _actor(request: HttpRequest, permission: str) -> Operator:
    operator: Operator = request.auth  # type: ignore[attr-defined]
    if not roles.may(operator, permission):
        raise NotAllowed(permission)
    return operator


def _hosts() -> Any:
    return Host.objects.select_related("account_push", WITH_CHAIN)


def _host(name: str) -> Host:
    found = _hosts().filter(fqdn=name.lower()).first()
    if found is None:
        raise Http404
    return found  # type: ignore[no-any-return]


def host_out(row: Host, live: Generation | None) -> HostOut:
    push = getattr(row, "account_push", None)
    pending = changes.pending_of(row, live) if row.is_ready else None
    return HostOut(
        fqdn=row.fqdn,
        uuid=str(row.uuid),
        address=row.address,
        ssh_port=row.ssh_port,
        state=row.state,
        problem=sentences.problem(row.problem, row.problem_detail),
        practice=row.practice,
        mta=row.mta,
        family=row.family,
        generation=live.number if live else None,
        released_at=row.released_at,
        pending=list(pending.sentences) if pending else [],
        drift=list(row.reported().drift),
        accounts_state=push.state if push else AccountPush.IDLE,
        accounts_through_change=push.through_change if push else 0,
        certificate_fingerprint=row.certificate.fingerprint_sha256 if row.certificate else None,
        facts=row.facts,
        facts_at=row.facts_at,
    )


def plan_out(preview: rollout.Preview) -> PlanOut:
    plan = preview.plan
    return PlanOut(
        host=preview.host.fqdn,
        may_go=preview.may_go,
        objections=list(preview.objections),
        changes=[changes.sentence(change) for change in preview.changes],
        files=[
            FileOut(
                path=change.path,
                kind=change.kind,
                services=list(change.services),
                diff=change.unified_diff,
            )
            for change in plan.changes
        ]
        if plan
        else [],
        services={str(name): str(act) for name, act in plan.services.items()} if plan else {},
        seconds_refused={str(k): v for k, v in plan.port_refused.items()} if plan else {},
        drift=list(plan.drift) if plan else [],
        drift_mark=preview.host.reported().drift_mark if plan else "",
    )


@router.get("/hosts", auth=READ)
def list_hosts(request: HttpRequest, query: Query[ListIn]) -> HostsOut:
    _actor(request, "deploy.view")
    page = page_of(_hosts(), {"after": query.after}, order="pk", size=query.limit)
    live = {g.host_id: g for g in Generation.objects.live().filter(host__in=page.rows)}
    return HostsOut(items=[host_out(row, live.get(row.pk)) for row in page], next=page.next)


@router.get("/hosts/{name}", auth=READ)
def get_host(request: HttpRequest, name: str) -> HostOut:
    _actor(request, "deploy.view")
    row = _host(name)
    return host_out(row, rollout.live_generation(row))


@router.get("/hosts/{name}/plan", auth=READ)
def get_plan(request: HttpRequest, name: str) -> PlanOut:
    """What putting the host live would do; changes nothing."""
    _actor(request, "deploy.view")
    return plan_out(rollout.preview(_host(name)))


@router.get("/hosts/{name}/drift", auth=READ)
def get_drift(request: HttpRequest, name: str) -> DriftOut:
    """What was changed on the host itself, as it said last; it is asked anew where that is older
    than half a minute. Then call again until `is_being_asked` is false."""
    operator = _actor(request, "deploy.view")
    row = _host(name)
    drift.ask(host=row, by=operator, at=timezone.now())
    asking = HostJob.objects.open().filter(host=row, kind=HostJob.CHECK).exists()
    return drift_out(row, rollout.live_generation(row), is_being_asked=asking)


@router.get("/hosts/{name}/probes", auth=READ)
def get_probes(request: HttpRequest, name: str) -> ProbesOut:
    """What the daemons answered when they were probed last, which is every quarter of an hour."""
    _actor(request, "deploy.view")
    return probes_out(_host(name), timezone.now())


@router.get("/hosts/{name}/release", auth=READ)
def get_release(request: HttpRequest, name: str) -> LeavingOut:
    """What giving the host back to what was there before would do. The host is asked anew where
    that is older than ten minutes; call again until `job` is done."""
    operator = _actor(request, "deploy.rollout")
    row = _host(name)
    if rollout.live_generation(row) is not None:
        leaving.ask(host=row, by=operator, at=timezone.now())
    return leaving_out(row)


@router.post("/hosts/{name}/release", auth=WRITE, response={202: LeavingOut})
def start_release(request: HttpRequest, name: str, body: LeavingIn) -> Status[LeavingOut]:
    """Give the host back: what was there before the console runs again."""
    operator = _actor(request, "deploy.rollout")
    row = _host(name)
    leaving.give_back(host=row, typed=body.typed, mark=body.mark, by=operator, at=timezone.now())
    return Status(202, leaving_out(row))


@router.get("/rollouts", auth=READ)
def list_rollouts(request: HttpRequest, query: Query[ListIn]) -> RolloutsOut:
    _actor(request, "deploy.view")
    page = page_of(fleet.listed(), {"after": query.after}, size=query.limit)
    return RolloutsOut(items=[listed_out(row) for row in page], next=page.next)


@router.post("/rollouts", auth=WRITE, response={202: RolloutOut})
def start_rollout(request: HttpRequest, body: RolloutIn) -> Status[RolloutOut]:
    """Put what is wanted live on these hosts; follow it at `/rollouts/{id}`."""
    operator = _actor(request, "deploy.rollout")
    hosts = [_host(name) for name in dict.fromkeys(body.hosts)]
    to = None
    if body.to_generation is not None:
        if len(hosts) != 1:
            raise rollout.NotKept()
        to = Generation.objects.filter(host=hosts[0], number=body.to_generation).first()
        if to is None:
            raise Http404
    made = rollout.request(
        hosts=hosts,
        by=operator,
        at=timezone.now(),
        reason=body.reason,
        to=to,
        overwrite=body.overwrite,
        first=_host(body.first) if body.first else None,
        starts_at=body.starts_at,
        despite_certificate=body.despite_certificate,
    )
    return Status(202, rollout_out(made))


@router.get("/rollouts/{pk}", auth=READ)
def get_rollout(request: HttpRequest, pk: int) -> RolloutOut:
    _actor(request, "deploy.view")
    return rollout_out(_rollout(pk))


@router.post("/rollouts/{pk}/cancel", auth=WRITE)
def cancel_rollout(request: HttpRequest, pk: int) -> RolloutOut:
    """Hosts that have not begun do not; those on their way finish."""
    operator = _actor(request, "deploy.rollout")
    fleet.cancel(rollout=_rollout(pk), by=operator, at=timezone.now())
    return rollout_out(_rollout(pk))


def _rollout(pk: int) -> Rollout:
    row = Rollout.objects.filter(pk=pk).first()
    if row is None:
        raise Http404
    return row
