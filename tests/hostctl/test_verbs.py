import io
import json

import pytest

from deploy.bundle import Bundle
from deploy.hostctl import verbs
from deploy.hostctl.wire import Refused
from tests.hostctl.fakes import KEY, UUID, FakeHost, bundle


def refusal(host: FakeHost, verb: str, payload: bytes = b"", **fields: object) -> Refused:
    with pytest.raises(Refused) as refused:
        host.ask(verb, payload, **fields)
    return refused.value


def test_facts_need_no_number_and_change_nothing(host: FakeHost) -> None:
    host.before()
    facts = host.ask("facts")
    assert facts["generation"] is None and facts["host"] is None
    assert (facts["hostname"], facts["fqdn_ok"]) == ("mail.example.test", True)
    assert (facts["sendmail"], facts["dovecot"]) == ("8.18.1", "2.4.1")
    assert facts["services"]["sendmail"] == {"running": True, "pid": 4711}
    assert facts["accounts"] == {"lineage": None, "through_change": 0, "mailboxes": 0}
    assert not host.layout.identity.exists() and not host.layout.accounts_db.exists()


def test_facts_after_a_deployment(host: FakeHost) -> None:
    made = Bundle(bundle("one"))
    staged = host.ask("stage", made.tar(), sequence=1, generation=1, base=0, key=KEY,
                      digest=made.digest)  # fmt: skip
    assert staged["digest"] == made.digest
    host.stage(1, 0, "one")
    from deploy.hostctl import generations

    values = generations.manifest(host, 1) or {}
    generations.write_manifest(host, host.layout.generation(1), {**values, "validated": True})
    (host.layout.generation(1) / "sendmail/sendmail.cf").write_text("cf")
    host.ask("switch", sequence=2, generation=1, base=0, deadline=60)
    facts = host.ask("facts")
    assert facts["generation"] == 1 and facts["digest"] == made.digest and facts["key"] == KEY
    assert facts["pending"]["generation"] == 1
    host.ask("confirm", sequence=3, generation=1)
    facts = host.ask("facts")
    assert facts["pending"] is None
    assert facts["last"] == {"generation": 1, "previous": 0, "outcome": "confirmed", "why": ""}


def test_a_request_is_done_once(host: FakeHost) -> None:
    host.ask("csr", sequence=5, names=["mail.example.test"], kind="p256")
    refused = refusal(host, "csr", sequence=5, names=["mail.example.test"], kind="p256")
    assert (refused.code, refused.extra["sequence"]) == ("replayed", 5)
    assert refusal(host, "csr", sequence=4, names=["x.test"]).code == "replayed"
    assert len(list(host.layout.keys.glob("*.key"))) == 2
    host.ask("csr", sequence=6, names=["mail.example.test"], kind="p256")


def test_a_request_that_is_refused_used_its_number_too(host: FakeHost) -> None:
    refusal(host, "switch", sequence=5, generation=9, base=0, deadline=60)
    assert refusal(host, "switch", sequence=5, generation=9, base=0, deadline=60).code == "replayed"


@pytest.mark.parametrize("number", [None, 0, -1, "7", True])
def test_a_writing_request_has_a_number(host: FakeHost, number: object) -> None:
    assert refusal(host, "csr", sequence=number, names=["x.test"]).code == "bad_request"


def test_a_request_for_another_host_changes_nothing(host: FakeHost) -> None:
    host.ask("sessions", end=[])
    other = {"v": 1, "verb": "csr", "host": "another", "sequence": 1, "names": ["x.test"]}
    with pytest.raises(Refused) as refused:
        verbs.serve(host, io.BytesIO(json.dumps(other).encode() + b"\n"))
    assert refused.value.code == "wrong_host"
    assert json.loads(host.layout.identity.read_text()) == {"host": UUID, "sequence": 0}


def test_one_writer_at_a_time(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "_LOCK_PATIENCE", 0.2)
    with host.again().locked():
        assert refusal(host, "recover").code == "busy"
        assert host.ask("facts")["generation"] is None, "reading goes on"
    assert host.ask("recover")["outcome"] is None


def test_a_suspension_does_not_wait_for_a_switch(host: FakeHost) -> None:
    line = json.dumps({"domain": {"name": "example.test"}}).encode() + b"\n"
    with host.again().locked():
        assert host.ask("sessions", end=[]) == {"kicked": 0}
        host.ask("accounts", line, sequence=1, lineage="L", from_change=0, through_change=1,
                 whole=True)  # fmt: skip


def test_two_changes_of_accounts_wait_for_each_other(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "_LOCK_PATIENCE", 0.2)
    with host.again().locked(what="accounts.lock"):
        assert refusal(host, "sessions", end=[]).code == "busy"


@pytest.mark.parametrize("verb", ["", "shell", "__class__", "facts\n"])
def test_unknown_verbs(host: FakeHost, verb: str) -> None:
    assert refusal(host, verb).code in ("unknown_verb", "bad_request")


def test_a_stalled_or_cut_payload_takes_no_number(host: FakeHost) -> None:
    refused = refusal(host, "stage", b"short", size=1000, sequence=3, generation=1, base=0)
    assert refused.code == "truncated"
    assert not host.layout.identity.exists()


def test_a_verb_without_payload_refuses_one(host: FakeHost) -> None:
    assert refusal(host, "csr", b"x", sequence=1, names=["x.test"]).code == "too_large"


def test_a_failed_recovery_does_not_hold_up_the_accounts(host: FakeHost) -> None:
    host.before()
    host.stage(1, 0)
    host.ask("switch", sequence=1, generation=1, base=0, deadline=60)
    host.ask("confirm", sequence=2, generation=1)
    host.stage(2, 1)
    from deploy.hostctl.journal import Journal

    Journal(host.layout.journal).begin(
        generation=2, previous=1, deadline=60, services={"dovecot": "reload"}, running={}, ports=[]
    )
    (host.layout.generation(1) / "dovecot/dovecot24.conf").write_text("BROKEN")
    line = json.dumps({"domain": {"name": "example.test"}}).encode() + b"\n"
    done = host.ask("accounts", line, sequence=3, lineage="L", from_change=0, through_change=1,
                    whole=True)  # fmt: skip
    assert done["through_change"] == 1
    last = host.ask("facts")["last"]
    assert last["outcome"] == "rollback_failed"
    (host.layout.generation(1) / "dovecot/dovecot24.conf").write_text("mended")
    assert host.ask("recover")["outcome"] == "rolled_back"
