"""Two at once, on PostgreSQL: there writers really overlap. SQLite has one writer at a time."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from accounts import aliases, domains, lifecycle
from accounts.models import Alias, Change, Domain, Mailbox
from accounts.refusals import AddressTaken, DomainGone, NotInState
from core.errors import Refusal

from .conftest import AT, GOOD, HOST

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer"),
]


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act returned or was refused with; all start together."""
    gate = threading.Barrier(len(acts))
    outcomes: list[Any] = [None] * len(acts)

    def run(number: int) -> None:
        gate.wait()
        try:
            outcomes[number] = acts[number]()
        except Refusal as refusal:
            outcomes[number] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive(), "they wait for one another"
    return outcomes


@pytest.fixture
def home(transactional_db: None) -> Any:
    return domains.create(name="example.test", host=HOST, by=None, at=AT)


def test_one_address_is_made_once(home: Any) -> None:
    def mailbox() -> Any:
        return lifecycle.create(domain=home, local_part="info", password=GOOD, by=None, at=AT)

    def alias() -> Any:
        return aliases.create(
            domain=home, local_part="info", targets=["x@elsewhere.test"], by=None, at=AT
        )

    outcomes = at_once(mailbox, alias, mailbox, alias)
    assert sum(isinstance(outcome, AddressTaken) for outcome in outcomes) == 3
    assert Mailbox.objects.count() + Alias.objects.count() == 1


def test_suspending_twice_is_one_suspension(home: Any) -> None:
    made = lifecycle.create(domain=home, local_part="anna", password=GOOD, by=None, at=AT)
    before = Change.objects.count()

    def suspend() -> Any:
        return lifecycle.suspend(mailbox=made, by=None, at=AT)

    outcomes = at_once(*[suspend] * 4)
    assert sum(isinstance(outcome, NotInState) for outcome in outcomes) == 3
    assert Change.objects.count() == before + 1


def test_two_halves_of_a_circle_are_not_both_made(home: Any) -> None:
    def alias(name: str, target: str) -> Callable[[], Any]:
        return lambda: aliases.create(
            domain=home, local_part=name, targets=[f"{target}@example.test"], by=None, at=AT
        )

    outcomes = at_once(alias("a", "b"), alias("b", "a"))
    assert sum(isinstance(outcome, aliases.AliasLoop) for outcome in outcomes) == 1


def test_a_domain_is_not_removed_under_a_new_mailbox(home: Any) -> None:

    def mailbox() -> Any:
        return lifecycle.create(domain=home, local_part="anna", password=GOOD, by=None, at=AT)

    outcomes = at_once(mailbox, lambda: domains.remove(domain=home, by=None, at=AT))
    refused = [one for one in outcomes if isinstance(one, DomainGone | domains.DomainNotEmpty)]
    assert len(refused) == 1
    assert Domain.objects.count() == Mailbox.objects.count()


def test_changes_become_visible_in_the_order_of_their_ids(home: Any) -> None:
    """Else a host that reached 12 would never learn of 11, committed a moment later."""
    first_has_its_id, first_may_commit = threading.Event(), threading.Event()
    reached: list[int] = []

    def first() -> None:
        with transaction.atomic():
            Change.objects.all().append([Change(at=AT, host=HOST, kind="mailbox", subject="a")])
            first_has_its_id.set()
            first_may_commit.wait(10)

    def second() -> None:
        first_has_its_id.wait(10)
        with transaction.atomic():
            Change.objects.all().append([Change(at=AT, host=HOST, kind="mailbox", subject="b")])
        reached.append(Change.objects.latest_id(HOST))

    def let_go() -> None:
        first_has_its_id.wait(10)
        threading.Event().wait(0.3)
        assert not reached, "the second did not wait for the first"
        first_may_commit.set()

    at_once(first, second, let_go)
    rows = list(Change.objects.order_by("id").values_list("subject", flat=True))
    assert rows[-2:] == ["a", "b"] and reached == [Change.objects.latest_id(HOST)]
