"""A host's certificate is renewed by nobody, from two thirds of its life on.

    renew(pk, at=now)        # the task: one step of it, if one is due

A new key and order first (`certificates.ask`), then a rollout of what is live with nothing but the
certificate exchanged: edits that wait are not carried along, and files that were changed on the
host are not overwritten. What fails is a row, so the pauses follow from rows: one, six, 24 hours.
"""

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ca import renewal as ca_renewal
from ca.models import Certificate
from core.errors import Refusal
from deploy import certificates, rollout, sentences
from deploy.models import Generation, Host, HostJob, HostRollout

TASK = "deploy.renew_certificate"
PAUSES = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
ASK, PUT_LIVE = "ask", "put_live"

Failure = tuple[datetime, str]


def begins(certificate: Certificate) -> datetime:
    """Two thirds of its life."""
    return certificate.not_before + (certificate.not_after - certificate.not_before) * 2 / 3


def live_certificate(host: Host) -> Certificate | None:
    live = Generation.objects.live().filter(host=host).select_related("certificate").first()
    return live.certificate if live else None


def due(at: datetime) -> "QuerySet[Host]":
    return Host.objects.filter(pk__in=[host.pk for host, _old in ripe(at) if step(host, at)])


def ripe(at: datetime) -> list[tuple[Host, Certificate]]:
    """Hosts that serve a certificate past two thirds of its life, and that certificate."""
    lives = Generation.objects.live().filter(host__in=Host.objects.ready())
    rows = lives.defer("files", "snapshot").select_related("certificate", "host")
    found = [(row.host, row.certificate) for row in rows if row.certificate is not None]
    return [(host, old) for host, old in found if begins(old) <= at]


def step(host: Host, at: datetime) -> str:
    """ASK or PUT_LIVE; empty when nothing is to be done now."""
    old = live_certificate(host)
    if old is None or not host.is_ready or old.revoked_at is not None or begins(old) > at:
        return ""
    if host.jobs.open().filter(kind=HostJob.CERTIFICATE).exists():
        return ""
    last = host.rollouts.first()
    if last is not None and (last.is_open or last.state == HostRollout.ROLLBACK_FAILED):
        # Where going back failed, somebody has to look first.
        return ""
    next_try = next_try_of(failures(host, old))
    if next_try is not None and next_try > at:
        return ""
    wanted = host.certificate
    if wanted is None or wanted.pk == old.pk or not wanted.is_valid(at):
        # What was revoked or has expired before it went live serves nobody.
        return ASK
    # What an operator asked for is put live by an operator.
    return PUT_LIVE if _made_by_itself(host) else ""


def _made_by_itself(host: Host) -> bool:
    done = host.jobs.filter(kind=HostJob.CERTIFICATE, state=HostJob.DONE, created_by=None)
    return done.filter(order__certificate=host.certificate_id).exists()


def renew(pk: int, *, at: datetime) -> None:
    host = Host.objects.select_related("certificate").get(pk=pk)
    what = step(host, at)
    old = live_certificate(host)
    if not what or old is None:
        return
    try:
        if what == ASK:
            issuer = ca_renewal.signed_by(old)
            able = issuer if issuer in certificates.issuers(at) else None
            certificates.ask(host=host, issuer=able, names=old.names, renews=old, by=None, at=at)
        else:
            rollout.request(hosts=[host], by=None, at=at, reason="renewal", only_certificate=True)
    except (certificates.AskedAlready, rollout.UnderWay):
        return
    except Refusal as refusal:
        HostJob.objects.create(
            kind=HostJob.CERTIFICATE,
            host=host,
            state=HostJob.FAILED,
            problem="host_error",
            problem_detail=refusal.sentence,
            created_at=at,
            finished_at=at,
        )


def failures(host: Host, old: Certificate) -> list[Failure]:
    """What failed since `old` was to be renewed, the oldest first: when, and why."""
    since = begins(old)
    jobs = host.jobs.filter(
        kind=HostJob.CERTIFICATE, state=HostJob.FAILED, created_by=None, finished_at__gte=since
    )
    rows = host.rollouts.filter(
        state__in=[HostRollout.REFUSED, HostRollout.ROLLED_BACK, HostRollout.ROLLBACK_FAILED],
        rollout__created_by=None,
        finished_at__gte=since,
    )
    return sorted(
        (row.finished_at, sentences.problem(row.problem, row.problem_detail))
        for row in [*jobs, *rows]
        if row.finished_at is not None
    )


def next_try_of(failed: list[Failure]) -> datetime | None:
    if not failed:
        return None
    return failed[-1][0] + PAUSES[min(len(failed), len(PAUSES)) - 1]


def trouble(host: Host, at: datetime) -> str:
    """Why the renewal has not worked so far, and what happens next; empty when nothing failed."""
    old = live_certificate(host)
    failed = failures(host, old) if old is not None and begins(old) <= at else []
    if not failed:
        return ""
    return f"{failed[-1][1]} " + _(
        "The console tries again by itself, at the latest a day later. Or renew it yourself."
    )
