"""The mail of erased accounts is deleted from their hosts.

An `Erasure` is due from the moment the account is a tombstone. The host is asked once it has
reached the account's removal; an answer that does not come is asked for again, and asking twice
deletes once.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import Change, Erasure
from core import audit, leases
from deploy.helper import Helper
from deploy.models import AccountPush, Host
from deploy.transport import HostError, Transport, TransportError

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
SOON = timedelta(seconds=5)
LATER = timedelta(minutes=5)

Clock = Callable[[], datetime]


def erase(pk: int, *, clock: Clock = timezone.now, transport: Transport | None = None) -> None:
    """Delete one account's mail; the row ends done, or says when to try again and why."""
    at = clock()
    row = leases.claim(
        Erasure.objects.due(at), pk, worker=leases.worker_name(), at=at, seconds=LEASE_SECONDS
    )
    if row is None:
        return
    try:
        host = Host.objects.filter(uuid=row.host).first()
        if host is None:
            # Its mail is out of reach with it; the log says so.
            _done(row, at, host=row.host, detail={"problem": "host_removed"})
        elif not _has_reached(host, row):
            # One that was given back is told of no account until it is put live again.
            leases.release(row, retry_at=at + (LATER if host.released_at else SOON))
        else:
            _ask(row, host, clock, transport)
    except leases.LeaseLost:
        return


def _has_reached(host: Host, row: Erasure) -> bool:
    """Whether the host knows that the account is no more."""
    wanted = Change.objects.latest_id_for(row.host, row.address)
    pushes = AccountPush.objects.filter(host=host, through_change__gte=wanted)
    return pushes.exclude(state=AccountPush.IDLE).exists()


def _ask(row: Erasure, host: Host, clock: Clock, transport: Transport | None) -> None:
    try:
        with Helper.of(host, transport, beat=lambda: _keep(row, clock)) as helper:
            answer = helper.erase(address=row.address)
    except (TransportError, HostError) as error:
        log.warning("mail of %s on %s is not erased: %s", row.address, host, error)
        leases.release(row, problem=str(error)[:2000], retry_at=clock() + LATER)
        return
    counted = {name: answer.get(name) for name in ("files", "bytes")}
    _done(row, clock(), host=host.fqdn, detail=counted)


def _keep(row: Erasure, clock: Clock) -> None:
    now = clock()
    if row.lease_until is None or row.lease_until - now < timedelta(seconds=LEASE_SECONDS / 2):
        leases.renew(row, at=now, seconds=LEASE_SECONDS)


def _done(row: Erasure, at: datetime, *, host: str, detail: dict[str, object]) -> None:
    with transaction.atomic():
        leases.release(row, state=Erasure.DONE, done_at=at, problem="", retry_at=None)
        audit.record(
            by=None,
            at=at,
            action="deploy.mail.erased",
            subject=row.address,
            detail={"host": host, **detail},
        )
