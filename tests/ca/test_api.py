"""`/api/v1`: the calls of the authority, their scopes and refusals."""

from __future__ import annotations

import pytest
from django.test import Client

from ca import tasks
from ca.models import Issuer, Order
from core.api_auth import create_token
from core.models import AuditEvent
from tests.ca.conftest import leaf_of, request_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(owner, now, client: Client):  # type: ignore[no-untyped-def]
    def do(method: str, path: str, body: object = None, scopes=("ca:read", "ca:issue"), by=None):  # type: ignore[no-untyped-def]
        _token, secret = create_token(
            name="test", scopes=list(scopes), expires_at=None, by=by or owner, at=now
        )
        return client.generic(
            method,
            f"/api/v1{path}",
            data=__import__("json").dumps(body) if body is not None else "",
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )

    return do


def test_from_an_order_to_the_chain(issuing: Issuer, call) -> None:  # type: ignore[no-untyped-def]
    body = {"issuer": issuing.pk, "csr": request_for("mail.example.test")}
    asked = call("POST", "/certificates/orders", body)
    assert asked.status_code == 202
    order = asked.json()
    assert (order["state"], order["names"], order["days"]) == (
        "requested",
        ["mail.example.test"],
        90,
    )
    tasks.sign_order(order["id"])
    order = call("GET", f"/certificates/orders/{order['id']}").json()
    assert order["state"] == "issued"
    certificate = call("GET", f"/certificates/{order['certificate']}").json()
    assert certificate["names"] == ["mail.example.test"] and certificate["state"] == "valid"
    chain = call("GET", f"/certificates/{order['certificate']}/download/fullchain")
    assert chain.content.count(b"BEGIN CERTIFICATE") == 2
    listed = call("GET", "/certificates?q=mail&state=valid").json()
    assert [each["id"] for each in listed["items"]] == [order["certificate"]]
    assert listed["next"] is None


def test_authorities(issuing: Issuer, call) -> None:  # type: ignore[no-untyped-def]
    root, below = call("GET", "/authorities").json()[::-1]
    assert root["parent"] is None and below["parent"] == root["id"]
    assert below["can_issue"] and not root["can_issue"]
    assert below["permitted"] == ["example.test", "192.0.2.0/24"]
    assert "key_sealed" not in str(below)
    own = call("GET", f"/certificates/{below['certificate']}").json()
    assert own["fingerprint_sha256"] == below["fingerprint_sha256"]
    assert call("GET", f"/authorities/{root['id']}").json()["name"] == "Example Root"


def test_refusals_are_problems(issuing: Issuer, call) -> None:  # type: ignore[no-untyped-def]
    for body, words in (
        ({"csr": "garbage"}, "certificate request"),
        ({"csr": request_for("mail.elsewhere.test")}, "may only sign for"),
        ({"csr": request_for("mail.example.test"), "days": 900}, "825"),
        ({"csr": request_for("mail.example.test"), "profile": "magic"}, "magic"),
    ):
        answer = call("POST", "/certificates/orders", {"issuer": issuing.pk} | body)
        assert answer.status_code == 422 and "problem+json" in answer["Content-Type"]
        assert words in answer.json()["detail"]
    logged = AuditEvent.objects.filter(action="ca.request.refused").order_by("pk")
    reasons = [event.detail["reason"] for event in logged]
    assert reasons == ["csr_unreadable", "names_outside", "days_out_of_range", "profile_unknown"]
    missing = call(
        "POST", "/certificates/orders", {"issuer": 999, "csr": request_for("a.test.test")}
    )
    assert missing.status_code == 404
    root = {"issuer": issuing.parent_id, "csr": request_for("mail.example.test")}
    assert "cannot sign" in call("POST", "/certificates/orders", root).json()["detail"]
    assert not Order.objects.exists()


def test_scopes_and_roles(issuing: Issuer, viewer, call, client: Client) -> None:  # type: ignore[no-untyped-def]
    body = {"issuer": issuing.pk, "csr": request_for("mail.example.test")}
    assert call("POST", "/certificates/orders", body, scopes=["ca:read"]).status_code == 403
    assert call("GET", "/certificates", scopes=["accounts:read"]).status_code == 403
    assert call("POST", "/certificates/orders", body, by=viewer).status_code == 403
    assert client.get("/api/v1/certificates").status_code == 401
    assert not Order.objects.exists()


def test_revoke_hold_and_release(issuing: Issuer, call) -> None:  # type: ignore[no-untyped-def]
    body = {"issuer": issuing.pk, "csr": request_for("mail.example.test")}
    asked = call("POST", "/certificates/orders", body).json()["id"]
    tasks.sign_order(asked)
    path = f"/certificates/{Order.objects.get(pk=asked).certificate_id}"
    held = call("POST", f"{path}/hold").json()
    assert (held["state"], held["revocation_reason"]) == ("held", "certificateHold")
    released = call("POST", f"{path}/release").json()
    assert (released["state"], released["revoked_at"]) == ("valid", None)
    assert call("POST", f"{path}/release").status_code == 409
    assert call("POST", f"{path}/revoke", {"reason": "boredom"}).status_code == 422
    refused = call("POST", f"{path}/revoke", {"reason": "superseded"}, scopes=("ca:read",))
    assert refused.status_code in (401, 403)
    revoked = call("POST", f"{path}/revoke", {"reason": "superseded"}).json()
    assert (revoked["state"], revoked["revocation_reason"]) == ("revoked", "superseded")


def test_every_refused_request_is_logged(issuing: Issuer, owner, now, call) -> None:  # type: ignore[no-untyped-def]
    known = leaf_of(issuing, owner, now)
    for path, body, reason in (
        ("/certificates/batches", {"issuer": issuing.pk, "csrs": []}, "batch_empty"),
        (f"/certificates/{known.pk}/renew", {"way": "new", "csr": "garbage"}, "csr_unreadable"),
        (
            "/authorities",
            {"under": issuing.parent_id, "name": "Third", "csr": "garbage", "days": 100},
            "csr_unreadable",
        ),
    ):
        assert call("POST", path, body).status_code == 422
        event = AuditEvent.objects.filter(action="ca.request.refused").latest("pk")
        assert event.detail["reason"] == reason and event.actor == owner
        event.delete()
