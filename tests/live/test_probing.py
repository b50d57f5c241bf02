"""The schedule on a real host: Dovecot stops, which is found; it starts, which is found too."""

import time

import pytest
from django.utils import timezone

from ca import keystore
from core import nudge
from core.models import AuditEvent
from deploy import due, probing, proof
from deploy.models import HostRollout, Probing
from tests.live.rollouts import Console, enrol, log_of, make_issuer, run_signer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["bookworm", "trixie"])
def console(request, fresh_machine, owner, monkeypatch) -> Console:
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    monkeypatch.setattr(probing, "PAUSE", 1.0)
    keystore.forget()
    machine = fresh_machine(request.param)
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    made.certify()
    row = made.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    return made


def test_a_stopped_dovecot_is_found_and_found_well_again(console: Console) -> None:
    host = console.host
    assert list(due.probes(timezone.now())) == [host]
    first = probed(console)
    assert probing.failing(first) == []
    kinds = {each.kind for each in probing.answers(first)}
    assert kinds >= {"tls", "starttls", "old_tls", "auth_wrong", "auth_in_clear", "relay"}

    by_hand = list(proof.of_live(host=host))
    assert all(each.ok for each in by_hand), by_hand
    assert {"delivery", "auth_right"} <= {each.kind for each in by_hand}

    console.machine.run(["doveadm", "stop"])
    bad = probing.failing(probed(console))
    assert {993, 995} <= {each.port for each in bad} and 25 not in {each.port for each in bad}
    assert all("refused" in each.evidence for each in bad if each.port in (993, 995))

    console.machine.run(["sh", "-c", "dovecot >/dev/null 2>&1"])
    assert probing.failing(probed(console)) == []
    events = AuditEvent.objects.filter(action__startswith="deploy.probes").order_by("pk")
    assert [each.action.rsplit(".", 1)[1] for each in events] == ["failed", "well"]
    assert console.facts()["accounts"]["mailboxes"] == 0  # type: ignore[index]


def probed(console: Console) -> Probing:
    time.sleep(0.01)
    probing.wish(host=console.host, by=console.owner, at=timezone.now())
    assert due.probes(timezone.now())
    probing.probe(console.host.pk)
    row = Probing.objects.get()
    assert row.at and row.asked_at and row.at >= row.asked_at
    return row
