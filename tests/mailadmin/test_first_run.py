"""The checklist follows what exists, and offers only what the operator may do."""

import pytest
from django.utils import timezone

from mailadmin import first_run


def names(found, **wanted):
    return [s.name for s in found if all(getattr(s, k) == v for k, v in wanted.items())]


def test_nothing_yet(owner):
    found = first_run.steps(operator=owner, at=timezone.now())
    assert names(found) == ["host", "authority", "certificate", "domain", "mailbox", "live"]
    assert names(found, done=True) == []
    assert names(found, next=True) == ["host"]
    assert not first_run.is_complete(found) and first_run.position(found) == (0, 6)


def test_follows_a_host_and_a_domain(owner):
    from accounts.models import Domain
    from deploy.models import Host

    now = timezone.now()
    host = Host.objects.create(
        fqdn="mail1.example.test", address="192.0.2.2", state=Host.READY, created_at=now
    )
    Domain.objects.create(name="example.test", host=str(host.uuid), created_at=now)
    found = first_run.steps(operator=owner, at=now)
    assert names(found, done=True) == ["host", "domain"]
    assert names(found, next=True) == ["authority"]


def test_a_viewer_is_offered_nothing_he_may_not_do(viewer):
    found = first_run.steps(operator=viewer, at=timezone.now())
    assert [step.url for step in found] == [None] * 6


def test_the_overview_leads_to_the_doors_only_while_nothing_has_begun(signed_in, owner):
    from deploy.models import Host

    assert signed_in.get("/")["Location"] == "/welcome/"
    Host.objects.create(fqdn="m.example.test", address="192.0.2.2", created_at=timezone.now())
    assert signed_in.get("/").status_code == 200


@pytest.mark.parametrize(("done", "expected"), [((1, 0, 1), 1), ((0, 0, 0), 0), ((1, 1, 1), None)])
def test_next_is_the_first_that_is_not_done(done, expected):
    steps = [first_run.Step(str(n), "", "", bool(d)) for n, d in enumerate(done)]
    marked = [n for n, step in enumerate(first_run.mark_next(steps)) if step.next]
    assert marked == ([] if expected is None else [expected])
