"""Accounts on their way to a host, against a helper that answers from a script."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse

from accounts import domains, lifecycle
from accounts.models import Change, Mailbox
from core.models import AuditEvent
from deploy import accounts_push, due, placement
from deploy.helper import Helper
from deploy.models import AccountPush, Host
from deploy.transport import Broken, HostError, Unreachable
from tests.deploy.conftest import ScriptedHelper, current, refusal

pytestmark = pytest.mark.django_db

PASSWORD = "larch umbrella 91 cobalt"


def accepted(header):
    return [{"event": "result", "through_change": header["through_change"]}]


@pytest.fixture
def anna(host: Host, owner, now) -> Mailbox:
    domain = domains.create(name="example.test", host=str(host.uuid), by=owner, at=now)
    return lifecycle.create(domain=domain, local_part="anna", password=PASSWORD, by=owner, at=now)


@pytest.fixture
def reached(host: Host, anna: Mailbox) -> AccountPush:
    """The host knows everything up to here."""
    return current(host, through_change=Change.objects.latest_id(str(host.uuid)))


def lines(helper: ScriptedHelper, index: int = -1) -> list[dict]:
    return [json.loads(line) for line in helper.payloads[index].splitlines()]


def push(host: Host, helper: ScriptedHelper) -> AccountPush:
    accounts_push.push(str(host.uuid), transport=helper)
    return AccountPush.objects.get(host=host)


def test_a_suspension_is_one_request_with_the_sessions_to_end(
    host, anna, reached, helper, owner, now
) -> None:
    lifecycle.suspend(mailbox=anna, reason="stolen", by=owner, at=now)
    helper.expect("accounts", accepted)
    row = push(host, helper)
    helper.done()
    header = helper.seen[0]
    assert header["end_sessions"] == ["anna@example.test"]
    assert (header["whole"], header["force"]) == (False, False)
    assert header["from_change"] == reached.through_change
    (sent,) = lines(helper)
    assert sent["mailbox"]["can_login"] is False
    assert row.through_change == Change.objects.latest_id(str(host.uuid))
    assert row.claimed_by == ""


def test_nothing_is_sent_when_the_host_is_current(host, reached, helper) -> None:
    push(host, helper)
    assert helper.seen == []


def test_nothing_is_sent_before_the_first_configuration_is_live(host, anna, helper) -> None:
    push(host, helper)
    assert helper.seen == []
    assert AccountPush.objects.get().state == AccountPush.IDLE


def test_a_change_that_comes_while_another_is_sent_goes_at_once(
    host, anna, reached, helper, owner, now
) -> None:
    lifecycle.suspend(mailbox=anna, by=owner, at=now)

    def meanwhile(header):
        anna.refresh_from_db()
        lifecycle.resume(mailbox=anna, by=owner, at=now)
        return accepted(header)

    helper.expect("accounts", meanwhile).expect("accounts", accepted)
    row = push(host, helper)
    helper.done()
    assert row.through_change == Change.objects.latest_id(str(host.uuid))
    assert lines(helper)[0]["mailbox"]["can_login"] is True


def test_whoever_finds_the_row_held_leaves(host, anna, reached, helper, owner, now) -> None:
    lifecycle.suspend(mailbox=anna, by=owner, at=now)
    with accounts_push.held(host):
        push(host, helper)
    assert helper.seen == []
    helper.expect("accounts", accepted)
    push(host, helper)
    helper.done()


def test_letting_go_of_the_row_wakes_a_worker_for_what_came_meanwhile(
    host, anna, reached, owner, now, sent_nudges, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True), accounts_push.held(host):
        lifecycle.suspend(mailbox=anna, by=owner, at=now)
        sent_nudges.clear()
    assert ("deploy.push_accounts", reached.pk) in sent_nudges


@pytest.mark.parametrize("failure", [Unreachable("no route"), Broken("reset"), refusal("internal")])
def test_a_failure_is_kept_and_tried_again(
    host, anna, reached, helper, owner, now, failure
) -> None:
    lifecycle.suspend(mailbox=anna, by=owner, at=now)
    helper.expect("accounts", failure)
    row = push(host, helper)
    assert row.state == AccountPush.FAILED
    assert row.problem
    assert not due.pushes(row.retry_at - timedelta(seconds=1)).exists()
    assert list(due.pushes(row.retry_at)) == [row]
    helper.expect("accounts", accepted)
    row = push(host, helper)
    assert (row.state, row.problem) == (AccountPush.CURRENT, "")


def test_a_host_that_knows_less_is_sent_everything(host, anna, reached, helper, owner, now) -> None:
    lifecycle.suspend(mailbox=anna, by=owner, at=now)
    helper.expect("accounts", refusal("behind", through_change=0)).expect("accounts", accepted)
    row = push(host, helper)
    assert helper.seen[1]["whole"] is True
    names = {line["domain"]["name"] for line in lines(helper) if "domain" in line}
    assert names == {"example.test", "probe.mail1.example.test"}
    assert row.state == AccountPush.CURRENT


def add_login(host: Host, helper: ScriptedHelper) -> None:
    """As a rollout does for its probes."""
    with Helper.of(host, helper) as talking, accounts_push.held(host) as row:
        accounts_push.add(row, talking, [{"mailbox": {"address": "probe@probe.example.test"}}])


def test_the_probes_login_comes_to_a_host_that_was_restored(host, anna, reached, helper) -> None:
    helper.expect("accounts", refusal("behind", through_change=0))
    helper.expect("accounts", accepted).expect("accounts", accepted)
    add_login(host, helper)
    helper.done()
    assert [header["whole"] for header in helper.seen] == [False, True, False]
    (line,) = lines(helper)
    assert line["mailbox"]["address"] == "probe@probe.example.test"


def test_the_probes_login_stops_where_the_host_is_ahead(host, anna, reached, helper) -> None:
    """Or there would be nothing to decide until the next account changes."""
    helper.expect("accounts", refusal("ahead", through_change=99))
    with pytest.raises(HostError):
        add_login(host, helper)
    row = AccountPush.objects.get(host=host)
    assert (row.state, row.problem_detail) == (AccountPush.HOST_AHEAD, "99")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("ahead", AccountPush.HOST_AHEAD),
        ("lineage", AccountPush.HOST_AHEAD),
        ("too_many_removed", AccountPush.TOO_MANY),
    ],
)
def test_what_an_operator_must_decide_stops_and_asks(
    host, anna, reached, helper, owner, now, signed_in, code, state
) -> None:
    lifecycle.suspend(mailbox=anna, by=owner, at=now)
    helper.expect("accounts", refusal(code, "It would.", through_change=99))
    row = push(host, helper)
    assert row.state == state
    assert not due.pushes(now + timedelta(days=1)).exists()
    push(host, helper)
    assert len(helper.seen) == 1, "nothing more is sent"

    page = signed_in.get(reverse("deploy:host", args=[host.pk])).content.decode()
    assert "Overwrite the accounts on the server?" in page
    signed_in.post(reverse("deploy:accounts_go_on", args=[host.pk]))
    assert AuditEvent.objects.filter(action="deploy.accounts.forced").exists()
    helper.expect("accounts", accepted)
    row = push(host, helper)
    assert helper.seen[-1]["force"] is True
    assert helper.seen[-1]["whole"] is True
    assert (row.state, row.force) == (AccountPush.CURRENT, False)


def test_there_is_nothing_to_force_where_nothing_is_stopped(host, reached, owner, now) -> None:
    with pytest.raises(accounts_push.NothingToDecide):
        accounts_push.go_on(host=host, by=owner, at=now)


def test_the_tick_finds_hosts_that_are_behind(host, anna, reached, owner, now) -> None:
    assert not due.pushes(now).exists()
    lifecycle.suspend(mailbox=anna, by=owner, at=now)
    assert list(due.pushes(now)) == [reached]


def test_a_domain_goes_to_the_only_host_there_is(host, owner, now) -> None:
    domain = domains.create(name="later.test", by=owner, at=now)
    assert list(due.domains(now)) == [domain]
    placement.place(domain.pk, at=now)
    domain.refresh_from_db()
    assert domain.host == str(host.uuid)


def test_a_hosts_own_name_is_put_on_no_host_and_the_page_says_why(
    host, owner, now, signed_in
) -> None:
    domain = domains.create(name=host.fqdn, by=owner, at=now)
    assert not due.domains(now).exists()
    placement.place(domain.pk, at=now)
    placement.place_rest(host=host, by=owner, at=now)
    domain.refresh_from_db()
    assert domain.host == ""
    page = signed_in.get(reverse("deploy:host", args=[host.pk])).content.decode()
    assert f"such as mail.{host.fqdn}" in page


def test_with_two_hosts_somebody_must_choose(host, owner, now, signed_in) -> None:
    Host.objects.create(
        fqdn="mail2.example.test", address="192.0.2.6", state=Host.READY, created_at=now
    )
    domain = domains.create(name="later.test", by=owner, at=now)
    assert not due.domains(now).exists()
    assert "1 domain is on no host yet" in signed_in.get(reverse("deploy:hosts")).content.decode()
    signed_in.post(reverse("deploy:place_domains", args=[host.pk]))
    domain.refresh_from_db()
    assert domain.host == str(host.uuid)


def test_an_accounts_page_says_when_it_is_live(
    host, anna, reached, helper, owner, now, signed_in
) -> None:
    url = reverse("deploy:account_live", args=[anna.pk])
    assert "Live" in signed_in.get(url).content.decode()
    lifecycle.suspend(mailbox=anna, by=owner, at=now)
    waiting = signed_in.get(url).content.decode()
    assert "On its way" in waiting and "every 1s" in waiting
    helper.expect("accounts", accepted)
    push(host, helper)
    live = signed_in.get(url).content.decode()
    assert "Live" in live and "every" not in live
