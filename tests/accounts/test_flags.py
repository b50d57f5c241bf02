"""Flags as rows: found, kept, set aside, gone; their page, their API, their command."""

import datetime
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts import domains, flags, lifecycle, usage
from accounts.flags import ExemptionRefused
from accounts.models import Evidence, Flag, LastUse, Mailbox
from core.api_auth import create_token
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


def test_what_a_host_saw_before_the_domain_came_to_it_says_nothing(
    anna: Mailbox, watched: None
) -> None:
    """The host it comes from may have seen logins that nobody told of."""
    other = "b2c0a3ce-6f5e-4f47-9a43-6d6f4d9b1a22"
    Evidence.objects.update(host=other)
    domains.assign_host(domain=anna.domain, host=other, by=None, at=AT + 95 * DAY)
    flags.refresh(at=AT + 100 * DAY)
    assert "never_used" not in kinds(anna)
    row = Mailbox.objects.get(pk=anna.pk)
    assert {use.since for use in usage.shown(row)} == {AT + 95 * DAY}
    Evidence.objects.update(through=AT + 300 * DAY)
    flags.refresh(at=AT + 300 * DAY)
    found = Flag.objects.get(kind="never_used")
    assert (found.since, found.sure) == (AT + 95 * DAY, "since")


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


def test_one_that_is_gone_meanwhile_is_said_to_be(scanner: Mailbox, owner: Any) -> None:
    flags.refresh(at=AT)
    flag = Flag.objects.get(kind="test_named")
    Flag.objects.all().delete()
    with pytest.raises(flags.FlagGone, match="Look again"):
        flags.exempt(flag=flag, reason="x", until=None, by=owner, at=AT)
    with pytest.raises(flags.FlagGone):
        flags.unexempt(flag=flag, by=owner, at=AT)
    assert not AuditEvent.objects.filter(action__startswith="accounts.flag").exists()


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


@pytest.fixture
def flagged(scanner: Mailbox, anna: Mailbox) -> Flag:
    flags.refresh(at=AT)
    return Flag.objects.get(mailbox=scanner, kind="test_named")


def test_the_page_says_why_and_how_sure(
    client: Any, owner: Any, flagged: Flag, django_assert_max_num_queries: Any
) -> None:
    client.force_login(owner)
    with django_assert_max_num_queries(10):
        text = client.get("/accounts/flags/").content.decode()
    assert "“scan” in its name looks like an account for a test." in text
    assert "Nobody is named who looks after it." in text
    only = client.get("/accounts/flags/?kind=no_owner").content.decode()
    assert "looks like an account" not in only
    assert "Nothing of this kind" in client.get("/accounts/flags/?kind=weak").content.decode()


def test_ticked_flags_are_set_aside_with_a_reason(client: Any, owner: Any, flagged: Flag) -> None:
    client.force_login(owner)
    ticked = {"verb": "exempt", "flag": [flagged.pk]}
    asked = client.post("/accounts/flags/selected/", ticked)
    assert "scan-2@example.test" in asked.content.decode()
    refused = client.post("/accounts/flags/selected/", {**ticked, "sure": "yes", "reason": ""})
    assert refused.status_code == 422
    sure = {**ticked, "sure": "yes", "reason": "floor 2", "until": "2999-01-01"}
    client.post("/accounts/flags/selected/", sure)
    assert not flags.listed(AT).filter(pk=flagged.pk).exists()
    text = client.get("/accounts/flags/?kind=set_aside").content.decode()
    assert "floor 2" in text and "until 2999-01-01" in text
    client.post("/accounts/flags/selected/", {"verb": "count", "flag": [flagged.pk]})
    assert flags.listed(AT).filter(pk=flagged.pk).exists()


@pytest.mark.parametrize("verb", ["suspend", "close"])
def test_ticked_accounts_are_suspended_or_closed(
    verb: str, client: Any, owner: Any, flagged: Flag
) -> None:
    client.force_login(owner)
    ids = list(flags.listed(AT).values_list("pk", flat=True))
    asked = client.post("/accounts/flags/selected/", {"verb": verb, "flag": ids})
    assert {row.address for row in asked.context["applies"]} == {
        "anna@example.test",
        "scan-2@example.test",
    }
    answer = {"verb": verb, "sure": "yes", "mailbox": [flagged.mailbox_id], "days": "30"}
    client.post("/accounts/selected/", answer)
    assert not flags.listed(AT).filter(mailbox=flagged.mailbox).exists()
    assert flags.listed(AT).exists()


def test_nothing_ticked_and_nonsense_change_nothing(client: Any, owner: Any, flagged: Flag) -> None:
    client.force_login(owner)
    for sent in ({}, {"verb": "exempt"}, {"verb": "drop", "flag": [flagged.pk]}, {"flag": "x²"}):
        assert client.post("/accounts/flags/selected/", sent).status_code == 302
    far = client.post("/accounts/flags/selected/", {"verb": "exempt", "flag": "9" * 30})
    assert far.status_code == 302


def test_pages_by_risk_forth_and_back(client: Any, owner: Any, domain: Any) -> None:
    rows = Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain, local_part=f"n{number}", address=f"n{number}@example.test", password="",
            password_set_at=AT, state_since=AT, created_at=AT,
        )
        for number in range(120)
    )  # fmt: skip
    Flag.objects.bulk_create(
        Flag(mailbox=row, kind="no_owner", since=AT, found_at=AT, risk=1 + number % 3)
        for number, row in enumerate(rows)
    )
    client.force_login(owner)
    page = client.get("/accounts/flags/").context["page"]
    seen, keys = [flag.pk for flag in page], []
    while page.next:
        keys.append(page.next)
        page = client.get(f"/accounts/flags/?after={page.next}").context["page"]
        seen += [flag.pk for flag in page]
    assert seen == list(Flag.objects.order_by("-risk", "pk").values_list("pk", flat=True))
    back = client.get(f"/accounts/flags/?before={page.previous}").context["page"]
    assert [flag.pk for flag in back] == seen[50:100]
    assert len(client.get("/accounts/flags/?after=9-x").context["page"]) == 50


def test_the_audit_is_started_watched_and_stopped(client: Any, owner: Any, anna: Mailbox) -> None:
    client.force_login(owner)
    assert "Start an audit" in client.get("/accounts/flags/").content.decode()
    client.post("/accounts/flags/audit/start/")
    part = client.get("/accounts/flags/audit/").content.decode()
    assert "every 1s" in part and "0 of 1 accounts looked at" in part
    client.post("/accounts/flags/audit/stop/")
    assert "every 1s" not in client.get("/accounts/flags/audit/").content.decode()


def test_a_mailbox_shows_its_flags(client: Any, owner: Any, flagged: Flag) -> None:
    client.force_login(owner)
    text = client.get(f"/accounts/{flagged.mailbox_id}/").content.decode()
    assert "Nobody is named who looks after it." in text


def test_the_api_lists_and_sets_aside(client: Any, owner: Any, flagged: Flag) -> None:
    scopes = ["accounts:read", "accounts:write"]
    _row, secret = create_token(
        name="t", scopes=scopes, expires_at=None, by=owner, at=timezone.now()
    )
    said = {"headers": {"Authorization": f"Bearer {secret}"}}
    items = client.get("/api/v1/flags?kind=test_named", **said).json()["items"]
    assert [(each["address"], each["kind"], each["risk"]) for each in items] == [
        ("scan-2@example.test", "test_named", 1)
    ]
    url = f"/api/v1/flags/{items[0]['id']}/exempt"
    refused = client.post(url, {"reason": " "}, content_type="application/json", **said)
    assert (refused.status_code, refused.json()["code"]) == (422, "ExemptionRefused")
    done = client.post(url, {"reason": "floor 2"}, content_type="application/json", **said)
    assert done.json()["exempt_reason"] == "floor 2"
    assert client.get("/api/v1/flags?kind=test_named", **said).json()["items"] == []
    assert client.delete(url, **said).json()["exempt_at"] is None


def test_the_command_lists_them(scanner: Mailbox) -> None:
    said = io.StringIO()
    call_command("flags", "--json", "--refresh", "--kind", "test_named", stdout=said)
    (found,) = json.loads(said.getvalue())["flags"]
    assert (found["address"], found["kind"]) == ("scan-2@example.test", "test_named")
    said = io.StringIO()
    call_command("flags", stdout=said)
    assert "“scan” in its name looks like an account for a test." in said.getvalue()
