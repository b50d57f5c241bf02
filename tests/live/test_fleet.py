"""A rollout for several hosts, real ones: Debian 12 goes first, Debian 13 is broken on purpose."""

import pytest
from django.utils import timezone

from ca import keystore
from core import nudge
from core.models import AuditEvent
from deploy import abreast, carriage, fleet, rollout
from deploy.models import Generation, Host, HostRollout
from tests.deploy.conftest import HOST_KEY
from tests.live.rollouts import Console, enrol, log_of, make_issuer, run_signer

pytestmark = pytest.mark.django_db(transaction=True)
BROKEN = "mail_max_userip_connections = many\n"


@pytest.fixture
def consoles(fresh_machine, owner, monkeypatch) -> list[Console]:
    """Two real hosts, each with its certificate; nothing is live on them."""
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    issuer, made = make_issuer(owner), []
    for release in ("bookworm", "trixie"):
        machine = fresh_machine(release)
        host = enrol(machine, owner)
        # One practice host a console; these stand for servers.
        Host.objects.filter(pk=host.pk).update(practice=False)
        made.append(Console(owner, machine, issuer, host))
        made[-1].certify()
    return made


@pytest.fixture
def third(consoles: list[Console], owner) -> Host:
    """At its address nothing answers, and nobody should ask."""
    like = consoles[1].host
    return Host.objects.create(
        fqdn="mail3.example.test",
        address="127.0.0.1",
        ssh_port=9,
        state=Host.READY,
        host_key=HOST_KEY,
        ssh_private_key=like.ssh_private_key,
        facts={**like.facts, "hostname": "mail3.example.test"},
        certificate=like.certificate,
        created_at=timezone.now(),
    )


def test_a_failure_on_the_second_host_leaves_the_third_alone(consoles, third, owner) -> None:
    first, second = consoles
    Host.objects.filter(pk=second.host.pk).update(snippet_dovecot=BROKEN)
    hosts = list(Host.objects.filter(pk__in=[first.host.pk, second.host.pk, third.pk]))
    made = rollout.request(hosts=hosts, first=first.host, by=owner, at=timezone.now())
    one, two, three = made.hosts.order_by("turn", "host__fqdn")
    assert (one.host, two.host, three.host) == (first.host, second.host, third)
    assert list(HostRollout.objects.due(timezone.now())) == [one]

    abreast.carry(one.pk)
    one.refresh_from_db()
    assert one.state == HostRollout.CONFIRMED, (one.problem, one.problem_detail, log_of(one))
    assert first.served() == one.generation.fingerprint

    carriage.carry_out(two.pk)
    two.refresh_from_db()
    assert (two.state, two.problem) == (HostRollout.REFUSED, "refused"), log_of(two)
    assert "many" in two.problem_detail
    assert second.facts()["generation"] is None

    three.refresh_from_db()
    assert (three.state, three.problem) == (HostRollout.REFUSED, "stopped")
    assert three.problem_detail == second.host.fqdn
    assert not three.steps.exists()
    made.refresh_from_db()
    assert made.stopped_at is not None
    assert fleet.not_begun(made) == [third]
    assert AuditEvent.objects.filter(action="deploy.rollout.stopped").count() == 1
    assert Generation.objects.live().count() == 1

    # Mended, the second goes on in a rollout of its own; what is live on the first stays.
    Host.objects.filter(pk=second.host.pk).update(snippet_dovecot="")
    second.host.refresh_from_db()
    again = rollout.request(hosts=[second.host], by=owner, at=timezone.now())
    abreast.carry(again.hosts.get().pk)
    row = again.hosts.get()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    assert second.served() == row.generation.fingerprint
    assert first.served() == one.generation.fingerprint


def test_one_after_the_other_and_both_are_live(consoles, owner) -> None:
    hosts = [console.host for console in consoles]
    made = rollout.request(hosts=hosts, first=hosts[1], by=owner, at=timezone.now())
    one, two = made.hosts.order_by("turn")
    abreast.carry(two.pk)  # a message that came too early
    two.refresh_from_db()
    one.refresh_from_db()
    # Whatever the message names: the process looks for what is due.
    assert one.state == HostRollout.CONFIRMED, (one.problem, one.problem_detail, log_of(one))
    assert two.state == HostRollout.CONFIRMED, (two.problem, two.problem_detail, log_of(two))
    assert one.finished_at < two.started_at
    for row, console in zip((two, one), consoles, strict=True):
        assert console.served() == row.generation.fingerprint
