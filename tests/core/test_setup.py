"""The setup link makes the owner once; the restore link lets one operator back in."""

from datetime import UTC, datetime, timedelta

import pytest

from core import setup
from core.models import AuditEvent, Operator

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
PERSON = {"username": "ann", "email": "ann@example.test", "password": "a quiet harbour 9"}


def secret_of(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[1]


@pytest.fixture
def secret(db: None) -> str:
    return secret_of(setup.new_link(at=AT))


def test_it_makes_the_owner_and_says_so_in_the_log(secret) -> None:
    ann = setup.redeem(secret, **PERSON, at=AT, address="192.0.2.1")
    assert ann.role == "owner" and ann.check_password(PERSON["password"])
    event = AuditEvent.objects.get()
    assert (event.action, event.address) == ("core.owner.created", "192.0.2.1")
    assert PERSON["password"] not in str(event.detail)


def test_it_works_once(secret) -> None:
    setup.redeem(secret, **PERSON, at=AT)
    with pytest.raises(setup.LinkRefused, match="used already"):
        setup.redeem(secret, username="bob", email="", password="x", at=AT)
    assert Operator.objects.count() == 1


def test_it_expires(secret) -> None:
    with pytest.raises(setup.LinkRefused, match="more than an hour old"):
        setup.redeem(secret, **PERSON, at=AT + timedelta(hours=1, seconds=1))
    assert not setup.owner_exists()


def test_a_second_link_puts_the_first_out_of_use(secret) -> None:
    second = secret_of(setup.new_link(at=AT))
    with pytest.raises(setup.LinkRefused, match="not known"):
        setup.look_up(secret, at=AT)
    assert setup.look_up(second, at=AT)


def test_the_secret_is_not_stored(secret) -> None:
    from core.models import OneTimeLink

    assert secret not in str(OneTimeLink.objects.values().get())


def test_restoring_sets_the_password_of_that_operator(owner) -> None:
    secret = secret_of(setup.new_link(at=AT, operator=owner))
    back = setup.redeem(secret, username="other", email="", password="new words 123", at=AT)
    assert back.pk == owner.pk and back.username == "owner"
    owner.refresh_from_db()
    assert owner.check_password("new words 123")
