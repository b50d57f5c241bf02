"""The verbs on domains."""

from typing import Any

import pytest

from accounts import domains, lifecycle
from accounts.models import Change, Domain
from accounts.refusals import DomainRefused
from core.models import AuditEvent

from .conftest import AT, GOOD, HOST

OTHER = "0b0b2d5e-1111-4222-8333-444455556666"


def changes() -> list[tuple[str, str, str]]:
    return list(Change.objects.order_by("id").values_list("host", "kind", "subject"))


def test_creating(db: None, owner: Any) -> None:
    made = domains.create(name="Exämple.test", by=owner, at=AT)
    assert (made.name, made.unicode_name, made.host) == (
        "xn--exmple-cua.test",
        "exämple.test",
        "",
    )
    assert changes() == [("", "domain", made.name)]
    assert AuditEvent.objects.latest("pk").action == "accounts.domain.created"


def test_a_domain_without_a_host_asks_for_one(
    db: None, sent_nudges: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = domains.create(name="a.test", by=None, at=AT)
        domains.create(name="b.test", host=HOST, by=None, at=AT)
    assert [nudge for nudge in sent_nudges if nudge[0].startswith("deploy.")] == [
        ("deploy.place_domain", made.pk),
        ("deploy.push_accounts", HOST),
    ]


@pytest.mark.parametrize("name", ["", "localhost", "192.0.2.1", "a b.test", "x\x00.test"])
def test_names_that_are_refused(db: None, name: str) -> None:
    with pytest.raises(DomainRefused) as refused:
        domains.create(name=name, by=None, at=AT)
    assert refused.value.sentence
    assert not Domain.objects.exists() and not Change.objects.exists()


@pytest.mark.parametrize("name", ["example.test", "EXAMPLE.test"])
def test_twice_is_refused(domain: Any, name: str) -> None:
    with pytest.raises(domains.DomainTaken):
        domains.create(name=name, by=None, at=AT)
    assert Domain.objects.count() == 1


def test_moving_tells_both_hosts(domain: Any, anna: Any) -> None:
    before = len(changes())
    domains.assign_host(domain=domain, host=OTHER, by=None, at=AT)
    assert changes()[before:] == [
        (HOST, "remove_domain", "example.test"),
        (OTHER, "domain", "example.test"),
    ]
    domains.assign_host(domain=domain, host=OTHER, by=None, at=AT)
    assert len(changes()) == before + 2


def test_removing_an_empty_one(domain: Any) -> None:
    domains.remove(domain=domain, by=None, at=AT)
    domains.remove(domain=domain, by=None, at=AT)
    assert not Domain.objects.exists()
    assert changes()[-1] == (HOST, "remove_domain", "example.test")
    assert AuditEvent.objects.filter(action="accounts.domain.removed").count() == 1


def test_one_with_mailboxes_is_not_removed(domain: Any, anna: Any) -> None:
    lifecycle.create(domain=domain, local_part="bert", password=GOOD, by=None, at=AT)
    with pytest.raises(domains.DomainNotEmpty) as refused:
        domains.remove(domain=domain, by=None, at=AT)
    assert "2" in refused.value.sentence
    assert Domain.objects.exists()


def test_counts_are_not_multiplied(domain: Any, anna: Any) -> None:
    from accounts import aliases

    lifecycle.create(domain=domain, local_part="bert", password=GOOD, by=None, at=AT)
    for name in ("x", "y", "z"):
        aliases.create(
            domain=domain, local_part=name, targets=["anna@example.test"], by=None, at=AT
        )
    row = Domain.objects.with_counts().get()
    assert (row.mailboxes, row.aliases) == (2, 3)
