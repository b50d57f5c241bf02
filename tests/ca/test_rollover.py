"""From an issuing authority to its successor, with an overlap."""

from __future__ import annotations

import pytest
from cryptography import x509

from ca import authorities, issuance, revocation, rollover, tasks
from ca.models import Ceremony, Certificate, Issuer, RevocationList
from core.models import AuditEvent
from tests.ca.conftest import PASSPHRASE, leaf_of
from tests.ca.levels import authority, below, carried_out

pytestmark = pytest.mark.django_db


def test_rollover_with_an_overlap(issuing, successor, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    before = leaf_of(issuing, owner, now, "old.example.test")
    assert list(Issuer.objects.able_to_issue(now)) == [successor, issuing], "the new one first"
    assert issuing.in_charge(now) == issuing
    rollover.retire(issuer=issuing, by=owner, at=now)
    assert issuing.retired_at == now and list(Issuer.objects.able_to_issue(now)) == [successor]
    assert issuing.in_charge(now) == successor
    with pytest.raises(issuance.IssuanceRefused) as refused:
        issuance.request(profile="host", names=["a.example.test"], issuer=issuing, by=owner, at=now)
    assert refused.value.code == "issuer_unable"
    revocation.revoke(certificate=before, reason="superseded", by=owner, at=now)
    tasks.sign_list(issuing.revocation_list.pk)
    listed = x509.load_der_x509_crl(bytes(RevocationList.objects.get(issuer=issuing).der))
    found = listed.get_revoked_certificate_by_serial_number(int(before.serial, 16))
    assert found is not None, "it still signs its lists"
    after = leaf_of(successor, owner, now, "new.example.test")
    assert "OK" in openssl_verify(after.pem, after.chain_pem, after.root_pem)

    rollover.reinstate(issuer=issuing, by=owner, at=now)
    assert issuing.able_to_issue(now)
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert [each for each in actions if each.startswith("ca.authority.re")] == [
        "ca.authority.retired",
        "ca.authority.reinstated",
    ]


def test_what_cannot_be_rolled_over(issuing, successor, owner, now) -> None:  # type: ignore[no-untyped-def]
    def refused(act, **what):  # type: ignore[no-untyped-def]
        with pytest.raises(rollover.NotRetirable) as refusal:
            act(by=owner, at=now, **what)
        assert refusal.value.status == 409 and refusal.value.sentence != refusal.value.code
        return refusal.value.code

    third = {"wish": authority("Third"), "passphrase": PASSPHRASE}
    assert refused(rollover.request_successor, issuer=issuing, **third) == "successor_there"
    root = issuing.parent
    assert refused(rollover.request_successor, issuer=root, **third) == "successor_root"
    assert refused(rollover.retire, issuer=root) == "retire_root"
    assert refused(rollover.reinstate, issuer=issuing) == "not_retired"
    rollover.retire(issuer=issuing, by=owner, at=now)
    late = Issuer.objects.get(pk=issuing.pk)
    assert refused(rollover.retire, issuer=late) == "retired_already"
    Certificate.objects.filter(pk=issuing.certificate_id).update(not_after=now)
    assert refused(rollover.reinstate, issuer=Issuer.objects.get(pk=issuing.pk)) == (
        "reinstate_ended"
    )


def test_a_retired_one_signs_no_authority(root, owner, now) -> None:  # type: ignore[no-untyped-def]
    middle = below(root, owner, now, authority("Middle", levels=1), PASSPHRASE)
    rollover.retire(issuer=middle, by=owner, at=now)
    with pytest.raises(authorities.NotMade) as refused:
        authorities.request_issuing(under=middle, wish=authority("Lower"), by=owner, at=now)
    assert refused.value.code == "parent_retired"


def test_two_successors_at_once(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    asked = [
        rollover.request_successor(
            issuer=issuing, wish=authority(name), passphrase=PASSPHRASE, by=owner, at=now
        )
        for name in ("Second", "Third")
    ]
    first, second = (carried_out(each) for each in asked)
    issuing.refresh_from_db()
    assert first.state == Ceremony.DONE and issuing.successor == first.made
    assert second.reason_code == "successor_there" and second.made is None


def test_the_next_name() -> None:
    named = lambda text: rollover.next_name(Issuer(name=text))  # noqa: E731
    assert named("Example Issuing CA") == "Example Issuing CA 2"
    assert named("Example Issuing CA 2") == "Example Issuing CA 3"
    assert named("2") == "2 2" and named("CA 20260101") == "CA 20260101 2"
