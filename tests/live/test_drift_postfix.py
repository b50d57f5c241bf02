"""A host with Postfix whose files were edited there by hand, as postconf does it: taken over."""

import pytest
from django.urls import reverse

from ca import keystore
from core import nudge
from deploy import comparing, drift
from deploy.models import HostRollout
from tests.live.rollouts import Console, enrol, log_of, make_issuer, now, run_signer
from tests.live.test_drift import edit, looked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["trixie-postfix"])
def live(request, fresh_machine, owner, monkeypatch) -> Console:
    """Its first generation is live and proved, and anna has a mailbox there."""
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    machine = fresh_machine(request.param)
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    assert made.host.mta == "postfix", "as the host says, before anything is live"
    made.certify()
    made.mailbox("anna@example.test")
    row = made.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    assert row.receipt["services"].keys() == {"postfix", "dovecot", "bridge"}
    return made


def setting(console: Console, name: str) -> str:
    return str(console.machine.run(["postconf", "-h", name]).stdout).strip()


def test_what_was_edited_there_is_taken_over_and_stays(live: Console, signed_in) -> None:
    edit(live, "postconf -e 'message_size_limit = 12345678' 'relayhost = [192.0.2.9]:587'")
    shown = looked(live)
    assert set(shown) == {"/etc/postfix/main.cf"}
    assert shown["/etc/postfix/main.cf"].row.state == "replaced", "the link is postconf's victim"
    assert "+relayhost = [192.0.2.9]:587" in shown["/etc/postfix/main.cf"].diff
    page = signed_in.get(reverse("deploy:plan", args=[live.host.pk])).content.decode()
    assert "Postfix" in page and "Sendmail" not in page

    own = comparing.proposed(shown.values(), live.host)["snippet_postfix"]
    assert own == "message_size_limit = 12345678\nrelayhost = [192.0.2.9]:587\n"
    mark = live.host.reported().drift_mark
    texts = {"snippet_postfix": own}
    drift.take_over(host=live.host, mark=mark, texts=texts, by=live.owner, at=now())
    row = live.put_live(overwrite=[mark])
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    assert live.host.reported().drift == (), "the link is the console's again"

    live.certify()
    row = live.put_live()
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert setting(live, "message_size_limit") == "12345678"
    assert setting(live, "relayhost") == "[192.0.2.9]:587"


def test_a_new_certificate_costs_no_connection(live: Console) -> None:
    before = live.served(465)
    live.certify()
    row = live.put_live()
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert row.receipt["services"] == {"postfix": "reloaded", "dovecot": "reloaded"}
    assert live.served(465) == live.served(993) != before
