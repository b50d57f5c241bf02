"""Sixty rollouts in a row, with suspensions between: nothing is left behind."""

import pytest

from accounts import lifecycle
from deploy.models import Generation, HostRollout
from tests.live.rollouts import Console, log_of, now
from tests.live.test_rollout import change_something, console, live

__all__ = ["console", "live"]
pytestmark = [pytest.mark.soak, pytest.mark.django_db(transaction=True)]

ROLLOUTS = 60


def test_many_rollouts_and_suspensions(live: Console) -> None:
    anna = live.mailbox("berta@example.test")
    live.push()
    before = live.facts()["accounts"]["mailboxes"]  # type: ignore[index]
    for number in range(ROLLOUTS):
        change_something(live, 20 + number % 2)
        row = live.put_live()
        assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
        act = lifecycle.suspend if number % 2 == 0 else lifecycle.resume
        anna = act(mailbox=anna, by=live.owner, at=now())
        live.push()
    facts = live.facts()
    assert facts["accounts"]["mailboxes"] == before  # type: ignore[index]
    assert facts["pending"] is None
    assert facts["drift"] == []
    assert facts["generation"] == Generation.objects.live().get(host=live.host).number
    running = live.machine.run(["sh", "-c", "pgrep -fc '[h]ostctl deadman' || true"])
    assert running.stdout.strip() == "0", "a dead-man timer was left behind"
