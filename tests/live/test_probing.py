"""The schedule on a real host: Dovecot stops, which is found; it starts, which is found too."""

import time

import pytest
from django.utils import timezone

from ca import keystore
from core import nudge
from core.models import AuditEvent
from deploy import due, probing, proof, rollout
from deploy.hostctl import paths
from deploy.models import Generation, Host, HostRollout, Probing
from tests.live.rollouts import Console, enrol, log_of, make_issuer, run_signer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["bookworm", "trixie", "bookworm-postfix", "trixie-postfix"])
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
    answers = probing.answers(first)
    asked = {(each.kind, each.port) for each in answers}
    assert {(each.kind, each.port) for each in proof.questions(host, live(host))} == asked
    everywhere = {25, 587, 465, 143, 993, 110, 995}
    for kind in ("old_tls", "weak_tls"):
        assert {port for name, port in asked if name == kind} == everywhere
    assert {port for name, port in asked if name == "auth_in_clear"} == {25, 587, 143, 110}
    served = [each for each in answers if each.kind in ("tls", "starttls")]
    assert {each.port for each in served} == everywhere
    assert host.certificate is not None
    assert {each.fingerprint for each in served} == {host.certificate.fingerprint_sha256}
    assert {each.not_after for each in served} == {host.certificate.not_after}
    assert all("TLSv1.3 TLS_" in each.evidence for each in served)

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


def test_what_an_operator_loosened_is_found(console: Console) -> None:
    """Old TLS and logins in clear, switched on by hand on the host itself."""
    branch = console.host.reported().dovecot_branch
    weak = {
        "2.3": "disable_plaintext_auth = no\nssl = yes\n",
        "2.4": "auth_allow_cleartext = yes\nssl = yes\n",
    }[branch]
    conf = f"{paths.CURRENT}/dovecot/dovecot{branch.replace('.', '')}.conf"
    console.machine.run(["sh", "-c", f"printf '%s' '{weak}' >> {conf} && doveadm reload"])
    time.sleep(1)
    bad = {(each.kind, each.port) for each in probing.failing(probed(console))}
    assert bad == {("auth_in_clear", 143), ("auth_in_clear", 110)}


def test_mail_that_is_taken_and_does_not_arrive_is_found(console: Console) -> None:
    console.machine.run(["sh", "-c", "mv /run/dovecot/lmtp /run/dovecot/lmtp.away"])
    bad = probing.failing(probed(console))
    assert [each.kind for each in bad] == ["delivery"]
    assert bad[0].evidence.startswith("taken, but not in the inbox")
    console.machine.run(["sh", "-c", "mv /run/dovecot/lmtp.away /run/dovecot/lmtp"])
    assert probing.failing(probed(console)) == []


def live(host: Host) -> Generation:
    found = rollout.live_generation(host)
    assert found is not None
    return found


def probed(console: Console) -> Probing:
    time.sleep(0.01)
    probing.wish(host=console.host, by=console.owner, at=timezone.now())
    assert due.probes(timezone.now())
    probing.probe(console.host.pk)
    row = Probing.objects.get()
    assert row.at and row.asked_at and row.at >= row.asked_at
    return row
