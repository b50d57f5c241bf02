"""`/api/v1`: giving a host back to what was there before the console.

    GET  /hosts/mail1.example.test/release      → what it would do; `mark` is what POST names
    POST /hosts/mail1.example.test/release  {"typed": "mail1.example.test", "mark": "…"}    → 202

Follow it by GET: `job` says how far it is, `released_at` when it was done.
"""

from datetime import datetime

from ninja import Field, Schema

from deploy import leaving, sentences
from deploy.models import Host, HostJob


class AccountOut(Schema):
    address: str
    state: str


class LoginOut(Schema):
    name: str
    opens_by: list[str] = Field(description="dovecot, saslauthd or passwd-file")
    shell: str
    closed_here: bool = Field(description="one of its accounts is suspended, closed or erased")
    accounts: list[AccountOut]


class JobOut(Schema):
    kind: str = Field(description="look or release")
    state: str
    step: str
    problem: str


class LeavingOut(Schema):
    host: str
    released_at: datetime | None
    job: JobOut | None = Field(description="the newest look or release")
    looked_at: datetime | None
    mark: str = Field(description="of the logins and domains below; empty before the first look")
    logins: list[LoginOut] = Field(description="logins that would open again")
    logins_more: int
    unlisted: list[str] = Field(description="where else logins are, which cannot be listed")
    unknown_domains: list[str] = Field(description="mail that waits for these would be held")
    queued: int
    to_hold: int


class LeavingIn(Schema):
    typed: str = Field(max_length=253, description="the host's name once more")
    mark: str = Field(max_length=64)


def leaving_out(host: Host) -> LeavingOut:
    report = leaving.seen(host)
    job = host.jobs.filter(kind__in=[HostJob.LOOK, HostJob.RELEASE]).first()
    return LeavingOut(
        host=host.fqdn,
        released_at=host.released_at,
        job=_job_out(job) if job else None,
        looked_at=report.at if report else None,
        mark=report.mark if report else "",
        logins=[_login_out(login) for login in report.logins] if report else [],
        logins_more=report.logins_more if report else 0,
        unlisted=list(report.unlisted) if report else [],
        unknown_domains=list(report.unknown) if report else [],
        queued=report.queued if report else 0,
        to_hold=report.to_hold if report else 0,
    )


def _job_out(job: HostJob) -> JobOut:
    return JobOut(
        kind=job.kind,
        state=job.state,
        step=sentences.job_step(job.step) if job.step else "",
        problem=sentences.problem(job.problem, job.problem_detail),
    )


def _login_out(login: leaving.Login) -> LoginOut:
    return LoginOut(
        name=login.name,
        opens_by=list(login.by),
        shell=login.shell,
        closed_here=login.is_closed_here,
        accounts=[AccountOut(address=row.address, state=row.state) for row in login.mailboxes],
    )
