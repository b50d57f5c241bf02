"""What a generation on a host is proved by: the questions, and a login made for them alone.

place = add_login(host, helper, place_of(host, generation), clock=clock)
for result in probes.run(questions(host, generation), place): …
remove_login(host, helper, place, clock=clock)

for result in of_live(host=host): …     # all of it, for what is live now
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.hashing import hash_secret
from accounts.models import Alias
from core.errors import Refusal
from deploy import accounts_push, probes, rollout
from deploy import plan as planning
from deploy.bundle import TLS_CA
from deploy.helper import Helper
from deploy.models import Generation, Host, HostRollout
from deploy.probes.tls import roots
from deploy.probes.values import Place, Result
from deploy.transport import HostError, Transport, TransportError

log = logging.getLogger(__name__)

ROLLOUTS = "mailadmin-probe"
BY_HAND = "mailadmin-probe-now"
ON_SCHEDULE = "mailadmin-probe-due"
"""Each has a login of its own, which must not be taken away under another's probes."""
PATIENCE = 2.0
"""Seconds for a daemon that is busy: nothing was switched, so nothing is on its way up."""

NEED_LOGIN = frozenset(("auth_right", "delivery"))
"""Kinds that need the login to be there."""

Clock = Callable[[], datetime]


class NothingLive(Refusal):
    """There is nothing to compare the daemons with."""

    def __init__(self, host: Host) -> None:
        super().__init__(
            _("Nothing was put live on %(host)s yet, so there is nothing to prove.")
            % {"host": host.fqdn}
        )


class AccountsHeld(Refusal):
    status = 409

    def __init__(self, host: Host) -> None:
        super().__init__(
            _("Accounts are just being sent to %(host)s. Try again in a minute.")
            % {"host": host.fqdn}
        )


class Prove(Protocol):
    def __call__(
        self,
        questions: Iterable[probes.Question],
        place: Place,
        *,
        beat: Callable[[], None],
    ) -> Iterator[Result]: ...


def questions(host: Host, generation: Generation) -> tuple[planning.Probe, ...]:
    return planning.plan(host.reported(), None, generation.bundle()).probes


def place_of(host: Host, generation: Generation, local_part: str = ROLLOUTS) -> Place:
    """The host as its users reach it, with a login that `add_login` makes."""
    return Place(
        address=host.address,
        fqdn=host.fqdn,
        ca_pem=roots(generation.bundle().files[TLS_CA]),
        login=f"{local_part}@{accounts_push.probe_domain(host)}",
        password=secrets.token_urlsafe(24),
        catch_all=Alias.objects.on(str(host.uuid)).filter(address=f"*@{host.fqdn}").exists(),
    )


def add_login(host: Host, helper: Helper, place: Place, *, clock: Clock) -> None:
    """A mailbox for these probes alone, which goes again. It mails to itself, once.

    Should it stay (a worker killed here), nobody knows its password, which is random and never
    stored.
    """
    mailbox = {
        "address": place.login,
        "password": hash_secret(place.password),
        "can_login": True,
        "can_send": True,
        "receives": True,
        "quota_bytes": 0,
    }
    domain = {"name": accounts_push.probe_domain(host)}
    with accounts_push.held(host, clock=clock) as push:
        accounts_push.add(push, helper, [{"domain": domain}, {"mailbox": mailbox}], clock=clock)


def remove_login(host: Host, helper: Helper, place: Place, *, clock: Clock) -> None:
    with accounts_push.held(host, clock=clock) as push:
        gone = [{"remove": place.login}]
        accounts_push.add(push, helper, gone, end_sessions=(place.login,), clock=clock)


def of_live(
    *,
    host: Host,
    clock: Clock = timezone.now,
    transport: Transport | None = None,
    prove: Prove = probes.run,
) -> Iterator[Result]:
    """Ask the running daemons for what is live there, now; answers come as they come.

    Raises NothingLive, AccountsHeld, rollout.UnderWay, and what the connection and the helper
    raise (`deploy.transport`). Changes nothing but the login, which goes again.
    """
    generation = rollout.live_generation(host)
    if generation is None:
        raise NothingLive(host)
    if HostRollout.objects.under_way().filter(host=host).exists():
        raise rollout.UnderWay(host)
    place = replace(place_of(host, generation, BY_HAND), patience=PATIENCE)
    with Helper.of(host, transport) as helper, signed_in(host, helper, place, clock=clock):
        yield from prove(questions(host, generation), place, beat=lambda: None)


@contextmanager
def signed_in(host: Host, helper: Helper, place: Place, *, clock: Clock) -> Iterator[None]:
    """While this lasts, the login of `place` is there. Raises AccountsHeld, and what the connection
    and the helper raise."""
    try:
        add_login(host, helper, place, clock=clock)
    except accounts_push.Held:
        raise AccountsHeld(host) from None
    try:
        yield
    finally:
        _forget(host, helper, place, clock)


def _forget(host: Host, helper: Helper, place: Place, clock: Clock) -> None:
    try:
        remove_login(host, helper, place, clock=clock)
    except (HostError, TransportError, accounts_push.Held) as error:
        log.warning("the login %s stays: %s", place.login, error)
