"""Adding a server: a key pair, the server's own key confirmed by a person, one command to paste.

    host = add(fqdn=…, address=…, ssh_port=22, by=me, at=now)    # → job PREPARE
    confirm_key(host=host, offered=…, by=me, at=now)             # after a look at the fingerprint
    ask_check(host=host, by=me, at=now)                          # → job CHECK → ready

The private key is made by a worker, since the web process holds no ring to seal it with. The
command carries hostctl's own installer: it holds no secret, only the public key.
"""

import base64
import gzip
from collections.abc import Callable
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts import domains
from accounts.models import Domain
from core import audit, leases, seal
from core.errors import Refusal
from core.models import Operator
from deploy import drift, jobs, placement
from deploy import helper as helpers
from deploy import transport as ssh
from deploy.helper import Helper
from deploy.jobs import Outcome
from deploy.models import AccountPush, Generation, Host, HostJob, HostRollout, Rollout
from deploy.transport import Transport


class HostTaken(Refusal):
    status = 409
    field = "fqdn"

    def __init__(self, fqdn: str) -> None:
        super().__init__(_("There is a server %(host)s already.") % {"host": fqdn})


class KeyChanged(Refusal):
    """What the server shows is not what the person looked at."""


class NotYet(Refusal):
    """A step before this one is missing."""


class InUse(Refusal):
    """Something is going on there."""


def add(
    *,
    fqdn: str,
    address: str,
    ssh_port: int,
    practice: bool = False,
    by: Operator | None,
    at: datetime,
) -> Host:
    try:
        with transaction.atomic():
            host = Host.objects.create(
                fqdn=fqdn.lower(),
                address=address,
                ssh_port=ssh_port,
                practice=practice,
                created_at=at,
            )
            AccountPush.objects.create(host=host)
            audit.record(
                by=by,
                at=at,
                action="deploy.host.added",
                subject=host.fqdn,
                detail={"address": address, "port": ssh_port},
            )
            if not practice:
                jobs.add_job(kind=HostJob.PREPARE, host=host, by=by, at=at)
    except IntegrityError:
        raise HostTaken(fqdn) from None
    return host


def give_key(host: Host) -> None:
    """Make and seal the pair with which the console logs in. Only where the ring "ssh" is held."""
    private, public = ssh.make_key_pair("mailadmin")
    sealed = seal.seal(helpers.RING, private, context=helpers.key_context(host))
    Host.objects.filter(pk=host.pk, ssh_private_key=None).update(
        ssh_private_key=sealed, ssh_public_key=public
    )
    host.refresh_from_db()


def prepare(
    job: HostJob, *, clock: Callable[[], datetime], transport: Transport | None = None
) -> Outcome:
    """The job PREPARE: the console's key, and the key that the server shows."""
    host = job.host
    assert host is not None
    if not host.ssh_public_key:
        leases.save(job, step="key", fraction=0.3)
        give_key(host)
    leases.save(job, step="host_key", fraction=0.6)
    offered = ssh.read_host_key(host.address, host.ssh_port)
    Host.objects.filter(pk=host.pk).update(offered_host_key=offered, problem="", problem_detail="")
    return Outcome()


def try_again(*, host: Host, by: Operator | None, at: datetime) -> HostJob | None:
    """Read the server's key again; None when that is going on."""
    try:
        with transaction.atomic():
            return jobs.add_job(kind=HostJob.PREPARE, host=host, by=by, at=at)
    except IntegrityError:
        return None


def confirm_key(*, host: Host, offered: str, by: Operator | None, at: datetime) -> None:
    """Pin the key whose fingerprint the operator compared (`offered`: the fingerprint)."""
    with transaction.atomic():
        row = Host.objects.select_for_update().get(pk=host.pk)
        if not row.offered_host_key:
            raise NotYet(_("The server's key has not been read yet."))
        if ssh.fingerprint(row.offered_host_key) != offered:
            raise KeyChanged(
                _("The server shows another key than the one you looked at. Compare it again.")
            )
        Host.objects.filter(pk=host.pk).update(host_key=row.offered_host_key)
        audit.record(
            by=by,
            at=at,
            action="deploy.host.key_pinned",
            subject=row.fqdn,
            detail={"fingerprint": offered},
        )
    host.refresh_from_db()


def ask_check(*, host: Host, by: Operator | None, at: datetime) -> HostJob | None:
    """Ask the server about itself; None when that is going on."""
    if not host.host_key:
        raise NotYet(_("Confirm the server's key first."))
    try:
        with transaction.atomic():
            return jobs.add_job(kind=HostJob.CHECK, host=host, by=by, at=at)
    except IntegrityError:
        return None


def check(
    job: HostJob, *, clock: Callable[[], datetime], transport: Transport | None = None
) -> Outcome:
    """The job CHECK: connect, ask for facts, and the host is ready."""
    host = job.host
    assert host is not None
    leases.save(job, step="connect", fraction=0.3)
    with Helper.of(host, transport) as helper:
        reported, found = drift.told(host, helper)
    if reported.get("host") not in (None, str(host.uuid)):
        return Outcome("other_host")
    was = host.state
    with transaction.atomic():
        helpers.note_reached(host, reported, at=clock())
        drift.note(host, found, at=clock())
        if was == Host.ENROLLING:
            audit.record(
                by=job.created_by,
                at=clock(),
                action="deploy.host.ready",
                subject=host.fqdn,
                detail={host.mta: reported.get(host.mta), "dovecot": reported.get("dovecot")},
            )
    placement.place_all(at=clock())
    return Outcome()


def remove(*, host: Host, by: Operator | None, at: datetime) -> None:
    """Forget a server. What runs there goes on running; the page gave the command to undo it."""
    with transaction.atomic():
        if HostRollout.objects.open().filter(host=host).exists():
            raise InUse(_("Something is being put live on this server. Wait until it has ended."))
        for domain in Domain.objects.on(str(host.uuid)):
            domains.assign_host(domain=domain, host="", by=by, at=at)
        HostRollout.objects.filter(host=host).delete()
        Rollout.objects.filter(hosts=None).delete()
        Generation.objects.filter(host=host).delete()
        audit.record(by=by, at=at, action="deploy.host.removed", subject=host.fqdn)
        Host.objects.filter(pk=host.pk).delete()


def to_paste(script: str) -> str:
    """A shell script as one command to paste: short lines, which every terminal takes, and nothing
    that a shell would read before its time. As root it needs no sudo."""
    packed = base64.encodebytes(gzip.compress(script.encode(), 9, mtime=0)).decode()
    return f"base64 -d <<'MAILADMIN' | gunzip | $(command -v sudo) sh\n{packed}MAILADMIN\n"
