"""A certificate renewed by nobody on a real host: key, order, rollout, proof, and what stays."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from ca import keystore
from ca.models import Certificate, Order
from core import nudge
from deploy import carriage, due, probes, renewal, rollout, turns
from deploy.bundle import TLS_CHAIN
from deploy.hostctl import paths
from deploy.models import Generation, Host, HostJob, HostRollout
from deploy.probes.values import Result
from mailadmin import overview
from tests.live.rollouts import Console, enrol, log_of, make_issuer, run_signer

pytestmark = pytest.mark.django_db(transaction=True)
PORTS = (465, 993, 995)


@pytest.fixture(params=["bookworm", "trixie", "trixie-postfix"])
def console(request, fresh_machine, owner, monkeypatch) -> Console:
    """Its certificate is live, and two thirds of its life are over."""
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    machine = fresh_machine(request.param)
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    made.certify()
    row = made.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    assert not due.renewals(timezone.now()).exists()
    certificate = made.host.certificate
    assert certificate is not None
    left = certificate.not_after - timezone.now()
    certificate.not_before = timezone.now() - 2 * left - timedelta(hours=1)
    certificate.save()
    made.host.refresh_from_db()
    return made


def keys_on(console: Console) -> set[str]:
    listed = console.machine.run(["ls", f"{paths.STATE}/keys"])
    return set(listed.stdout.split())


def turn(console: Console, at: datetime, tools: carriage.Tools | None = None) -> HostRollout | None:
    """What the tick and the workers do once; the rollout, if there was one."""
    assert due.renewals(at).get() == console.host
    renewal.renew(console.host.pk, at=at)
    for job in console.host.jobs.open().filter(kind=HostJob.CERTIFICATE):
        turns.run(job.pk)
        job.refresh_from_db()
        assert job.state == HostJob.DONE, (job.problem, job.problem_detail)
    row = console.host.rollouts.open().first()
    if row is not None:
        carriage.carry_out(row.pk, tools)
        row.refresh_from_db()
    console.host.refresh_from_db()
    return row


def test_it_is_renewed_and_nothing_else_goes_along(console: Console) -> None:
    old, keys = console.host.certificate, keys_on(console)
    generation = rollout.live_generation(console.host)
    assert old is not None and generation is not None
    Host.objects.filter(pk=console.host.pk).update(message_size_mb=7)

    assert turn(console, timezone.now()) is None, "the key and the order first"
    new = console.host.certificate
    assert new is not None and new.pk != old.pk and new.key_id != old.key_id
    order = Order.objects.get(certificate=new)
    assert (order.way, order.renews, order.requested_by) == (Order.HOST, old, None)
    assert len(keys_on(console) - keys) == 1, "the key was made on the host"
    assert {console.served(port) for port in PORTS} == {old.fingerprint_sha256}
    old.refresh_from_db()
    assert old.state == Certificate.VALID, "it still serves"

    row = turn(console, timezone.now())
    assert row is not None and row.state == HostRollout.CONFIRMED, log_of(row)  # type: ignore[arg-type]
    assert {console.served(port) for port in PORTS} == {new.fingerprint_sha256}
    proofs = row.receipt["proofs"]
    served = {each["port"] for each in proofs if each["fingerprint"] == new.fingerprint_sha256}
    assert served == {25, 587, 465, 143, 993, 110, 995}
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.state, old.superseded_by) == (Certificate.SUPERSEDED, new)
    assert new.renews == old and new.first_served_at is not None
    assert not due.renewals(timezone.now()).exists()

    live = rollout.live_generation(console.host)
    assert live is not None
    before, after = generation.bundle().files, live.bundle().files
    assert {path for path in after if after[path] != before[path]} == {TLS_CHAIN}
    view = rollout.preview(console.host)
    assert [type(each).__name__ for each in view.changes] == ["SettingChanged"], "it still waits"


def test_what_was_changed_on_the_host_is_not_overwritten(console: Console) -> None:
    old = console.host.certificate
    assert old is not None
    turn(console, timezone.now())
    branch = console.host.reported().dovecot_branch.replace(".", "")
    edited = f"{paths.CURRENT}/dovecot/dovecot{branch}.conf"
    console.machine.run(["sh", "-c", f"echo '# ours' >> {edited}"])

    row = turn(console, timezone.now())
    assert row is not None and (row.state, row.problem) == (HostRollout.REFUSED, "drifted")
    assert {console.served(port) for port in PORTS} == {old.fingerprint_sha256}
    at = timezone.now()
    assert not due.renewals(at + timedelta(minutes=59)).exists()
    # Now the console knows of it, and does not even try.
    assert turn(console, at + timedelta(minutes=61)) is None
    assert console.machine.run(["tail", "-1", edited]).stdout.strip() == "# ours"
    needs = [each for each in overview.look(at=at).needs if "could not be renewed" in each.title]
    assert len(needs) == 1
    old.refresh_from_db()
    assert old.state == Certificate.VALID


def test_a_rollout_that_goes_back_is_tried_again(console: Console) -> None:
    old = console.host.certificate
    assert old is not None
    turn(console, timezone.now())
    new = console.host.certificate

    def unproved(questions, place, *, beat):  # type: ignore[no-untyped-def]
        for result in probes.run(questions, place, beat=beat):
            broken = result.protocol == "imaps" and result.kind == "tls"
            yield Result("tls", "imaps", 993, False, "closed") if broken else result

    row = turn(console, timezone.now(), carriage.Tools(prove=unproved))
    assert row is not None and row.state == HostRollout.ROLLED_BACK, log_of(row)  # type: ignore[arg-type]
    assert {console.served(port) for port in PORTS} == {old.fingerprint_sha256}
    at = timezone.now()
    assert not due.renewals(at + timedelta(minutes=59)).exists()
    assert "closed" in renewal.trouble(console.host, at)

    row = turn(console, at + timedelta(minutes=61))
    assert row is not None and row.state == HostRollout.CONFIRMED, log_of(row)  # type: ignore[arg-type]
    assert new is not None and console.host.certificate == new, "no second one was made"
    assert {console.served(port) for port in PORTS} == {new.fingerprint_sha256}
    assert Generation.objects.live().get().certificate == new
    old.refresh_from_db()
    assert old.state == Certificate.SUPERSEDED
    assert renewal.trouble(console.host, at + timedelta(minutes=61)) == ""
