"""Flags as rows: found, kept, set aside, gone; their page, their API, their command."""

import datetime
from typing import Any

import pytest

from accounts import flags, lifecycle
from accounts.flags import ExemptionRefused
from accounts.models import Evidence, Flag, LastUse, Mailbox
from core.models import AuditEvent

from .conftest import AT, GOOD, HOST

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)


def kinds(mailbox: Mailbox) -> set[str]:
    return set(Flag.objects.filter(mailbox=mailbox).values_list("kind", flat=True))


@pytest.fixture
def scanner(domain: Any) -> Mailbox:
    return lifecycle.create(
        domain=domain, local_part="scan-2", password=GOOD, name_reason="floor 2", by=None, at=AT
    )


@pytest.fixture
def watched() -> None:
    for protocol in ("imap", "pop3", "smtp"):
        Evidence.objects.create(
            host=HOST, protocol=protocol, since=AT - DAY, through=AT + 100 * DAY
        )


def test_what_stands_keeps_its_day_and_what_is_gone_goes(scanner: Mailbox, watched: None) -> None:
    flags.refresh(at=AT + DAY)
    assert kinds(scanner) == {"test_named", "no_owner", "never_used"}
    assert not Flag.objects.exclude(found_at=AT + DAY).exists()
    LastUse.objects.create(mailbox=scanner, protocol="imap", at=AT + 50 * DAY)
    lifecycle.edit(
        mailbox=scanner,
        display_name="",
        owner_contact="Bob",
        note="",
        quota_mb=None,
        revision=scanner.revision,
        by=None,
        at=AT + 2 * DAY,
    )
    flags.refresh(at=AT + 3 * DAY)
    assert kinds(scanner) == {"test_named"}
    flag = Flag.objects.get()
    assert (flag.found_at, flag.risk, flag.evidence) == (AT + DAY, 1, {"token": "scan"})


def test_a_use_that_ends_and_begins_again_has_its_own_day(anna: Mailbox, watched: None) -> None:
    use = LastUse.objects.create(mailbox=anna, protocol="imap", at=AT)
    flags.refresh(at=AT + 100 * DAY)
    assert Flag.objects.get(kind="dormant").since == AT
    use.at = AT + 5 * DAY
    use.save()
    flags.refresh(at=AT + 100 * DAY)
    assert Flag.objects.get(kind="dormant").since == AT + 5 * DAY


def test_exempt_asks_for_a_reason_and_a_later_day(scanner: Mailbox, owner: Any) -> None:
    flags.refresh(at=AT)
    flag = Flag.objects.get(kind="test_named")
    with pytest.raises(ExemptionRefused):
        flags.exempt(flag=flag, reason=" ", until=None, by=owner, at=AT)
    with pytest.raises(ExemptionRefused):
        flags.exempt(flag=flag, reason="needed", until=AT, by=owner, at=AT)
    flags.exempt(flag=flag, reason="needed", until=AT + DAY, by=owner, at=AT)
    flags.refresh(at=AT)
    assert not Flag.objects.standing(AT).filter(kind="test_named").exists()
    assert Flag.objects.standing(AT + DAY).filter(kind="test_named").exists()
    flags.exempt(flag=flag, reason="needed", until=None, by=owner, at=AT)
    assert not Flag.objects.standing(AT + 999 * DAY).filter(kind="test_named").exists()
    flags.unexempt(flag=flag, by=owner, at=AT)
    assert Flag.objects.standing(AT).filter(kind="test_named").exists()
    events = AuditEvent.objects.filter(action__startswith="accounts.flag.").order_by("pk")
    assert [event.action.rpartition(".")[2] for event in events] == [
        "exempted", "exempted", "unexempted",
    ]  # fmt: skip
    assert events[0].detail["reason"] == "needed"


def test_a_suspended_account_has_none_of_use(scanner: Mailbox) -> None:
    flags.refresh(at=AT)
    assert kinds(scanner)
    lifecycle.suspend(mailbox=scanner, by=None, at=AT)
    flags.refresh(at=AT)
    assert kinds(scanner) == set()


def test_few_queries_whatever_the_number(
    scanner: Mailbox, anna: Mailbox, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(12):
        flags.refresh(at=AT)


def test_only_those_asked_for(scanner: Mailbox, anna: Mailbox) -> None:
    flags.refresh(at=AT, mailboxes=[anna.pk])
    assert kinds(anna) == {"no_owner"}
    assert kinds(scanner) == set()


def test_once_an_hour(scanner: Mailbox) -> None:
    from django.core.cache import cache

    cache.clear()
    assert list(flags.due(AT))
    assert not list(flags.due(AT))
