"""A host's certificate without anyone: when, what is put live, and what failures lead to."""

from datetime import timedelta

import pytest

from ca import preparation, revocation, rollover, tasks
from ca.models import Certificate, Order
from ca.wishes import AuthorityWish, Wish
from deploy import certificates, due, renewal, rollout, snapshot, turns
from deploy.bundle import SENDMAIL_MC, TLS_CHAIN, Bundle
from deploy.models import Generation, Host, HostJob, HostRollout
from deploy.transport import Unreachable
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


def test_failures_are_retried_with_growing_pauses(deployed, ripe, helper):
    helper.refuses = Unreachable("No route to host")
    at, orders = ripe, []
    for pause in (1, 6, 24, 24):
        renewal.renew(deployed.pk, at=at)
        job = deployed.jobs.open().get(kind=HostJob.CERTIFICATE)
        turns.run(job.pk, turns.Tools(helper, lambda: at))  # noqa: B023
        orders.append(job.order_id)
        Host.objects.filter(pk=deployed.pk).update(state=Host.READY)
        at += timedelta(hours=pause)
        assert not due.renewals(at - timedelta(minutes=1)).exists()
        assert due.renewals(at).exists()
    # Each has ended, or the next one could not take the same certificate's place.
    ended = Order.objects.filter(pk__in=orders)
    assert {order.state for order in ended} == {Order.REFUSED} and len(ended) == 4
    assert "No route to host" in ended[0].reason


def test_the_history_shows_what_took_whose_place(deployed, renewed, ripe):
    old = deployed.certificate
    made = renewed(deployed, ripe)
    assert made.order.renews == old and made.renews == old
    assert list(old.renewals.all()) == [made]


def test_what_an_operator_orders_takes_the_place_of_the_present_one(deployed, issuer, owner, now):
    job = certificates.ask(host=deployed, issuer=issuer, by=owner, at=now)
    assert job.order.renews == deployed.certificate


def test_an_operators_choice_is_respected_as_long_as_it_can_serve(deployed, issue, owner, ripe):
    chosen = issue()
    Host.objects.filter(pk=deployed.pk).update(certificate=chosen)
    deployed.refresh_from_db()
    assert not due.renewals(ripe).exists(), "it waits for whoever asked for it"
    chosen.state, chosen.revoked_at = Certificate.REVOKED, ripe
    chosen.save()
    deployed.refresh_from_db()
    assert renewal.step(deployed, ripe) == renewal.ASK


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_one_that_ended_before_it_went_live_is_followed_by_another(
    deployed, renewed, ripe, how, owner
):
    old, made = deployed.certificate, renewed(deployed, ripe)
    assert renewal.step(deployed, ripe) == renewal.PUT_LIVE
    if how == "revoked":
        revocation.revoke(certificate=made, reason="keyCompromise", by=owner, at=ripe)
    else:
        made.not_after = ripe
        made.save()
    deployed.refresh_from_db()
    renewal.renew(deployed.pk, at=ripe)
    job = deployed.jobs.open().get(kind=HostJob.CERTIFICATE)
    assert job.order.renews == old and not deployed.rollouts.open().exists()


def rolled_back(host: Host, at) -> None:
    row = host.rollouts.open().get()
    HostRollout.objects.filter(pk=row.pk).update(
        state=HostRollout.ROLLED_BACK,
        problem="probe_failed",
        problem_detail="imaps: connection closed",
        finished_at=at,
    )
    Generation.objects.filter(pk=row.generation_id).update(state=Generation.DISCARDED)


def test_a_rollout_that_went_back_is_tried_again_and_raised(deployed, renewed, ripe):
    made, at = renewed(deployed, ripe), ripe
    for pause in (1, 6, 24, 24):
        renewal.renew(deployed.pk, at=at)
        rolled_back(deployed, at)
        at += timedelta(hours=pause)
        assert not due.renewals(at - timedelta(minutes=1)).exists()
        assert due.renewals(at).get() == deployed
        assert renewal.step(deployed, at) == renewal.PUT_LIVE, "the certificate is there"
    needs = [each for each in overview.look(at=at).needs if "could not be renewed" in each.title]
    assert [each.kind for each in needs] == ["warning"]
    assert "imaps: connection closed" in needs[0].text and "again by itself" in needs[0].text
    late = deployed.generations.get(state="live").certificate.not_after - timedelta(days=13)
    needs = [each for each in overview.look(at=late).needs if "could not be renewed" in each.title]
    assert [each.kind for each in needs] == ["danger"]
    assert deployed.certificate == made


def test_where_going_back_failed_somebody_has_to_look_first(deployed, renewed, ripe):
    renewed(deployed, ripe)
    renewal.renew(deployed.pk, at=ripe)
    deployed.rollouts.open().update(state=HostRollout.ROLLBACK_FAILED, finished_at=ripe)
    assert not due.renewals(ripe + timedelta(days=2)).exists()
    assert renewal.trouble(deployed, ripe + timedelta(days=2))


def test_the_successor_of_an_authority_signs_the_next_one(
    deployed, issuer, renewed, ripe, owner, now
):
    ceremony = rollover.request_successor(
        issuer=issuer,
        wish=Wish(issuing=AuthorityWish("Second", "p256", 1000), permitted=("example.test",)),
        passphrase="six honest serving men",
        by=owner,
        at=now,
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.made is not None, ceremony.reason
    issuer.refresh_from_db()
    rollover.retire(issuer=issuer, by=owner, at=now)
    made = renewed(deployed, ripe)
    assert made.issuer == ceremony.made
    renewal.renew(deployed.pk, at=ripe)
    row = deployed.rollouts.open().get()
    chain = row.generation.bundle().files[TLS_CHAIN].decode()
    assert ceremony.made.certificate.pem.strip() in chain


def test_without_an_authority_that_can_sign_it_is_raised(deployed, issuer, ripe, owner):
    rollover.retire(issuer=issuer, by=owner, at=ripe)
    renewal.renew(deployed.pk, at=ripe)
    assert not deployed.jobs.open().exists()
    assert "No authority here can sign" in renewal.trouble(deployed, ripe)
    assert due.renewals(ripe + timedelta(hours=1)).exists()


def test_gone_back_to_an_old_certificate_the_newer_one_is_put_live_in_time(deployed, renewed, ripe):
    old, made = deployed.certificate, renewed(deployed, ripe)
    old.state, old.superseded_by = Certificate.SUPERSEDED, made
    old.save()
    assert renewal.step(deployed, ripe) == renewal.PUT_LIVE
    old.state, old.superseded_by = Certificate.REVOKED, None
    old.revoked_at = ripe
    old.save()
    assert renewal.step(deployed, ripe) == "", "a revoked key is for somebody to look at"
