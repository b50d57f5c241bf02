"""A host on another generation than the console put live last: one of the two was restored."""

import pytest

from deploy import drift, rollout
from deploy.helper import Helper
from deploy.hostctl import paths
from deploy.models import DriftedFile, Generation, Host, HostRollout
from tests.deploy.conftest import ScriptedHelper
from tests.deploy.drifting import page

pytestmark = pytest.mark.django_db


def look(host: Host, helper: ScriptedHelper, now, generation: int | None, **more: object) -> Host:
    helper.expect("facts", **{**host.facts, "generation": generation, **more})
    with Helper.of(host, helper) as talking:
        drift.look(host, talking, clock=lambda: now)
    host.refresh_from_db()
    return host


def test_it_is_told_and_nothing_is_put_over_it_unseen(deployed, helper, owner, now) -> None:
    host = look(deployed, helper, now, 12)
    assert host.reported().drift == (paths.CURRENT,)
    row = DriftedFile.objects.get()
    assert (row.state, row.target) == ("relinked", "generations/12")
    with pytest.raises(rollout.Drifted) as refused:
        rollout.request(hosts=[host], by=owner, at=now)
    assert paths.CURRENT in refused.value.sentence

    made = rollout.request(hosts=[host], by=owner, at=now, overwrite=[refused.value.mark])
    going = made.hosts.get()
    assert (going.base, going.generation.number) == (12, 13), "over what is there, and above it"


def test_the_plan_shows_it_and_touches_both_daemons(deployed, helper, now, signed_in) -> None:
    host = look(deployed, helper, now, 12)
    view = rollout.preview(host)
    assert view.plan is not None
    assert {view.plan.services[name] for name in ("sendmail", "dovecot")} == {"reload"}
    shown = page(signed_in, host, "plan")
    assert "generations/12" in shown
    assert "Overwrite and put live" in shown
    assert "restored from a backup" in page(signed_in, host)


def test_a_generation_that_was_rolled_back_there_is_not_numbered_again(
    deployed, helper, owner, now
) -> None:
    last = {"generation": 14, "outcome": "rolled_back"}
    host = look(deployed, helper, now, 12, last=last)
    marks = [host.reported().drift_mark]
    made = rollout.request(hosts=[host], by=owner, at=now, overwrite=marks)
    assert made.hosts.get().generation.number == 15


def test_a_host_that_was_restored_is_put_live_again(deployed, helper, owner, now) -> None:
    Generation.objects.filter(host=deployed).update(number=8)
    host = look(deployed, helper, now, 5)
    made = rollout.request(hosts=[host], by=owner, at=now, overwrite=[host.reported().drift_mark])
    going = made.hosts.get()
    assert (going.base, going.generation.number) == (5, 9)


@pytest.mark.parametrize("pending", [None, {"generation": 2, "deadline": 100}])
def test_a_host_on_its_way_is_where_it_should_be(deployed, helper, owner, now, pending) -> None:
    if pending is None:
        rollout.request(hosts=[deployed], by=owner, at=now, even_if_same=True)
        assert HostRollout.objects.open().exists()
    host = look(deployed, helper, now, 2, pending=pending)
    assert host.reported().drift == ()


def test_a_host_that_left_another_console_is_taken_over_with_open_eyes(
    certified, helper, owner, now
) -> None:
    host = look(certified, helper, now, 3)
    with pytest.raises(rollout.Drifted):
        rollout.request(hosts=[host], by=owner, at=now)
    assert rollout.preview(host).base == 3
