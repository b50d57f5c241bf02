"""Who makes the key: a parcel that is downloaded once, and a signer that dies at the worst time."""

from __future__ import annotations

import html
import json
import logging
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from ca import due, issuance, keys, keystore, lints, packing, parcels, tasks, wording
from ca.models import Certificate, Issuer, Order, Parcel
from core import leases
from core.api_auth import create_token
from core.models import AuditEvent
from tests.ca import killed_signer
from tests.ca.conftest import request_for

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


def test_kill_9_at_any_step_leaves_all_or_nothing(tmp_path: Path) -> None:
    """The same with real processes, a real signal and a database in a file."""
    environment = {key: value for key, value in os.environ.items() if "DATABASE" not in key}
    done = subprocess.run(
        [sys.executable, "-m", "tests.ca.killed_signer"],
        env=environment | {"MAILADMIN_DATA": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *steps, last = (json.loads(line) for line in done.stdout.splitlines())
    assert len(steps) == len(killed_signer.STEPS)
    for said in steps:
        assert said == {
            "step": said["step"],
            "signal": signal.SIGKILL,
            "state": Order.SIGNING,
            "certificates": 0,
            "parcels": 0,
            "issued": 0,
            "then": Order.ISSUED,
            "certificates_then": 1,
            "parcels_then": 1,
        }
    assert len(set(last["serials"])) == len(last["serials"]) == len(steps)


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


# The pages


def fields(issuing: Issuer, **changes) -> dict[str, str]:  # type: ignore[no-untyped-def]
    given = {"profile": "host", "names": NAME, "common_name": "", "organisation": "", "days": ""}
    given |= {"issuer": str(issuing.pk), "key_algorithm": "p256", "parcel_form": "p12"}
    return given | changes


SECRET = {"passphrase": PHRASE, "passphrase_again": PHRASE, "sign": "yes"}


def test_every_way_shows_each_field_and_each_rule_first(issuing, signed_in) -> None:  # type: ignore[no-untyped-def]
    said = {
        "new_host": b"made on the host",
        "new_browser": b"P-256, made in this page when you sign",
        "new_signer": b"P-256, made by the signer",
        "new_csr": b"Key id (SHA-256)",
    }
    for page, words in said.items():
        given = fields(issuing)
        if page == "new_csr":
            given["csr"] = request_for(NAME)
        shown = signed_in.post(reverse(f"ca:{page}"), given).content
        assert words in shown and b"keyEncipherment" not in shown
        for rule in lints.ALL:
            assert rule.section.encode() in shown
            assert html.escape(str(wording.RULES[rule.id])).encode() in shown, rule.id
    assert not Order.objects.exists(), "a preview signs nothing"
    chooser = signed_in.get(reverse("ca:new")).content.decode()
    assert all(reverse(f"ca:{page}") in chooser for page in said)


def test_a_broken_rule_is_shown_open_with_what_to_change(issuing, signed_in, now) -> None:  # type: ignore[no-untyped-def]
    """A request that was made with the issuer's own key."""
    key = keystore.load(issuing.key_sealed, key_id=issuing.key_id, token=issuing.token)
    private = key._SigningKey__private  # type: ignore[attr-defined]
    csr = request_for(NAME, key=private)
    answer = signed_in.post(reverse("ca:new_csr"), fields(issuing, csr=csr))
    page = answer.content.decode()
    assert answer.status_code == 422 and "One rule is broken" in page
    assert "its key is the issuer&#x27;s own (RFC 5280 4.2.1.2)" in page
    assert "Change what you asked for" in page


def test_the_signers_way_from_the_form_to_the_one_download(issuing, signed_in, owner) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:new_signer")
    given = fields(issuing, profile="person", names="anna@example.test", common_name="Anna Lin")
    preview = signed_in.post(page, given)
    assert preview.status_code == 200 and PHRASE not in preview.content.decode()
    refused = signed_in.post(page, given | SECRET | {"passphrase_again": "another one 42"})
    assert refused.status_code == 422 and PHRASE not in refused.content.decode()
    assert not Order.objects.exists()
    derived = signed_in.post(
        page,
        given
        | SECRET
        | {"passphrase": "anna@example.test1", "passphrase_again": "anna@example.test1"},
    )
    assert derived.status_code == 422 and "anybody can guess" in derived.content.decode()
    answer = signed_in.post(page, given | SECRET)
    order = signed(Order.objects.get())
    assert answer.url == reverse("ca:order", args=[order.pk]) and order.certificate is not None
    assert order.certificate.subject == "CN=Anna Lin"
    where = reverse("ca:parcel", args=[order.pk])
    assert where in signed_in.get(answer.url).content.decode()
    assert signed_in.get(where).status_code == 405, "a link cannot use it up"
    file = signed_in.post(where)
    assert file["Content-Disposition"] == 'attachment; filename="anna-example.test.p12"'
    assert "no-store" in file["Cache-Control"]
    assert pkcs12.load_key_and_certificates(file.content, PHRASE.encode())[0] is not None
    again = signed_in.post(where, follow=True).content.decode()
    assert "was downloaded already" in again and "?order=" in again and where not in again


def test_only_who_asked_or_may_issue_takes_a_parcel(issuing, owner, viewer, now, client) -> None:  # type: ignore[no-untyped-def]
    order = signed(ask(issuing, owner, now))
    where = reverse("ca:parcel", args=[order.pk])
    client.force_login(viewer)
    assert client.post(where).status_code == 403
    assert where not in client.get(reverse("ca:order", args=[order.pk])).content.decode()
    assert Parcel.objects.waiting().exists()
    # Who asked for it may have it, whatever became of his role.
    Order.objects.update(requested_by=viewer)
    assert client.post(where).status_code == 200


def test_the_browsers_way_without_a_browser(issuing, signed_in) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:new_browser")
    given = fields(issuing, sign="yes")
    refused = signed_in.post(page, given)
    assert refused.status_code == 422 and "needs its request" in refused.json()["problem"]
    refused = signed_in.post(page, given | {"csr": "garbage"})
    assert refused.status_code == 422 and refused.json()["problem"]
    given["csr"] = request_for(NAME)
    sent = signed_in.post(page, given)
    order = Order.objects.get()
    assert (order.way, order.state) == (Order.BROWSER, Order.REQUESTED)
    # The page never heard the answer and posts again.
    assert signed_in.post(page, given).json() == sent.json()
    assert Order.objects.count() == 1
    waiting = signed_in.get(sent.json()["state"]).json()
    assert waiting == {"state": "requested", "final": False}
    signed(order)
    found = signed_in.get(sent.json()["state"]).json()
    assert found["final"] and found["roots"] == [False, False, True]
    assert [each.count("BEGIN CERTIFICATE") for each in found["certificates"]] == [1, 1, 1]


def test_a_key_made_in_the_browser_is_followed_by_another(issuing, signed_in) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:new_browser")
    signed_in.post(page, fields(issuing, csr=request_for(NAME), sign="yes"))
    old = signed(Order.objects.get()).certificate
    link = f"{page}?renews={old.pk}"
    order = signed_in.get(reverse("ca:order", args=[Order.objects.get().pk])).content.decode()
    assert link in order
    form = signed_in.get(link).content.decode()
    assert f'name="renews" value="{old.pk}"' in form and NAME in form
    given = fields(issuing, csr=request_for(NAME), sign="yes", renews=str(old.pk))
    sent = signed_in.post(page, given)
    assert signed_in.post(page, given).json() == sent.json(), "the page never heard the answer"
    another = signed_in.post(page, given | {"csr": request_for(NAME)})
    assert another.status_code == 422 and "is being renewed" in another.json()["problem"]
    new = signed(Order.objects.latest("pk")).certificate
    assert new.renews == old and Order.objects.count() == 2


def test_an_order_nobody_reached_is_ended_without_the_signer(
    issuing, owner, now, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    order = ask(issuing, owner, now)
    later = now + timedelta(hours=1, seconds=1)
    assert not due.orders_not_reached(now).exists()
    tasks.expire_order(order.pk)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert list(due.orders_not_reached(later)) == [order]
    tasks.expire_order(order.pk)
    order.refresh_from_db()
    assert (order.state, order.reason_code) == (Order.REFUSED, "passphrase_expired")
    assert bytes(order.passphrase_sealed) == b""


# The API


def test_a_program_takes_the_signers_way(issuing, owner, viewer, now, client) -> None:  # type: ignore[no-untyped-def]
    def call(method: str, path: str, body: object = None, by=owner, scopes=("ca:read", "ca:issue")):  # type: ignore[no-untyped-def]
        _row, secret = create_token(
            name="test", scopes=list(scopes), expires_at=None, by=by, at=now
        )
        return client.generic(
            method,
            f"/api/v1{path}",
            data=json.dumps(body) if body is not None else "",
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )

    body = {
        "issuer": issuing.pk,
        "way": "signer",
        "profile": "person",
        "names": ["anna@example.test"],
        "subject": {"common_name": "Anna Lin", "organisation": "Example"},
        "parcel_form": "pkcs8",
        "passphrase": PHRASE,
    }
    refused = call("POST", "/certificates/orders", body | {"passphrase": "short"})
    assert refused.status_code == 422 and "12 characters" in refused.json()["detail"]
    assert call("POST", "/certificates/orders", {"issuer": issuing.pk}).status_code == 422
    ocsp = {"issuer": issuing.pk, "profile": "ocsp", "csr": request_for()}
    owner.role = "administrator"
    owner.save()
    assert call("POST", "/certificates/orders", ocsp).status_code == 403
    asked = call("POST", "/certificates/orders", body)
    assert asked.status_code == 202 and PHRASE not in asked.content.decode()
    order = asked.json()
    assert (order["way"], order["parcel"]) == ("signer", None)
    path = f"/certificates/orders/{order['id']}"
    assert call("POST", f"{path}/parcel").status_code == 410
    tasks.sign_order(order["id"])
    found = call("GET", path).json()
    assert found["state"] == "issued" and found["parcel"]["state"] == "waiting"
    assert found["subject"] == {"CN": "Anna Lin", "O": "Example"}
    assert call("POST", f"{path}/parcel", by=viewer).status_code == 403
    assert call("POST", f"{path}/parcel", scopes=["ca:read"]).status_code in (401, 403)
    file = call("POST", f"{path}/parcel")
    assert b"ENCRYPTED PRIVATE KEY" in file.content
    gone = call("POST", f"{path}/parcel")
    assert gone.status_code == 410 and "downloaded already" in gone.json()["detail"]
    assert call("GET", path).json()["parcel"]["state"] == "downloaded"
    waiting = call("POST", "/certificates/orders", body).json()
    ended = call("POST", f"/certificates/orders/{waiting['id']}/cancel").json()
    assert (ended["state"], ended["reason_code"]) == ("refused", "cancelled")
