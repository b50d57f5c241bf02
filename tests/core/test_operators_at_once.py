"""Two owners at once, on PostgreSQL: there writers really overlap. SQLite has one at a time."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from core import operator_refusals, operators
from core.models import Operator
from tests.accounts.test_concurrency import at_once

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer"),
]


@pytest.mark.parametrize("_round", range(5))
def test_two_owners_who_take_each_other_away_leave_one(owner, _round) -> None:
    second = Operator.objects.create_user(username="second", password="x", role="owner")

    def off(target, by):
        return lambda: operators.switch_off(operator=target, by=by, at=AT)

    outcomes = at_once(off(owner, second), off(second, owner))
    assert sum(isinstance(outcome, operator_refusals.LastOwner) for outcome in outcomes) == 1
    assert Operator.objects.filter(role="owner", is_active=True).count() == 1


@pytest.mark.parametrize("_round", range(5))
def test_of_two_changes_at_once_the_second_is_told(owner, _round) -> None:
    anna, _link = operators.add(username="anna", role="auditor", by=owner, at=AT)
    seen = operators.stamp(anna)

    def change(**more):
        given = {"email": "", "role": "auditor", **more}
        return lambda: operators.change(operator=anna, seen=seen, **given, by=owner, at=AT)

    outcomes = at_once(change(role="administrator"), change(email="anna@example.test"))
    assert sum(isinstance(outcome, operator_refusals.ChangedMeanwhile) for outcome in outcomes) == 1
    anna.refresh_from_db()
    assert (anna.role, anna.email) in {("administrator", ""), ("auditor", "anna@example.test")}


def test_one_name_is_given_once(owner) -> None:
    def add():
        return operators.add(username="anna", role="auditor", by=owner, at=AT)

    outcomes = at_once(add, add, add)
    assert sum(isinstance(outcome, operator_refusals.UsernameTaken) for outcome in outcomes) == 2
    assert Operator.objects.filter(username="anna").count() == 1
