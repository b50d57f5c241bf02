"""Which host a domain's mailboxes live on. With one host there is nothing to ask."""

from datetime import datetime

from django.db.models import QuerySet

from accounts import domains
from accounts.models import Domain
from core.models import Operator
from deploy.models import Host

TASK = "deploy.place_domain"


def only_host() -> Host | None:
    """The one host that is ready; None when there is none, or a choice."""
    ready = list(Host.objects.ready()[:2])
    return ready[0] if len(ready) == 1 else None


def placeable() -> "QuerySet[Domain]":
    """Domains on no host that may be on one. A host's own name may not: its mail is local there,
    and every mailbox in it would be refused as an unknown user."""
    return Domain.objects.without_host().exclude(name__in=Host.objects.values("fqdn"))


def is_a_mail_domain(host: Host) -> bool:
    """Whether somebody added the host's own name as a domain."""
    return Domain.objects.filter(name=host.fqdn).exists()


def due(at: datetime) -> "QuerySet[Domain]":
    """Domains that are on no host although it is clear which it must be."""
    return placeable() if only_host() else Domain.objects.none()


def unplaced() -> int:
    """Domains that wait for somebody to say on which host they are."""
    return 0 if only_host() else placeable().count()


def place(pk: int, *, at: datetime) -> None:
    host = only_host()
    domain = placeable().filter(pk=pk).first()
    if host is not None and domain is not None:
        domains.assign_host(domain=domain, host=str(host.uuid), by=None, at=at)


def place_all(*, at: datetime) -> None:
    for pk in due(at).values_list("pk", flat=True):
        place(pk, at=at)


def place_rest(*, host: Host, by: Operator | None, at: datetime) -> None:
    """An operator's choice, where there are several hosts: what is on none goes here."""
    for domain in placeable():
        domains.assign_host(domain=domain, host=str(host.uuid), by=by, at=at)
