"""Many certificates at once: each request once, whatever happens in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from ca import bulk, issuance, keystore, preparation, records, tasks, verifier
from ca.models import Batch, Certificate, Issuer
from core import leases
from core.models import AuditEvent
from tests.ca.conftest import request_for

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def requests() -> list[str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return [request_for(f"host{number}.example.test", key=key) for number in range(7)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(bulk, "PART", 3)


@pytest.fixture
def asked(issuing: Issuer, owner, now):  # type: ignore[no-untyped-def]
    def ask(csrs: list[str], **changes: object) -> Batch:
        fields = {"profile": "host", "issuer": issuing, "days": 30, "by": owner, "at": now}
        return bulk.request(csrs=csrs, **(fields | changes))  # type: ignore[arg-type]

    return ask


def ended(batch: Batch) -> Batch:
    """After the signer has come to it, as often as it asks."""
    for _slice in range(9):
        tasks.sign_batch(batch.pk)
        batch.refresh_from_db()
        if not batch.is_open:
            break
    return batch


def test_every_request_becomes_a_certificate(asked, requests, issuing, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    batch = asked(requests)
    assert (batch.state, batch.total, batch.parts.count()) == (Batch.REQUESTED, 7, 3)
    batch = ended(batch)
    assert (batch.state, batch.done, batch.signed, batch.refused) == (Batch.DONE, 7, 7, [])
    rows = list(batch.certificates.order_by("pk"))
    assert [row.title for row in rows] == [f"host{number}.example.test" for number in range(7)]
    first = rows[0]
    assert "OK" in openssl_verify(first.pem, first.chain_pem, first.root_pem)
    assert first.not_after - first.not_before == timedelta(days=30, seconds=-1)
    assert len({row.serial for row in rows}) == 7
    assert first.issuer == issuing
    done = AuditEvent.objects.get(action="ca.batch.done")
    assert done.detail["sha256"] == bulk.digest(row.fingerprint_sha256 for row in rows)
    assert (done.detail["signed"], done.detail["refused"]) == (7, 0)
    requested = AuditEvent.objects.get(action="ca.batch.requested")
    assert requested.detail["sha256"] == bulk.digest(requests)


def test_the_row_is_what_a_single_order_stores(asked, requests, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    one = ended(asked(requests[:1])).certificates.get()
    order = issuance.request(
        profile="host",
        names=["host0.example.test"],
        issuer=issuing,
        csr_pem=requests[0],
        days=30,
        by=owner,
        at=now,
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    other = order.certificate
    for name in ("subject", "names", "key_id", "key_label", "search", "profile", "state"):
        assert getattr(one, name) == getattr(other, name), name
    assert (
        one.fingerprint_sha256 == one.parsed.fingerprint(one.parsed.signature_hash_algorithm).hex()
    )
    assert Certificate.objects.matching("host0").count() == 2, "bulk rows are found too"


def test_a_refused_request_leaves_the_others_alone(asked, requests) -> None:  # type: ignore[no-untyped-def]
    bad = [
        requests[0],
        "garbage",
        request_for("mail.elsewhere.test"),
        request_for(),
        requests[1].replace("M", "N", 1),
        requests[2],
    ]
    batch = ended(asked(bad))
    assert (batch.state, batch.signed) == (Batch.DONE, 2)
    assert [each["index"] for each in batch.refused] == [1, 2, 3, 4]
    assert batch.refused[1]["code"] == "names_outside"
    assert [row.title for row in batch.certificates.order_by("pk")] == [
        "host0.example.test",
        "host2.example.test",
    ]


@pytest.mark.parametrize(
    ("csrs", "changes", "code"),
    [
        ([], {}, "batch_empty"),
        (["x"] * 4, {}, "batch_too_many"),
        (["x" * 3000] * 3, {}, "batch_too_big"),
        (["x"], {"days": 900}, "days_out_of_range"),
        (["x"], {"profile": "magic"}, "profile_unknown"),
    ],
)
def test_what_is_not_taken_at_all(asked, csrs, changes, code, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(bulk, "MOST", 3)
    monkeypatch.setattr(bulk, "MOST_BYTES", 8000)
    with pytest.raises(preparation.IssuanceRefused) as refused:
        asked(csrs, **changes)
    assert refused.value.code == code and "%" not in refused.value.sentence
    assert not Batch.objects.exists()


def test_a_root_takes_none(asked, requests, issuing) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(preparation.IssuerUnable):
        asked(requests, issuer=issuing.parent)


class Killed(BaseException):
    """The signer is gone in the middle of it."""


@pytest.mark.parametrize("place", ["signed", "stored"])
def test_killed_in_between(place: str, asked, requests, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Once before the second part is stored, once inside of the transaction that stores it."""
    batch = asked(requests)
    store, create = bulk._store, records.insert
    calls = []

    def dies(*arguments, **named):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return (store if place == "signed" else create)(*arguments, **named)

    with monkeypatch.context() as patch:
        if place == "signed":
            patch.setattr(bulk, "_store", dies)
        else:
            patch.setattr(records, "insert", dies)
        with pytest.raises(Killed):
            tasks.sign_batch(batch.pk)
    batch.refresh_from_db()
    assert (batch.state, batch.done, batch.certificates.count()) == (Batch.SIGNING, 3, 3)
    tasks.sign_batch(batch.pk)
    assert batch.certificates.count() == 3, "its lease still runs: nobody else takes it"
    Batch.objects.filter(pk=batch.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    batch = ended(batch)
    assert (batch.state, batch.signed, batch.certificates.count()) == (Batch.DONE, 7, 7)
    titles = sorted(row.title for row in batch.certificates.all())
    assert titles == [f"host{number}.example.test" for number in range(7)], "each of them once"


def test_a_wrong_signature_is_never_stored(asked, requests, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The key, or the memory it lies in, is not what it was."""
    batch = asked(requests)
    issue = keystore.SigningKey.issue
    other = keystore.generate("p256")
    monkeypatch.setattr(keystore.SigningKey, "issue", lambda key, linted: issue(other, linted))
    with pytest.raises(verifier.NotVerified):
        tasks.sign_batch(batch.pk)
    assert not batch.certificates.exists()


def test_a_signer_that_slept_stores_nothing(asked, requests, now) -> None:  # type: ignore[no-untyped-def]
    batch = asked(requests)
    slow = leases.claim(Batch.objects.due(now), batch.pk, worker="slow", at=now)
    later = now + timedelta(minutes=2)
    other = leases.claim(Batch.objects.due(later), batch.pk, worker="other", at=later)
    assert slow and other
    with pytest.raises(leases.LeaseLost):
        bulk.sign(batch=slow, clock=lambda: later)
    assert not batch.certificates.exists()
    bulk.sign(batch=other, clock=lambda: later)
    assert batch.certificates.count() == 7


def test_it_gives_way_to_other_work(
    asked, requests, sent_nudges, django_capture_on_commit_callbacks
) -> None:  # type: ignore[no-untyped-def]
    batch = asked(requests)
    ticks = iter(range(0, 900, 4))
    held = leases.claim(Batch.objects.due(timezone.now()), batch.pk, worker="w", at=timezone.now())
    begin = timezone.now()
    with django_capture_on_commit_callbacks(execute=True):
        bulk.sign(batch=held, clock=lambda: begin + timedelta(seconds=next(ticks)))
    batch.refresh_from_db()
    assert batch.state == Batch.SIGNING and 0 < batch.done < 7 and batch.lease_until is None
    assert ("ca.sign_batch", batch.pk) in sent_nudges
    assert Batch.objects.due(timezone.now()).filter(pk=batch.pk).exists()


def test_a_slow_key_keeps_its_lease(asked, requests, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A part on a token may take longer than a lease."""
    monkeypatch.setattr(bulk, "PART", 500)
    monkeypatch.setattr(bulk, "LOOK", 1)
    batch = asked(requests)
    held = leases.claim(Batch.objects.due(now), batch.pk, worker="w", at=now)
    seen = []
    minutes = iter(range(100))

    def clock():  # type: ignore[no-untyped-def]
        seen.append(Batch.objects.get(pk=batch.pk).lease_until)
        return now + timedelta(seconds=20 * next(minutes))

    monkeypatch.setattr(bulk, "SLICE", timedelta(hours=1))
    bulk.sign(batch=held, clock=clock)
    assert len({until for until in seen if until}) > 5, "renewed while it worked"
    assert batch.certificates.count() == 7


def test_an_issuer_that_can_no_longer_sign_ends_it(asked, requests, issuing) -> None:  # type: ignore[no-untyped-def]
    batch = asked(requests)
    issuing.retired_at = timezone.now()
    issuing.save()
    batch = ended(batch)
    assert batch.state == Batch.REFUSED and "cannot sign" in batch.reason
    assert not batch.certificates.exists()


def test_one_that_kills_every_signer_is_refused(asked, requests) -> None:  # type: ignore[no-untyped-def]
    batch = asked(requests)
    Batch.objects.filter(pk=batch.pk).update(fence=bulk.MOST_CLAIMS, done=0)
    batch = ended(batch)
    assert batch.state == Batch.REFUSED and batch.reason_code == "signer_failed"
    healthy = asked(requests)
    Batch.objects.filter(pk=healthy.pk).update(fence=bulk.MOST_CLAIMS, done=3)
    assert ended(healthy).state == Batch.DONE, "each healthy slice adds a claim and a part"


def test_split() -> None:
    one, other = request_for("a.example.test"), request_for("b.example.test")
    end = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
    text = f"subject=…\r\n{one}\r\n\r\nfoo\n{other}{end}"
    assert bulk.split(text) == [one, other]
    assert bulk.split("") == [] and bulk.split("-----BEGIN CERTIFICATE REQUEST-----\nMII") == []
