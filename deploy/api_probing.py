"""`/api/v1`: what a host's daemons answered when they were probed last.

GET /hosts/mail1.example.test/probes    → each probe; those that fail come first
"""

from datetime import datetime

from ninja import Field, Schema

from deploy import probing
from deploy.models import Host


class ProbeOut(Schema):
    kind: str
    protocol: str
    port: int
    ok: bool
    evidence: str = Field(description="the daemon's own words, or what was served")
    ms: int
    failing_since: datetime | None
    at: datetime | None = Field(description="what needs a login is asked less often")


class ProbesOut(Schema):
    host: str
    at: datetime | None = Field(description="null before the first time")
    generation: int | None = Field(description="what the answers were compared with")
    is_being_asked: bool
    well: bool | None = Field(description="null before the first time")
    probes: list[ProbeOut]


def probes_out(host: Host, at: datetime) -> ProbesOut:
    row = probing.row_of(host)
    answers = probing.answers(row)
    return ProbesOut(
        host=host.fqdn,
        at=row.at if row else None,
        generation=row.generation if row else None,
        is_being_asked=probing.is_under_way(row, at),
        well=all(each.ok for each in answers) if answers else None,
        probes=[
            ProbeOut(
                kind=each.kind,
                protocol=each.protocol,
                port=each.port,
                ok=each.ok,
                evidence=each.evidence,
                ms=each.ms,
                failing_since=each.since,
                at=each.at,
            )
            for each in answers
        ],
    )
