"""A worker as a process of its own, so that a test can kill it; its hosts answer from a script.

    python -m tests.deploy.fleet_worker ask            # → keys of a rollout for two hosts
    python -m tests.deploy.fleet_worker carry 7 sent   # the task; kill -9 at that point, if any
    python -m tests.deploy.fleet_worker tick           # → what the tick would send

Points: `sent`, when the first host is confirmed and the others are about to be told; `claimed`,
when the second was claimed and nothing was done; `confirm`, when it has confirmed and nobody knows.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Hosts:
    """Says yes to everything; `confirmed` is what a host would remember."""

    def __init__(self, point: str) -> None:
        self.point = point

    def connect(self, target: Any) -> "Hosts":
        return self

    def close(self) -> None:
        pass

    def call(self, header: Mapping[str, Any], payload: bytes = b"", **_more: Any) -> Iterator[Any]:
        from deploy.models import HostRollout

        row = HostRollout.objects.filter(host__uuid=header["host"]).latest("pk")
        if header["verb"] == "confirm" and self.point == "confirm" and row.turn:
            kill()
        result: dict[str, Any] = {"event": "result"}
        if header["verb"] == "accounts":
            result |= {"through_change": header["through_change"], "lineage": "ab" * 16}
        if header["verb"] == "facts":
            number = row.generation.number
            last = {"generation": number, "outcome": "confirmed"}
            result |= {**row.host.facts, "drift": [], "generation": number, "last": last}
        yield result


def ask() -> object:
    from django.utils import timezone

    from deploy import rollout
    from deploy.models import AccountPush, Host

    AccountPush.objects.update(state=AccountPush.CURRENT, lineage="ab" * 16)
    hosts = list(Host.objects.all())
    marks = [host.reported().drift_mark for host in hosts]
    made = rollout.request(
        hosts=hosts, by=None, at=timezone.now(), overwrite=marks, even_if_same=True
    )
    return list(made.hosts.order_by("turn").values_list("pk", flat=True))


def carry(pk: str, point: str = "") -> object:
    from core import nudge
    from deploy import abreast, carriage, fleet, states
    from deploy.logbook import Logbook
    from deploy.models import HostRollout

    def send(task: str, _key: object) -> None:
        if task == fleet.TASK and point == "sent":
            kill()

    def go(self: Logbook, state: str, **fields: Any) -> None:
        if state == states.STAGING and self.row.turn and point == "claimed":
            kill()
        went(self, state, **fields)

    nudge.send = send  # type: ignore[assignment]
    went, Logbook.go = Logbook.go, go  # type: ignore[method-assign]
    one = carriage.carry_out
    hosts = carriage.Tools(transport=Hosts(point), prove=lambda *_all, **_more: iter(()))  # type: ignore[arg-type]
    carriage.carry_out = lambda key: one(key, hosts)  # type: ignore[assignment,misc]
    abreast.carry(int(pk))
    return dict(HostRollout.objects.values_list("pk", "state"))


def tick() -> object:
    from django.utils import timezone

    from deploy import fleet
    from mailadmin import tick

    woken: list[object] = []
    tick.send = lambda task, key: woken.append(key) if task == fleet.TASK else None  # type: ignore
    tick.tick(at=timezone.now())
    return woken


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    from django.conf import settings

    from core import seal

    seal.load("all", settings.DATA_DIR)
    django.setup()
    verb = {"ask": ask, "carry": carry, "tick": tick}[sys.argv[1]]
    sys.stdout.write(json.dumps(verb(*sys.argv[2:])) + "\n")
