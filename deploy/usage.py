"""Last uses, and what mail takes, are fetched from the hosts every quarter of an hour.

Whoever moves `Host.uses_asked_at` on asks; a worker that ends in the middle is followed by the next
turn, and being told twice is the same. A host that does not answer is asked at the next turn.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import usage
from deploy.helper import Helper
from deploy.models import Host
from deploy.transport import Event, HostError, Transport, TransportError

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
MOST_ANSWERS = 40
"""In one turn: a million uses; the next turn goes on from there."""

Clock = Callable[[], datetime]


def due(at: datetime) -> "QuerySet[Host]":
    waiting = Q(uses_asked_at=None) | Q(uses_asked_at__lte=at - EVERY)
    return Host.objects.filter(waiting, state=Host.READY)


def collect(pk: int, *, clock: Clock = timezone.now, transport: Transport | None = None) -> None:
    at = clock()
    if not due(at).filter(pk=pk).update(uses_asked_at=at):
        return
    host = Host.objects.get(pk=pk)
    uuid = str(host.uuid)
    try:
        with Helper.of(host, transport) as helper:
            cursor = int(usage.cursor_of(uuid) or 0)
            for _ in range(MOST_ANSWERS):
                answer = helper.usage(cursor=cursor)
                cursor = int(answer["cursor"])
                _record(uuid, answer, clock())
                if not answer["more"]:
                    break
    except (TransportError, HostError) as error:
        log.warning("last uses of %s: %s", host, error)


def _record(host: str, answer: Event, at: datetime) -> None:
    usage.record_sizes(
        sizes=(
            usage.Size(str(address), int(size), _moment(second))
            # A helper from before does not tell them.
            for address, size, second in answer.get("sizes", ())
        ),
        host=host,
        at=at,
    )
    usage.record_use(
        uses=(
            usage.Use(str(address), str(protocol), _moment(second))
            for address, protocol, second in answer["uses"]
        ),
        host=host,
        recording={name: _moment(second) for name, second in answer["recording"].items()},
        through=_moment(answer["through"]),
        cursor=str(answer["cursor"]),
        at=at,
    )


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
