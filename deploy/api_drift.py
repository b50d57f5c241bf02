"""`/api/v1`: what was changed on a host itself.

    GET /hosts/mail1.example.test/drift     → each file with its difference; `mark` is what
                                              `overwrite` of POST /rollouts names

Shapes and words of `deploy.comparing`; taking lines over is for an owner in the pages.
"""

from datetime import datetime

from ninja import Field, Schema

from deploy import comparing
from deploy.comparing import Shown
from deploy.models import Generation, Host


class ByHandOut(Schema):
    line: str
    why: str


class DriftedFileOut(Schema):
    path: str
    name: str = Field(description="below the generation")
    state: str
    mark: str = Field(description="changes whenever the file does")
    target: str = Field(description="where a link leads")
    left_out: str = Field(description="why its text is not shown: key or size")
    diff: str
    can_be_taken_over: str = Field(description="lines for the own lines of `service`")
    service: str
    by_hand: list[ByHandOut]
    why_not: str
    choice: str = Field(description="left or taken, as long as the file is as it was then")
    chosen_by: str | None
    chosen_at: datetime | None


class DriftOut(Schema):
    host: str
    asked_at: datetime | None = Field(description="when the host was last asked")
    is_being_asked: bool
    mark: str = Field(description="of all of it; empty where nothing drifted")
    files: list[DriftedFileOut]


def drift_out(host: Host, live: Generation | None, *, is_being_asked: bool) -> DriftOut:
    return DriftOut(
        host=host.fqdn,
        asked_at=host.facts_at,
        is_being_asked=is_being_asked,
        mark=host.reported().drift_mark,
        files=[_file_out(file) for file in comparing.shown(host, live)],
    )


def _file_out(file: Shown) -> DriftedFileOut:
    row = file.row
    return DriftedFileOut(
        path=row.path,
        name=row.name,
        state=row.state,
        mark=row.mark,
        target=row.target,
        left_out=row.left_out,
        diff=file.diff,
        can_be_taken_over=file.adopted.text if file.adopted else "",
        service=file.service,
        by_hand=[ByHandOut(line=line, why=str(why)) for line, why in file.by_hand],
        why_not=str(file.why_not),
        choice=row.choice if row.is_settled else "",
        chosen_by=row.chosen_by.username if row.is_settled and row.chosen_by else None,
        chosen_at=row.chosen_at if row.is_settled else None,
    )
