"""Rollouts as the API tells of them: `GET /rollouts` and `GET /rollouts/7` (`deploy.api`)."""

from datetime import datetime
from typing import Any

from ninja import Field, Schema

from deploy import sentences
from deploy.models import HostRollout, Rollout


class StepOut(Schema):
    at: datetime
    phase: str
    name: str
    ok: bool | None
    detail: str
    ms: int | None


class HostRolloutOut(Schema):
    host: str
    state: str
    generation: int
    base: int
    turn: int = Field(description="a later turn begins when every earlier one is confirmed")
    problem: str
    started_at: datetime | None
    finished_at: datetime | None
    receipt: dict[str, Any]
    steps: list[StepOut]


class RolloutOut(Schema):
    id: int
    created_at: datetime
    reason: str
    starts_at: datetime | None
    stopped_at: datetime | None = Field(
        description="since then no further host begins: one failed, or somebody called it off"
    )
    is_open: bool
    hosts: list[HostRolloutOut]


class ListedOut(Schema):
    id: int
    created_at: datetime
    by: str = Field(description="empty where the console itself asked for it")
    reason: str
    starts_at: datetime | None
    stopped_at: datetime | None
    hosts: int
    live: int
    open: int = Field(description="planned or on their way")


class RolloutsOut(Schema):
    items: list[ListedOut]
    next: int | None = Field(description="give it as `after` for the next page")


def rollout_out(row: Rollout) -> RolloutOut:
    hosts = list(
        row.hosts.select_related("host", "generation").prefetch_related("steps").order_by("pk")
    )
    return RolloutOut(
        id=row.pk,
        created_at=row.created_at,
        reason=row.reason,
        starts_at=row.starts_at,
        stopped_at=row.stopped_at,
        is_open=any(each.is_open for each in hosts),
        hosts=[host_rollout_out(each) for each in hosts],
    )


def host_rollout_out(row: HostRollout) -> HostRolloutOut:
    return HostRolloutOut(
        host=row.host.fqdn,
        state=row.state,
        generation=row.generation.number,
        base=row.base,
        turn=row.turn,
        problem=sentences.problem(row.problem, row.problem_detail),
        started_at=row.started_at,
        finished_at=row.finished_at,
        receipt=row.receipt,
        steps=[
            StepOut(
                at=step.at,
                phase=step.phase,
                name=step.name,
                ok=step.ok,
                detail=step.detail,
                ms=step.ms,
            )
            for step in row.steps.all()
        ],
    )


def listed_out(row: Any) -> ListedOut:
    return ListedOut(
        id=row.pk,
        created_at=row.created_at,
        by=row.created_by.get_username() if row.created_by else "",
        reason=row.reason,
        starts_at=row.starts_at,
        stopped_at=row.stopped_at,
        hosts=row.count,
        live=row.live,
        open=row.open,
    )
