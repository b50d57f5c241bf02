"""A certificate's successor: the verb, the pages, the calls, and what is due."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.urls import reverse
from django.utils import timezone

from ca import ending, issuance, renewal, revocation, tasks
from ca.models import Certificate, Issuer, Notice, Order, RevocationList
from core.api_auth import create_token
from core.models import AuditEvent
from mailadmin import overview
from tests.ca.conftest import request_for

pytestmark = pytest.mark.django_db
NAME = "mail1.example.test"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def fulfilled(order: Order) -> Certificate:
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None, order.reason
    return order.certificate


def signed(issuing, owner, now, **options) -> Certificate:  # type: ignore[no-untyped-def]
    asked = {
        "profile": "host",
        "names": [NAME, "192.0.2.1"],
        "csr_pem": request_for(NAME, key=KEY),
        "subject": {"O": "Example", "C": "TW"},
    }
    return fulfilled(issuance.request(issuer=issuing, by=owner, at=now, **(asked | options)))


@pytest.fixture
def leaf(issuing, owner, now) -> Certificate:  # type: ignore[no-untyped-def]
    return signed(issuing, owner, now)


@pytest.fixture
def old(leaf) -> Certificate:  # type: ignore[no-untyped-def]
    """As it is ten days before its end, which is now."""
    return aged(leaf, left=10)


def aged(certificate: Certificate, *, left: float) -> Certificate:
    """Moved into the past, so that `left` days are left now."""
    shift = certificate.not_after - timezone.now() - timedelta(days=left, minutes=1)
    certificate.not_before -= shift
    certificate.not_after -= shift
    certificate.save(update_fields=["not_before", "not_after"])
    return certificate


def test_the_same_key_uses_the_old_request_again(old, owner, now, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    order = renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now)
    assert order.renews == old and order.state == Order.REQUESTED
    new = fulfilled(order)
    assert new.renews == old and new.key_id == old.key_id and new.serial != old.serial
    assert (new.names, new.profile, new.issuer) == (old.names, old.profile, old.issuer)
    assert new.subject == old.subject and "O=Example" in new.subject
    old.refresh_from_db()
    assert old.is_valid(now) and new.is_valid(timezone.now()), "both are valid meanwhile"
    said = openssl_verify(new.pem, new.chain_pem, new.root_pem)
    assert "leaf.pem: OK" in said
    event = AuditEvent.objects.filter(action="ca.order.requested").latest("pk")
    assert event.detail["order"] == order.pk


def test_a_new_key_brings_its_request(old, owner, now) -> None:  # type: ignore[no-untyped-def]
    pem = request_for("another.example.test", key=OTHER)
    new = fulfilled(
        renewal.request(certificate=old, way=renewal.NEW_KEY, csr_pem=pem, by=owner, at=now)
    )
    assert new.key_id != old.key_id
    assert new.names == old.names, "a request only proposes names; these were decided"


def test_the_life_is_carried_over(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    old = signed(issuing, owner, now, days=200)
    order = renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now)
    assert order.days == 200
    issuance.refuse(order=order, code="cancelled", detail={"who": "owner"}, by=owner, at=now)
    order = renewal.request(certificate=old, way=renewal.SAME_KEY, days=30, by=owner, at=now)
    assert order.days == 30


def test_a_retired_issuers_successor_signs(old, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    second = Issuer.objects.get(pk=issuing.pk)
    second.pk = None
    second.name, second.key_id, second.public_id = "Example Issuing 2", "0" * 64, "0" * 16
    second.certificate = None
    second.save()
    Issuer.objects.filter(pk=issuing.pk).update(retired_at=now, successor=second)
    old.refresh_from_db()
    assert renewal.signed_by(Certificate.objects.get(pk=old.pk)) == second
    Issuer.objects.filter(pk=second.pk).update(retired_at=now, successor=issuing)
    renewal.signed_by(Certificate.objects.get(pk=old.pk))  # a circle ends
    Issuer.objects.filter(pk=issuing.pk).update(successor=None)
    fresh = Certificate.objects.get(pk=old.pk)
    with pytest.raises(issuance.IssuanceRefused) as refusal:
        renewal.request(certificate=fresh, way=renewal.SAME_KEY, by=owner, at=now)
    assert "Example Issuing" in refusal.value.sentence


def refused(code: str, certificate, owner, now, **options) -> renewal.NotRenewable:  # type: ignore[no-untyped-def]
    orders = Order.objects.count()
    with pytest.raises(renewal.NotRenewable) as refusal:
        renewal.request(
            certificate=certificate,
            by=owner,
            at=now,
            **({"way": renewal.SAME_KEY} | options),
        )
    assert refusal.value.code == code and refusal.value.sentence != code
    assert Order.objects.count() == orders
    return refusal.value


def test_what_cannot_be_renewed_says_why(old, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    def no(code: str, **options) -> None:  # type: ignore[no-untyped-def]
        refused(code, old, owner, now, **options)

    no("renewal_way_unknown", way="both")
    no("renewal_key_missing", way=renewal.NEW_KEY)
    no("renewal_key_same", way=renewal.NEW_KEY, csr_pem=request_for(NAME, key=KEY))
    no("renewal_key_differs", csr_pem=request_for(NAME, key=OTHER))
    refused("renewal_authority", issuing.certificate, owner, now)
    revocation.hold(certificate=old, by=owner, at=now)
    no("renewal_revoked")
    revocation.release(certificate=old, by=owner, at=now)
    old.order.certificate = None  # as of one that was signed elsewhere
    Order.objects.filter(certificate=old).update(csr_pem="")
    no("renewal_request_missing")


def test_an_expired_one_can_still_be_renewed(leaf, owner, now) -> None:  # type: ignore[no-untyped-def]
    gone = aged(leaf, left=-1)
    assert fulfilled(renewal.request(certificate=gone, way=renewal.SAME_KEY, by=owner, at=now))


def test_one_signed_elsewhere_keeps_its_subject(leaf) -> None:  # type: ignore[no-untyped-def]
    assert renewal.subject_of(leaf) == {"O": "Example", "C": "TW"}


def test_twice_at_once_is_once(old, owner, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    order = renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now)
    assert str(order.pk) in refused("renewal_under_way", old, owner, now).sentence
    # Two at the very same moment: the second did not see the first.
    check, seen = renewal.check, []

    def late(*args, **options):  # type: ignore[no-untyped-def]
        seen.append(1)
        if len(seen) > 1:
            check(*args, **options)

    monkeypatch.setattr(renewal, "check", late)
    refused("renewal_under_way", old, owner, now)
    monkeypatch.undo()
    new = fulfilled(order)
    assert refused("renewed_already", old, owner, now).detail["id"] == new.pk
    revocation.revoke(certificate=new, reason="keyCompromise", by=owner, at=timezone.now())
    renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now)


def test_a_hosts_key_is_renewed_on_its_host(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(profile="host", names=[NAME], issuer=issuing, by=owner, at=now)
    issuance.submit_csr(order=order, csr_pem=request_for(NAME, key=KEY), by=owner, at=now)
    certificate = fulfilled(order)
    refused("renewal_on_host", certificate, owner, now)
    pem = request_for(NAME, key=OTHER)
    new = fulfilled(
        renewal.request(certificate=certificate, way=renewal.NEW_KEY, csr_pem=pem, by=owner, at=now)
    )
    with pytest.raises(renewal.NotReplaced) as refusal:
        renewal.supersede(certificate=new, by=owner, at=timezone.now())
    assert refusal.value.code == "superseded_by_probe"


def test_the_new_one_in_use_supersedes_the_old(old, owner, now) -> None:  # type: ignore[no-untyped-def]
    new = fulfilled(renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now))
    at = timezone.now()

    def no(code: str, certificate: Certificate, when=at) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(renewal.NotReplaced) as refusal:
            renewal.supersede(certificate=certificate, by=owner, at=when)
        assert refusal.value.code == code and str(refusal.value) != code

    no("renews_nothing", old)
    no("replacement_invalid", new, new.not_after)
    assert renewal.supersede(certificate=new, by=owner, at=at).state == Certificate.SUPERSEDED
    no("superseded_already", Certificate.objects.get(pk=new.pk))
    refused("renewal_superseded", Certificate.objects.get(pk=old.pk), owner, now)


def test_a_revoked_old_one_is_not_superseded(old, owner, now) -> None:  # type: ignore[no-untyped-def]
    new = fulfilled(renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now))
    revocation.revoke(certificate=old, reason="keyCompromise", by=owner, at=now)
    fresh = Certificate.objects.get(pk=new.pk)
    with pytest.raises(renewal.NotReplaced) as refusal:
        renewal.supersede(certificate=fresh, by=owner, at=timezone.now())
    assert refusal.value.code == "old_is_revoked"


def found(at=None) -> dict[int, tuple[str, ...]]:  # type: ignore[no-untyped-def]
    return {
        each.certificate.pk: each.reasons for each in ending.page_of({}, at=at or timezone.now())
    }


def test_due_is_what_the_rules_say(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    """The database narrows down to exactly what `lifetimes.why` has a reason for."""
    quick = signed(issuing, owner, now, days=6)
    usual = signed(issuing, owner, now)
    for certificate, left in ((quick, 2), (usual, 30)):
        end = certificate.not_after
        assert certificate.pk not in found(end - timedelta(days=left, minutes=1))
        assert found(end - timedelta(days=left, minutes=-1))[certificate.pk] == ("ends",)
        assert certificate.pk not in found(end)
    at = usual.not_after - timedelta(days=5)
    assert ending.count(at) == 1
    Certificate.objects.filter(pk=usual.pk).update(state=Certificate.SUPERSEDED)
    assert found(at) == {} and ending.count(at) == 0


def test_due_names_what_stands_in_the_way(old, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    Issuer.objects.filter(pk=issuing.pk).update(retired_at=now)
    assert found() == {old.pk: ("ends", "no_successor")}
    Issuer.objects.filter(pk=issuing.pk).update(retired_at=None)
    Certificate.objects.filter(pk=issuing.certificate_id).update(not_after=old.not_after)
    assert found() == {old.pk: ("ends", "issuer_ends")}


def test_under_a_revoked_authority_everything_is_due(leaf, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    assert found() == {}
    revocation.revoke(certificate=issuing.certificate, reason="cACompromise", by=owner, at=now)
    assert found() == {leaf.pk: ("issuer_revoked",)}


def test_a_renewed_one_is_due_until_it_is_superseded(old, owner, now) -> None:  # type: ignore[no-untyped-def]
    order = renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now)
    (row,) = ending.page_of({}, at=now)
    assert row.order == order and row.reasons == ("ends",)
    new = fulfilled(order)
    (row,) = ending.page_of({}, at=timezone.now())
    assert row.replacement == new and row.reasons == ("renewed",) and row.order is None
    renewal.supersede(certificate=new, by=owner, at=timezone.now())
    assert found() == {}


def authorities(at) -> dict[str, tuple[str, ...]]:  # type: ignore[no-untyped-def]
    return {each.issuer.name: each.reasons for each in ending.authorities(at)}


def test_authorities_and_their_lists_are_due(issuing, now) -> None:  # type: ignore[no-untyped-def]
    assert authorities(now) == {}
    listed = RevocationList.objects.get(issuer=issuing.parent)
    assert authorities(listed.renew_at) == {"Example Root": ("list_ends",)}
    RevocationList.objects.filter(pk=listed.pk).update(stale_at=now)
    assert authorities(now) == {"Example Root": ("list_behind",)}
    at = issuing.certificate.not_after - timedelta(days=120)
    assert authorities(at)["Example Issuing"] == ("authority_ends",)
    Issuer.objects.filter(pk=issuing.pk).update(retired_at=now)
    assert "Example Issuing" not in authorities(at)


def test_the_pages(old, signed_in, viewer, client) -> None:  # type: ignore[no-untyped-def]
    address = reverse("ca:renew", args=[old.pk])
    page = signed_in.get(reverse("ca:due")).content.decode()
    assert "It ends in 10 days, in the last third" in page and f'href="{address}"' in page
    assert ">1</span>" in page, "the tab counts it"
    page = signed_in.get(address).content.decode()
    assert "Example Issuing" in page and "the old request is used again" in page
    answer = signed_in.post(address, {"way": "new", "csr": ""})
    assert answer.status_code == 422 and b"A new key needs its request" in answer.content
    answer = signed_in.post(address, {"way": "new", "csr": "rubbish"})
    assert answer.status_code == 422
    answer = signed_in.post(address, {"way": "same", "days": 5000})
    assert answer.status_code == 422
    answer = signed_in.post(address, {"way": "same"})
    order = Order.objects.latest("pk")
    assert answer.url == reverse("ca:order", args=[order.pk]) and order.renews == old
    answer = signed_in.post(address, {"way": "same"})
    assert answer.status_code == 409 and b"is being renewed" in answer.content
    new = fulfilled(order)
    page = signed_in.get(reverse("ca:certificate", args=[old.pk])).content.decode()
    assert "Renewed by" in page and reverse("ca:certificate", args=[new.pk]) in page
    assert f'href="{address}"' not in page
    page = signed_in.get(reverse("ca:certificate", args=[new.pk])).content.decode()
    assert 'data-dialog="supersede"' in page
    supersede = reverse("ca:supersede", args=[new.pk])
    said = signed_in.post(supersede, follow=True).content.decode()
    assert "is superseded." in said and 'data-dialog="supersede"' not in said
    said = signed_in.post(supersede, follow=True).content.decode()
    assert "is superseded already" in said
    page = signed_in.get(reverse("ca:due")).content.decode()
    assert "Nothing is due" in page
    client.force_login(viewer)
    assert client.get(reverse("ca:due")).status_code == 200
    assert client.get(address).status_code == 403
    assert client.post(supersede).status_code == 403


@pytest.fixture
def made(issuing, owner, now) -> Certificate:  # type: ignore[no-untyped-def]
    """One whose key the signer made, ten days before its end."""
    return aged(signed(issuing, owner, now, csr_pem=None, passphrase=PASSPHRASE), left=10)


PASSPHRASE = "travel safely then"


def test_a_key_of_the_signers_is_made_anew_by_the_signer(made, owner, signed_in) -> None:  # type: ignore[no-untyped-def]
    address = reverse("ca:renew", args=[made.pk])
    assert b'value="signer"' in signed_in.get(address).content
    good = {"passphrase": PASSPHRASE, "passphrase_again": PASSPHRASE, "parcel_form": "p12"}
    for changed, said in [
        ({"passphrase": "short", "passphrase_again": "short"}, b"at least 12"),
        ({"passphrase_again": "another"}, b"differ"),
        ({"parcel_form": "rar"}, b"valid choice"),
    ]:
        answer = signed_in.post(address, {"way": "signer"} | good | changed)
        assert answer.status_code == 422 and said in answer.content, changed
        assert PASSPHRASE.encode() not in answer.content
    answer = signed_in.post(address, {"way": "signer"} | good)
    order = Order.objects.latest("pk")
    assert answer.url == reverse("ca:order", args=[order.pk])
    new = fulfilled(order)
    assert order.way == Order.SIGNER and new.renews == made and new.key_id != made.key_id
    assert order.parcel.content


def test_only_a_key_of_the_signers_is(old, signed_in) -> None:  # type: ignore[no-untyped-def]
    address = reverse("ca:renew", args=[old.pk])
    assert b'value="signer"' not in signed_in.get(address).content
    answer = signed_in.post(address, {"way": "signer", "passphrase": PASSPHRASE})
    assert answer.status_code == 422 and not old.renewal_orders.exists()


def test_the_call_for_a_key_of_the_signers(made, owner, client, now) -> None:  # type: ignore[no-untyped-def]
    _row, secret = create_token(name="t", scopes=["ca:issue"], expires_at=None, by=owner, at=now)
    address = f"/api/v1/certificates/{made.pk}/renew"

    def post(passphrase: str):  # type: ignore[no-untyped-def]
        body = {"way": "new", "passphrase": passphrase, "parcel_form": "p12"}
        headers = {"Authorization": f"Bearer {secret}"}
        return client.post(address, json.dumps(body), "application/json", headers=headers)

    assert post("short").status_code == 422
    answer = post(PASSPHRASE)
    assert answer.status_code == 202 and PASSPHRASE not in answer.content.decode()
    order = Order.objects.get(pk=answer.json()["id"])
    assert order.way == Order.SIGNER and order.renews == made


def test_the_calls(old, owner, viewer, client, now) -> None:  # type: ignore[no-untyped-def]
    def token(operator, *scopes: str) -> dict[str, str]:  # type: ignore[no-untyped-def]
        _row, secret = create_token(
            name="t", scopes=list(scopes), expires_at=None, by=operator, at=now
        )
        return {"Authorization": f"Bearer {secret}"}

    allowed, looks = token(owner, "ca:read", "ca:issue"), token(viewer, "ca:read", "ca:issue")
    base = f"/api/v1/certificates/{old.pk}"

    def post(path: str, body: dict[str, object], headers: dict[str, str]):  # type: ignore[no-untyped-def]
        return client.post(path, json.dumps(body), "application/json", headers=headers)

    answer = client.get("/api/v1/certificates/due", headers=looks).json()
    (item,) = answer["items"]
    assert item["certificate"] == old.pk and item["reasons"][0]["code"] == "ends"
    assert answer["authorities"] == [] and answer["next"] is None
    assert post(f"{base}/renew", {"way": "same"}, looks).status_code == 403
    assert post(f"{base}/renew", {"way": "sideways"}, allowed).status_code == 422
    assert post(f"{base}/renew", {"way": "new"}, allowed).status_code == 422
    answer = post(f"{base}/renew", {"way": "same"}, allowed)
    assert answer.status_code == 202, answer.content
    assert post(f"{base}/renew", {"way": "same"}, allowed).status_code == 409
    new = fulfilled(Order.objects.get(pk=answer.json()["id"]))
    assert post(f"/api/v1/certificates/{new.pk}/supersede", {}, looks).status_code == 403
    answer = post(f"/api/v1/certificates/{new.pk}/supersede", {}, allowed)
    assert answer.json() == {"id": old.pk, "state": "superseded", "superseded_by": new.pk}
    assert post(f"/api/v1/certificates/{new.pk}/supersede", {}, allowed).status_code == 409


def test_a_page_asks_the_database_no_more_than_ten_times(  # type: ignore[no-untyped-def]
    old, issuing, owner, now, signed_in, django_assert_max_num_queries
) -> None:
    for _more in range(3):
        aged(signed(issuing, owner, now), left=5)
    fulfilled(renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now))
    for page in (reverse("ca:due"), reverse("ca:certificate", args=[old.pk])):
        signed_in.get(page)
        with django_assert_max_num_queries(10):
            assert signed_in.get(page).status_code == 200


def test_the_overview_says_what_is_due(old, issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    looked = overview.look(at=now)
    assert looked.has_root
    assert [(need.kind, need.title, need.url) for need in looked.needs] == [
        ("warning", "1 certificate is due", reverse("ca:due"))
    ]
    RevocationList.objects.filter(issuer=issuing.parent).update(stale_at=now)
    Notice.objects.create(
        certificates=[], recipients=[owner.pk], made_at=now, next_try_at=now, problem="550 no"
    )
    titles = {need.title: need.text for need in overview.look(at=now).needs}
    assert titles["Notices by mail cannot be sent"] == "550 no"
    assert "the last revocation" in titles["The authority “Example Root” needs you"]
    fulfilled(renewal.request(certificate=old, way=renewal.SAME_KEY, by=owner, at=now))
    new = Certificate.objects.get(renews=old)
    renewal.supersede(certificate=new, by=owner, at=timezone.now())
    assert "1 certificate is due" not in {need.title for need in overview.look(at=now).needs}


def test_a_key_made_in_a_browser_is_made_there_again(issuing, owner, now, signed_in) -> None:  # type: ignore[no-untyped-def]
    old = signed(issuing, owner, now, way=Order.BROWSER)
    page = signed_in.get(reverse("ca:renew", args=[old.pk])).content.decode()
    there = f"{reverse('ca:new_browser')}?renews={old.pk}"
    assert f'href="{there}"' in page
    assert signed_in.get(there).status_code == 200
    usual = signed(issuing, owner, now)
    page = signed_in.get(reverse("ca:renew", args=[usual.pk])).content.decode()
    assert reverse("ca:new_browser") not in page
