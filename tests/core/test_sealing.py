"""The audit log's chain names the first event that was tampered with."""

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from core import audit, sealing
from core.models import AuditEvent

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def record(number: int) -> AuditEvent:
    with transaction.atomic():
        return audit.record(
            by=None, at=AT, action="accounts.mailbox.created", subject=f"u{number}@example.test"
        )


@pytest.fixture
def sealed(db: None) -> list[AuditEvent]:
    events = [record(number) for number in range(5)]
    assert sealing.seal_events() == 5
    return events


def test_sealed_events_verify_and_the_tail_is_named(sealed, capsys) -> None:
    record(9)
    verdict = sealing.verify()
    assert (verdict.sealed, verdict.unsealed, verdict.broken_at) == (5, 1, None)
    call_command("verify_audit")
    assert "5 sealed events are intact, 1 not sealed yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "someone@example.test"},
        {"action": "accounts.mailbox.erased"},
        {"actor_name": "nobody"},
        {"detail": {"a": 1}},
        {"at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"address": "192.0.2.9"},
    ],
)
def test_a_changed_event_breaks_the_chain_there(sealed, change) -> None:
    AuditEvent.objects.filter(sequence=3).update(**change)
    assert sealing.verify().broken_at == 3
    with pytest.raises(CommandError, match="Event 3 does not fit"):
        call_command("verify_audit")


def test_a_removed_event_breaks_the_chain_there(sealed) -> None:
    AuditEvent.objects.filter(sequence=2).delete()
    assert sealing.verify().broken_at == 2


def test_sealing_goes_on_where_it_ended(sealed) -> None:
    record(6)
    record(7)
    assert sealing.seal_events() == 2
    assert sealing.verify().sealed == 7
    assert sealing.seal_events() == 0


def test_an_event_outside_a_transaction_is_refused(transactional_db) -> None:
    with pytest.raises(RuntimeError):
        audit.record(by=None, at=AT, action="x.y", subject="z")
