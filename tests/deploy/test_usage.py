"""Last uses on their way from a host, against a helper that answers from a script."""

from datetime import timedelta

import pytest

from accounts import domains, lifecycle
from accounts.models import Evidence, LastUse
from deploy import due, usage
from deploy.models import Host
from deploy.transport import Unreachable
from tests.deploy.conftest import refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna(host, owner, now):
    domain = domains.create(name="example.test", host=str(host.uuid), by=owner, at=now)
    return lifecycle.create(
        domain=domain, local_part="anna", password="larch umbrella 91 cobalt", by=owner, at=now
    )


def answer(now, *uses, more=False, cursor=100):
    second = int(now.timestamp())
    return {
        "uses": list(uses),
        "recording": {"imap": second - 900},
        "through": second,
        "cursor": cursor,
        "more": more,
    }


def test_uses_arrive_and_the_next_turn_goes_on_where_this_one_ended(host, anna, helper, now):
    later = now + usage.EVERY
    use = [anna.address, "imap", int(now.timestamp()) + 5]
    helper.expect("usage", **answer(now, use, more=True, cursor=50))
    helper.expect("usage", **answer(later)).expect("usage", **answer(later))
    usage.collect(host.pk, clock=lambda: now + timedelta(seconds=10), transport=helper)
    assert LastUse.objects.get().at == now.replace(microsecond=0) + timedelta(seconds=5)
    usage.collect(host.pk, clock=lambda: later + timedelta(seconds=10), transport=helper)
    helper.done()
    assert [header["cursor"] for header in helper.seen] == [0, 50, 100]
    assert "sequence" not in helper.seen[0]


def test_sizes_arrive_with_them(host, anna, helper, now):
    size = [anna.address, 700_000, int(now.timestamp()) + 5]
    helper.expect("usage", **answer(now), sizes=[size])
    usage.collect(host.pk, clock=lambda: now + timedelta(seconds=10), transport=helper)
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.used_at) == (
        700_000,
        now.replace(microsecond=0) + timedelta(seconds=5),
    )


def test_a_host_is_asked_once_a_quarter_of_an_hour(host, helper, now):
    assert list(due.uses(now)) == [host]
    helper.expect("usage", **answer(now))
    usage.collect(host.pk, clock=lambda: now, transport=helper)
    usage.collect(host.pk, clock=lambda: now + timedelta(minutes=14), transport=helper)
    helper.done()
    assert not due.uses(now + timedelta(minutes=14))
    assert list(due.uses(now + timedelta(minutes=15))) == [host]


def test_only_ready_hosts_are_asked(host, helper, now):
    Host.objects.update(state=Host.UNREACHABLE)
    assert not due.uses(now)
    usage.collect(host.pk, clock=lambda: now, transport=helper)
    assert helper.seen == []


@pytest.mark.parametrize("older", [True, False])
def test_a_host_that_does_not_answer_is_asked_at_the_next_turn(host, helper, now, older):
    if older:
        helper.expect("usage", refusal("unknown_verb"))
    else:
        helper.refuses = Unreachable("no route")
    usage.collect(host.pk, clock=lambda: now, transport=helper)
    assert not Evidence.objects.exists()
    assert not due.uses(now)
    assert list(due.uses(now + usage.EVERY)) == [host]
