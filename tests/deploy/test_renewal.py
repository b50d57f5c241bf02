"""A host's certificate without anyone: when, what is put live, and what failures lead to."""

from datetime import timedelta

import pytest

from ca import preparation, tasks
from deploy import certificates, due, renewal, rollout, snapshot, turns
from deploy.bundle import SENDMAIL_MC, TLS_CHAIN, Bundle
from deploy.models import Host, HostJob
from mailadmin import overview
from tests.deploy.conftest import csr_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def ripe(deployed):
    return renewal.begins(deployed.certificate) + timedelta(minutes=1)


@pytest.fixture
def renewed(helper, monkeypatch):
    """The order by nobody, carried out: the host's key, the signer's own code, the host's row."""
    monkeypatch.setattr(certificates, "SIGNER_SECONDS", 0)

    def renewed(host, at):
        renewal.renew(host.pk, at=at)
        job = host.jobs.get(kind=HostJob.CERTIFICATE)
        pem = csr_for(host.fqdn)
        helper.expect("csr", csr=pem, key_id=preparation.read_csr(pem).key_id[:32])
        turns.run(job.pk, turns.Tools(helper, lambda: at))
        tasks.sign_order(job.order_id)
        turns.run(job.pk, turns.Tools(helper, lambda: at + timedelta(minutes=1)))
        helper.done()
        job.refresh_from_db()
        assert job.state == HostJob.DONE, (job.problem, job.problem_detail)
        host.refresh_from_db()
        return host.certificate

    return renewed


def test_nothing_before_two_thirds_and_an_order_by_nobody_after(deployed, ripe):
    assert not due.renewals(ripe - timedelta(minutes=2)).exists()
    assert due.renewals(ripe).get() == deployed
    renewal.renew(deployed.pk, at=ripe)
    job = deployed.jobs.get(kind=HostJob.CERTIFICATE)
    assert job.created_by is None
    assert job.order.names == deployed.certificate.names
    assert not due.renewals(ripe).exists()


def test_the_rollout_takes_the_certificate_and_nothing_that_waits(
    deployed, renewed, ripe, monkeypatch
):
    old = deployed.certificate
    made = renewed(deployed, ripe)
    assert made.key_id != old.key_id
    Host.objects.filter(pk=deployed.pk).update(message_size_mb=7)
    live = rollout.live_generation(deployed)
    rendered = snapshot.rendered
    newer = {SENDMAIL_MC: b"dnl as a newer release writes it\n"}
    monkeypatch.setattr(
        snapshot, "rendered", lambda wanted: Bundle({**rendered(wanted).files, **newer})
    )
    renewal.renew(deployed.pk, at=ripe)
    row = deployed.rollouts.open().get()
    before, after = live.bundle().files, row.generation.bundle().files
    assert {path for path in after if after[path] != before[path]} == {TLS_CHAIN}
    assert row.generation.certificate == made
    assert row.generation.snapshot["host"] == live.snapshot["host"]
    assert row.generation.fingerprint == made.fingerprint_sha256


def test_files_changed_on_the_host_are_not_overwritten_but_raised(changed, renewed):
    at = renewal.begins(changed.certificate) + timedelta(minutes=1)
    renewed(changed, at)
    renewal.renew(changed.pk, at=at)
    assert not changed.rollouts.open().exists()
    assert "were changed" in renewal.trouble(changed, at)
    needs = overview.look(at=at).needs
    assert any("could not be renewed" in need.title for need in needs)


def test_failures_are_retried_with_growing_pauses(deployed, ripe):
    at = ripe
    for pause in (1, 6, 24, 24):
        renewal.renew(deployed.pk, at=at)
        job = deployed.jobs.open().get(kind=HostJob.CERTIFICATE)
        HostJob.objects.filter(pk=job.pk).update(
            state=HostJob.FAILED, problem="unreachable", finished_at=at
        )
        at += timedelta(hours=pause)
        assert not due.renewals(at - timedelta(minutes=1)).exists()
        assert due.renewals(at).exists()
