"""One worker process takes several hosts of a rollout at once."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.utils import timezone

from core import leases
from deploy import abreast, carriage
from deploy.models import Generation, Host, HostRollout, Rollout

pytestmark = pytest.mark.django_db(transaction=True)

HOSTS = 12


@pytest.fixture
def rows(db: None) -> list[HostRollout]:
    """The first host is confirmed; the others may begin."""
    now = timezone.now()
    made = Rollout.objects.create(created_at=now)
    for number in range(HOSTS + 1):
        host = Host.objects.create(fqdn=f"mail{number}.example.test", created_at=now)
        generation = Generation.objects.create(
            host=host, number=1, digest="", files=b"", snapshot={}, created_at=now
        )
        state = HostRollout.PLANNED if number else HostRollout.CONFIRMED
        HostRollout.objects.create(
            rollout=made, host=host, generation=generation, base=0, turn=min(number, 1), state=state
        )
    return list(made.hosts.filter(turn=1).order_by("pk"))


class Carriages:
    """Stands for `carriage.carry_out`: each host takes a while, and how many are on their way at
    once is counted."""

    def __init__(self) -> None:
        self.carried: list[int] = []
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, pk: int) -> None:
        now = timezone.now()
        with self.lock:
            row = leases.claim(HostRollout.objects.due(now), pk, worker="one", at=now)
            if row is None:
                return
            self.carried.append(pk)
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.1)
        with self.lock:
            self.now -= 1
            leases.release(row, state=HostRollout.CONFIRMED)


@pytest.fixture
def carriages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Carriages]:
    made = Carriages()
    monkeypatch.setattr(carriage, "carry_out", made)
    ask = abreast._Due._next

    def one_at_a_time(due) -> int | None:
        # Threads share the tests' database in memory, where readers do not wait for a writer.
        with made.lock:
            return ask(due)

    monkeypatch.setattr(abreast._Due, "_next", one_at_a_time)
    yield made


def test_one_message_carries_them_all(rows, carriages, settings) -> None:
    settings.HOSTS_AT_ONCE = 4
    abreast.carry(rows[0].pk)
    assert sorted(carriages.carried) == [row.pk for row in rows]
    assert carriages.most == 4


def test_one_host_takes_no_thread(rows, carriages) -> None:
    HostRollout.objects.exclude(pk=rows[0].pk).update(state=HostRollout.CONFIRMED)
    before = threading.active_count()
    abreast.carry(rows[0].pk)
    assert carriages.carried == [rows[0].pk]
    assert threading.active_count() == before


def test_a_first_host_of_another_rollout_goes_before_the_rest(rows, carriages, settings) -> None:
    settings.HOSTS_AT_ONCE = 1
    HostRollout.objects.filter(pk=rows[-1].pk).update(
        turn=0, rollout=Rollout.objects.create(created_at=timezone.now())
    )
    abreast.carry(rows[0].pk)
    assert carriages.carried[:2] == [rows[0].pk, rows[-1].pk]


def test_what_waits_for_a_silent_host_comes_after_what_was_not_tried(
    rows, carriages, settings
) -> None:
    settings.HOSTS_AT_ONCE = 1
    HostRollout.objects.filter(pk=rows[1].pk).update(
        state=HostRollout.STAGING, retry_at=timezone.now()
    )
    abreast.carry(rows[0].pk)
    assert carriages.carried[-1] == rows[1].pk


def test_nothing_new_begins_when_the_time_is_up(rows, carriages, settings, monkeypatch) -> None:
    settings.HOSTS_AT_ONCE = 2
    monkeypatch.setattr(abreast, "NO_MORE_AFTER", 0.15)
    abreast.carry(rows[0].pk)
    assert 2 <= len(carriages.carried) < HOSTS


def test_a_thread_that_fails_takes_no_other_along(rows, carriages, settings, monkeypatch) -> None:
    settings.HOSTS_AT_ONCE = 3

    def carry_out(pk: int) -> None:
        carriages(pk)
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("one thread")

    monkeypatch.setattr(carriage, "carry_out", carry_out)
    abreast.carry(rows[0].pk)
    assert sorted(carriages.carried) == [row.pk for row in rows]
