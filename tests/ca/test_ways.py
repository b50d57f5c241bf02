"""Who makes the key: a parcel that is downloaded once, and a signer that dies at the worst time."""

from __future__ import annotations

import json
import logging
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from django.db import IntegrityError, transaction
from django.utils import timezone

from ca import issuance, keys, keystore, packing, parcels, tasks
from ca.models import Certificate, Issuer, Order, Parcel
from core import leases
from core.models import AuditEvent

pytestmark = pytest.mark.django_db
PHRASE = "violet tram 93 harbour"
NAME = "mail1.example.test"


def ask(issuing: Issuer, by, at: datetime, **options) -> Order:  # type: ignore[no-untyped-def]
    """An order whose key the signer is to make."""
    given = {"profile": "host", "names": [NAME], "key_algorithm": "p256", "parcel_form": "p12"}
    given |= {"passphrase": PHRASE} | options
    return issuance.request(issuer=issuing, by=by, at=at, **given)


def signed(order: Order) -> Order:
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    return order


@pytest.fixture
def order(issuing, owner, now) -> Order:  # type: ignore[no-untyped-def]
    """Issued; its parcel waits."""
    made = signed(ask(issuing, owner, now))
    assert made.state == Order.ISSUED, made.reason
    return made


def openssl(*words: str, cwd: Path) -> str:
    command = ["openssl", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("form", packing.FORMS)
def test_other_programs_open_every_form_with_the_passphrase_alone(
    form, issuing, owner, now, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    made = signed(ask(issuing, owner, now, parcel_form=form))
    assert made.certificate is not None, made.reason
    content = parcels.take(order=made, by=owner, at=now)
    (tmp_path / "it").write_bytes(content)
    if form == packing.PKCS8:
        found = openssl("pkey", "-in", "it", "-passin", f"pass:{PHRASE}", cwd=tmp_path)
        assert content.count(b"BEGIN CERTIFICATE") == 2 and b"ENCRYPTED PRIVATE KEY" in content
    else:
        legacy = ["-legacy"] if form == packing.P12_COMPATIBLE else []
        open_it = ["pkcs12", "-in", "it", *legacy, "-passin", f"pass:{PHRASE}", "-nodes"]
        found = openssl(*open_it, cwd=tmp_path)
        assert found.count("BEGIN CERTIFICATE") == 3, "with what signed it, the root too"
        told = openssl(*open_it, "-info", "-noout", cwd=tmp_path)
        modern = form == packing.P12
        assert ("AES-256-CBC" in told) is modern and ("3-KeyTripleDES" in told) is not modern
        assert ("MAC: sha256" in told) is modern and ("MAC: sha1" in told) is not modern
    assert "BEGIN PRIVATE KEY" in found
    key = load_pem_private_key(found[found.index("-----BEGIN PRIVATE") :].encode(), None)
    assert keys.key_id(key.public_key()) == made.key_id == made.certificate.key_id


@pytest.mark.parametrize("algorithm", ["p384", "rsa2048"])
def test_the_key_is_of_the_kind_asked_for(algorithm, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    made = signed(ask(issuing, owner, now, key_algorithm=algorithm))
    assert made.certificate is not None
    assert made.certificate.key_label == keys.ALGORITHM_LABELS[algorithm]


def test_a_parcel_is_taken_once_and_erased_with_it(order, owner, now) -> None:  # type: ignore[no-untyped-def]
    content = parcels.take(order=order, by=owner, at=now)
    _key, leaf, above = pkcs12.load_key_and_certificates(content, PHRASE.encode())
    assert leaf is not None and [each.subject.rfc4514_string() for each in above] == [
        "CN=Example Issuing,O=Example,C=TW",
        "CN=Example Root,O=Example,C=TW",
    ]
    parcel = Parcel.objects.get(order=order)
    assert bytes(parcel.content) == b"" and parcel.downloaded_at == parcel.erased_at == now
    with pytest.raises(parcels.NotTaken) as refusal:
        parcels.take(order=order, by=owner, at=now)
    assert refusal.value.code == "parcel_taken"
    actions = AuditEvent.objects.filter(action__startswith="ca.parcel").order_by("pk")
    assert [each.action for each in actions] == ["ca.parcel.made", "ca.parcel.taken"]


def test_what_nobody_fetches_is_erased_after_seven_days(order, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from ca import due

    parcel = Parcel.objects.get(order=order)
    assert not due.parcels(now).exists()
    later = parcel.keep_until + timedelta(seconds=1)
    # Overdue, though no worker has come to it yet.
    with pytest.raises(parcels.NotTaken) as refusal:
        parcels.take(order=order, by=owner, at=later)
    assert refusal.value.code == "parcel_overdue"
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert list(due.parcels(later)) == [parcel]
    tasks.erase_parcel(parcel.pk)
    tasks.erase_parcel(parcel.pk)
    parcel.refresh_from_db()
    assert bytes(parcel.content) == b"" and parcel.downloaded_at is None
    assert parcel.erased_at == later and not due.parcels(later).exists()
    assert AuditEvent.objects.filter(action="ca.parcel.erased").count() == 1


def test_neither_key_nor_passphrase_is_left_anywhere(issuing, owner, now, caplog, settings) -> None:  # type: ignore[no-untyped-def]
    caplog.set_level(logging.DEBUG)
    waiting = ask(issuing, owner, now)
    assert bytes(waiting.passphrase_sealed)
    made = signed(waiting)
    assert bytes(made.passphrase_sealed) == b""
    content = parcels.take(order=made, by=owner, at=now)
    key = pkcs12.load_key_and_certificates(content, PHRASE.encode())[0]
    secret = f"{key.private_numbers().private_value:x}"  # type: ignore[union-attr]
    rows = [
        row
        for model in (Order, Parcel, Certificate, AuditEvent)
        for row in model.objects.values_list()
    ]
    held = repr([[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in rows])
    held += json.dumps(held) + caplog.text
    for each in (PHRASE, secret, content.hex()[:60], repr(content[:20]), "PRIVATE KEY"):
        assert each not in held


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"passphrase": "short"}, "passphrase_short"),
        ({"passphrase": "aaaaaaaaaaaaaaaa"}, "passphrase_monotonous"),
        ({"passphrase": f"{NAME}1"}, "passphrase_derived"),
        ({"passphrase": "a key für mail äöü"}, "passphrase_characters"),
        ({"passphrase": ""}, "parcel_passphrase_missing"),
        ({"key_algorithm": "ed25519"}, "algorithm_unknown"),
        ({"parcel_form": "jks"}, "parcel_form_unknown"),
        ({"way": "post"}, "way_unknown"),
        ({"way": Order.BROWSER}, "way_needs_csr"),
        ({"way": Order.SIGNER, "csr_pem": "x"}, "way_without_csr"),
        ({"names": ["mail.elsewhere.test"]}, "names_outside"),
    ],
)
def test_what_cannot_be_made_is_refused_before_there_is_an_order(
    wrong, code, issuing, owner, now
) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(issuance.IssuanceRefused) as refusal:
        ask(issuing, owner, now, **wrong)
    assert refusal.value.code == code and refusal.value.sentence != code
    assert not Order.objects.exists()


def test_a_passphrase_that_waited_an_hour_is_erased(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = ask(issuing, owner, now)
    Order.objects.update(requested_at=now - timedelta(hours=1, minutes=1))
    assert bytes(order.passphrase_sealed)
    signed(order)
    assert (order.state, order.reason_code) == (Order.REFUSED, "passphrase_expired")
    assert bytes(order.passphrase_sealed) == b"" and not Parcel.objects.exists()


def test_a_passphrase_sealed_for_another_order_is_refused(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    first, second = ask(issuing, owner, now), ask(issuing, owner, now)
    Order.objects.filter(pk=second.pk).update(passphrase_sealed=first.passphrase_sealed)
    assert signed(second).reason_code == "passphrase_lost"


def test_a_cancelled_order_keeps_no_passphrase(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = ask(issuing, owner, now)
    issuance.refuse(order=order, code="cancelled", detail={"who": "owner"}, by=owner, at=now)
    assert bytes(order.passphrase_sealed) == b""


def test_a_person_has_a_name_of_its_own(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = ask(
        issuing,
        owner,
        now,
        profile="person",
        names=["anna@example.test"],
        subject={"CN": "Anna Lin", "O": "Example", "L": "nowhere"},
    )
    assert signed(order).certificate is not None, order.reason
    assert order.subject == {"CN": "Anna Lin", "O": "Example"}
    assert order.certificate.subject == "CN=Anna Lin,O=Example"


def test_a_renewal_is_tied_to_what_it_renews(order, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    old = order.certificate
    again = signed(ask(issuing, owner, now, renews=old))
    assert again.certificate is not None and again.certificate.renews == old
    old.refresh_from_db()
    assert old.state == Certificate.VALID, "superseded only once the new one is in use"


# The signer dies


class Killed(BaseException):
    """kill -9: nothing of ours catches it."""


STEPS = [
    (parcels, "make_key"),
    (issuance, "prepare"),
    (keystore, "load"),
    (issuance, "check"),
    (parcels, "pack"),
    (issuance, "store"),
    (parcels, "store"),
    (leases, "release"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _m, step in STEPS])
def test_a_signer_that_dies_at_any_step_leaves_all_or_nothing(
    module, step, after, issuing, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    order = ask(issuing, owner, now)
    serials = []
    issue = keystore.SigningKey.issue

    def noted(self, linted):  # type: ignore[no-untyped-def]
        made = issue(self, linted)
        serials.append(f"{made.serial_number:x}")
        return made

    monkeypatch.setattr(keystore.SigningKey, "issue", noted)
    real = getattr(module, step)

    def dies(*args, **options):  # type: ignore[no-untyped-def]
        if after:
            real(*args, **options)
        raise Killed

    before = Certificate.objects.count()
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dies)
        with pytest.raises(Killed):
            tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert Certificate.objects.count() == before and not Parcel.objects.exists()
    assert order.state == Order.SIGNING and order.certificate is None
    assert not AuditEvent.objects.filter(action="ca.certificate.issued").exists()
    # Nobody takes it while the dead one's lease runs; then the next signer does all of it.
    tasks.sign_order(order.pk)
    assert Certificate.objects.count() == before
    Order.objects.filter(pk=order.pk).update(lease_until=now - timedelta(seconds=1))
    assert signed(order).state == Order.ISSUED
    assert order.certificate is not None and order.certificate.serial == serials[-1]
    assert len(set(serials)) == len(serials), "each signature has a serial of its own"
    assert Certificate.objects.count() == before + 1 and Parcel.objects.count() == 1


def test_a_serial_that_was_given_out_is_never_stored_twice(
    issuing, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    from ca import preparation, template

    first = ask(issuing, owner, now)
    second = ask(issuing, owner, now)
    serial = template.random_serial()
    with monkeypatch.context() as patched:
        patched.setattr(preparation.template, "random_serial", lambda above=0: serial)
        assert signed(first).state == Order.ISSUED
        with pytest.raises(IntegrityError):
            tasks.sign_order(second.pk)
    assert Certificate.objects.filter(serial=f"{serial:x}").count() == 1
    Order.objects.filter(pk=second.pk).update(lease_until=now - timedelta(seconds=1))
    assert signed(second).state == Order.ISSUED, "the next signer draws another"


def test_of_two_signers_at_once_one_signs(issuing, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The second's message comes while the first makes the key."""
    order = ask(issuing, owner, now)
    make_key = parcels.make_key
    calls = []

    def meanwhile(**options):  # type: ignore[no-untyped-def]
        calls.append(options)
        tasks.sign_order(order.pk)
        return make_key(**options)

    monkeypatch.setattr(parcels, "make_key", meanwhile)
    assert signed(order).state == Order.ISSUED and order.fence == 1
    assert len(calls) == Parcel.objects.count() == 1
    assert Certificate.objects.filter(profile="host").count() == 1


def test_a_signer_that_slept_past_its_lease_stores_nothing(
    issuing, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    order = ask(issuing, owner, now)
    pack = parcels.pack

    def sleeps(**options):  # type: ignore[no-untyped-def]
        """Its lease ends, and another signer does the whole work."""
        with monkeypatch.context() as patched:
            patched.setattr(parcels, "pack", pack)
            Order.objects.filter(pk=order.pk).update(lease_until=now - timedelta(seconds=1))
            tasks.sign_order(order.pk)
        return pack(**options)

    monkeypatch.setattr(parcels, "pack", sleeps)
    with pytest.raises(leases.LeaseLost):
        tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.state == Order.ISSUED
    assert Certificate.objects.filter(profile="host").count() == Parcel.objects.count() == 1


def test_of_two_downloads_at_once_one_has_the_key(order, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Both have read the parcel; then both want to empty it."""
    got: list[bytes] = []
    atomic = transaction.atomic

    def meanwhile():  # type: ignore[no-untyped-def]
        monkeypatch.setattr(parcels.transaction, "atomic", atomic)
        got.append(parcels.take(order=order, by=owner, at=now))
        return atomic()

    monkeypatch.setattr(parcels.transaction, "atomic", meanwhile)
    with pytest.raises(parcels.NotTaken) as refusal:
        parcels.take(order=order, by=owner, at=now)
    assert refusal.value.code == "parcel_taken" and len(got) == 1 and got[0]
    assert AuditEvent.objects.filter(action="ca.parcel.taken").count() == 1
