"""A nudge goes out after commit, never on a rollback, and never fails its caller."""

import pytest
from django.db import transaction

from core import nudge


class Broker:
    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[tuple[str, list[object]]] = []
        self.error = error

    def send_task(self, name, args, **options):
        assert options == {"retry": False, "ignore_result": True}
        if self.error:
            raise self.error
        self.sent.append((name, args))


@pytest.fixture
def broker(monkeypatch, no_broker):
    broker = Broker()
    monkeypatch.undo()
    monkeypatch.setattr(nudge, "current_app", broker)
    return broker


def test_after_commit_and_not_before(transactional_db, broker) -> None:
    with transaction.atomic():
        nudge.nudge("core.seal_audit", 7)
        assert broker.sent == []
    assert broker.sent == [("core.seal_audit", [7])]


def test_nothing_after_a_rollback(transactional_db, broker) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        nudge.nudge("core.seal_audit", 7)
        raise ZeroDivisionError
    assert broker.sent == []


def test_a_broker_that_is_away_is_logged_and_nothing_else(transactional_db, broker, caplog) -> None:
    broker.error = ConnectionError("refused")
    nudge.nudge("core.seal_audit", 7)
    assert "the next tick sends it" in caplog.text
