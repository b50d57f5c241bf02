"""One click on real hosts: Debian 12 (Dovecot 2.3) and Debian 13 (Dovecot 2.4), over SSH and sudo."""

import pytest
from tests.live.rollouts import Console, enrol, log_of, make_issuer, run_signer

from ca import keystore
from core import nudge
from deploy.models import Generation, HostRollout

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["bookworm", "trixie"])
def console(request, fresh_machine, owner, monkeypatch) -> Console:
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    machine = fresh_machine(request.param)
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    made.certify()
    return made


def test_first_rollout_ends_confirmed(console: Console) -> None:
    row = console.put_live()
    print(log_of(row))
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail)
