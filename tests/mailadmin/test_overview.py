"""The line of truth follows the worst of what needs a hand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deploy.models import Host
from mailadmin import overview


@pytest.fixture
def host(db):
    return Host.objects.create(
        fqdn="mail1.example.test", address="192.0.2.2", state=Host.READY, created_at=timezone.now()
    )


def test_nothing_live_is_not_all_well(host):
    found = overview.look(at=timezone.now())
    assert found.kind == "idle" and "Nothing is live" in found.truth


def test_a_host_that_does_not_answer_needs_a_hand(host):
    host.state = Host.UNREACHABLE
    host.save()
    found = overview.look(at=timezone.now())
    assert found.kind == "danger" and [n.title for n in found.needs] == [
        "mail1.example.test does not answer"
    ]
    assert "1 thing needs a hand" in found.truth


class Certificate:
    def __init__(self, not_after, revoked_at=None):
        self.not_after, self.revoked_at = not_after, revoked_at


@pytest.mark.parametrize(
    ("left", "kind"),
    [(timedelta(days=13), "warning"), (timedelta(0), "danger"), (timedelta(days=15), None)],
)
def test_a_certificate_near_its_end(host, left, kind):
    now = timezone.now()

    class HostLike:
        pk, fqdn, state, account_push = 1, "m.example.test", Host.READY, None
        certificate = Certificate(now + left)

    needs = overview.host_needs(HostLike(), None, now)
    assert [n.kind for n in needs] == ([kind] if kind else [])


def test_a_revoked_certificate_on_a_host_needs_a_hand():
    now = timezone.now()

    class HostLike:
        pk, fqdn, state, account_push = 1, "m.example.test", Host.READY, None
        certificate = Certificate(now + timedelta(days=60), revoked_at=now)

    (need,) = overview.host_needs(HostLike(), None, now)
    assert need.kind == "danger" and "revoked or on hold" in need.title


def test_all_well_says_for_how_long():
    assert overview.truth("ok", needs=0, live=3, days=61) == (
        "All well. 3 hosts are live. Certificates are good for 61 days."
    )


def test_more_hosts_are_the_same_queries(host, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        overview.look(at=timezone.now())
    for n in range(2, 12):
        Host.objects.create(
            fqdn=f"mail{n}.example.test",
            address="192.0.2.2",
            state=Host.READY,
            created_at=timezone.now(),
        )
    with django_assert_num_queries(len(one)):
        overview.look(at=timezone.now())


def test_the_newest_rollout_counts(owner, host):
    from deploy.models import Generation, HostRollout, Rollout

    now = timezone.now()
    for n, state in enumerate(["rolled_back", "confirmed"], 1):
        generation = Generation.objects.create(
            host=host,
            number=n,
            digest="",
            files=b"",
            snapshot={},
            created_at=now,
            state="live" if state == "confirmed" else "discarded",
        )
        HostRollout.objects.create(
            rollout=Rollout.objects.create(created_at=now, created_by=owner),
            host=host,
            generation=generation,
            base=0,
            state=state,
        )
    found = overview.look(at=now)
    assert (found.kind, found.hosts_live, found.needs) == ("ok", 1, [])


def test_files_changed_on_hosts_need_a_hand_until_somebody_decides(
    owner, host, django_assert_max_num_queries
):
    from deploy import drift

    now, cf = timezone.now(), "/etc/mail/sendmail.cf"
    host.facts = {"drift": [cf], "drift_marks": {cf: "ab"}}
    host.save()
    drift.note(host, [{"path": cf, "state": "replaced", "mark": "ab"}], at=now)
    (need,) = overview.look(at=now).needs
    assert need.url == f"/hosts/{host.pk}/drift/" and host.fqdn in need.title
    with django_assert_max_num_queries(1):
        overview.drift_needs([host] * 20)
    drift.leave(host=host, path=cf, mark="ab", by=owner, at=now)
    assert overview.look(at=now).needs == []
