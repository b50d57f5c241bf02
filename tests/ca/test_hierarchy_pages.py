"""The pages and the calls that make, retire and sign authorities anew."""

from __future__ import annotations

import json

import pytest
from cryptography import x509
from django.test import Client
from django.urls import reverse

from ca import tasks
from ca.models import Ceremony, Issuer
from core.api_auth import create_token
from tests.ca.conftest import PASSPHRASE, leaf_of

pytestmark = pytest.mark.django_db
WRONG = "seven honest serving men"


def test_the_pages_of_a_rollover(issuing, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    leaf_of(issuing, owner, now, "a.example.test")
    page = reverse("ca:new_successor", args=[issuing.pk])
    shown = signed_in.get(page).content.decode()
    assert "Example Issuing 2" in shown and "192.0.2.0/24" in shown
    fields = {
        "issuing_name": "Example Issuing 2",
        "permitted": "example.test",
        "issuing_algorithm": "p256",
        "issuing_life": "1826",
        "issuing_path_length": "0",
    }
    preview = signed_in.post(page, fields | {"preview": "yes"}).content.decode()
    assert "This would be signed" in preview and "pathlen" in preview.lower()
    answer = signed_in.post(page, fields | {"passphrase": PASSPHRASE})
    tasks.make_authority(Ceremony.objects.latest("pk").pk)
    assert signed_in.get(answer.url).status_code == 200
    own = reverse("ca:authority", args=[issuing.pk])
    shown = signed_in.get(own).content.decode()
    assert "1 certificate is still out" in shown and "Example Issuing 2" in shown
    assert page not in shown and reverse("ca:retire", args=[issuing.pk]) in shown
    assert signed_in.get(page, follow=True).content.decode().count("already has a successor") == 1
    assert signed_in.get(reverse("ca:retire", args=[issuing.pk])).status_code == 405
    retired = signed_in.post(reverse("ca:retire", args=[issuing.pk]), follow=True).content.decode()
    assert reverse("ca:reinstate", args=[issuing.pk]) in retired and "Retired:" in retired
    again = signed_in.post(reverse("ca:retire", args=[issuing.pk]), follow=True).content.decode()
    assert "is retired already" in again
    tree = signed_in.get(reverse("ca:authorities")).content.decode()
    assert "retired" in tree and "followed by Example Issuing 2" in tree
    signed_in.post(reverse("ca:reinstate", args=[issuing.pk]))
    issuing.refresh_from_db()
    assert issuing.retired_at is None


def test_the_page_of_a_root_signed_anew(issuing, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    root = issuing.parent
    page = reverse("ca:reissue", args=[root.pk])
    assert signed_in.get(page).status_code == 200
    assert signed_in.get(reverse("ca:reissue", args=[issuing.pk])).status_code == 404
    far = {"root_life": "other", "root_days": "20000", "passphrase": PASSPHRASE}
    refused = signed_in.post(page, far)
    assert refused.status_code == 422 and "root_days" in refused.context["form"].errors
    assert "passphrase" in signed_in.post(page, {"root_life": "7305"}).context["form"].errors
    answer = signed_in.post(page, {"root_life": "7305", "passphrase": PASSPHRASE})
    tasks.make_authority(Ceremony.objects.latest("pk").pk)
    assert signed_in.get(answer.url).status_code == 200
    shown = signed_in.get(reverse("ca:authority", args=[root.pk])).content.decode()
    assert "Its certificates from before" in shown
    assert reverse("ca:certificate", args=[root.certificate_id]) in shown
    assert signed_in.get(reverse("ca:certificate", args=[root.certificate_id])).status_code == 200


def test_a_root_alone_on_its_page(signed_in: Client) -> None:
    page = reverse("ca:new_root")
    fields = {
        "organisation": "Example",
        "root_name": "Example Root",
        "root_algorithm": "ed25519",
        "root_life": "other",
        "root_days": "18263",
        "root_path_length": "1",
    }
    preview = signed_in.post(page, fields | {"preview": "yes"}).content.decode()
    assert "Ed25519: Windows" in preview[preview.index('id="preview"') :]
    assert not Ceremony.objects.exists()
    secret = {"passphrase": PASSPHRASE, "passphrase_again": PASSPHRASE}
    assert signed_in.post(page, fields).status_code == 422
    answer = signed_in.post(page, fields | secret)
    tasks.make_authority(Ceremony.objects.get().pk)
    root = Issuer.objects.get()
    assert root.algorithm == "ed25519"
    assert root.parsed.extensions.get_extension_for_class(
        x509.BasicConstraints
    ).value == x509.BasicConstraints(True, 1)
    assert reverse("ca:authority", args=[root.pk]) in signed_in.get(answer.url).content.decode()


def test_pages_ask_little_of_the_database(
    issuing, successor, signed_in: Client, django_assert_max_num_queries
) -> None:  # type: ignore[no-untyped-def]
    for page in (
        reverse("ca:authorities"),
        reverse("ca:authority", args=[issuing.pk]),
        reverse("ca:authority", args=[issuing.parent_id]),
    ):
        signed_in.get(page)
        with django_assert_max_num_queries(10) as asked:
            signed_in.get(page)
        lists = [each["sql"] for each in asked if "ca_revocationlist" in each["sql"]]
        assert not any('"der"' in sql for sql in lists), "a long list is not read for its number"


def test_only_an_owner_manages(issuing, viewer, client: Client) -> None:  # type: ignore[no-untyped-def]
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    for page in (
        "new_root", "new_request", "new_issuing", "new_successor", "new_subordinate", "reissue",
        "accept", "retire", "reinstate",
    ):  # fmt: skip
        args = [] if page in ("new_root", "new_request") else [issuing.pk]
        assert client.post(reverse(f"ca:{page}", args=args)).status_code == 403, page
    shown = client.get(reverse("ca:authority", args=[issuing.pk])).content.decode()
    assert reverse("ca:retire", args=[issuing.pk]) not in shown


def call(client: Client, by, now, method: str, path: str, body: object = None):  # type: ignore[no-untyped-def]
    _token, secret = create_token(
        name="test", scopes=["ca:read", "ca:issue"], expires_at=None, by=by, at=now
    )
    return client.generic(
        method, f"/api/v1{path}", json.dumps(body) if body is not None else "",
        content_type="application/json", headers={"Authorization": f"Bearer {secret}"},
    )  # fmt: skip


def test_a_hierarchy_by_calls(owner, now, client: Client, caplog) -> None:  # type: ignore[no-untyped-def]
    def do(method: str, path: str, body: object = None):  # type: ignore[no-untyped-def]
        return call(client, owner, now, method, path, body)

    def made(answer):  # type: ignore[no-untyped-def]
        assert answer.status_code == 202, answer.content
        tasks.make_authority(answer.json()["id"])
        done = do("GET", f"/ceremonies/{answer.json()['id']}").json()
        assert done["state"] == "done", done
        return done["made"] or done["root"]

    unread = do("POST", "/authorities/roots", {"passphrase": PASSPHRASE, "days": "many"})
    assert unread.status_code == 422 and PASSPHRASE not in unread.content.decode()
    weak = do("POST", "/authorities/roots", {"name": "Root", "passphrase": "short"})
    assert weak.status_code == 422 and "12 characters" in weak.json()["detail"]
    root = made(
        do(
            "POST",
            "/authorities/roots",
            {"name": "Root", "algorithm": "p256", "passphrase": PASSPHRASE},
        )
    )
    issuing = {"under": root, "name": "Issuing", "passphrase": PASSPHRASE}
    assert do("POST", "/authorities", issuing).status_code == 422, "limits are missing"
    issuing = made(do("POST", "/authorities", issuing | {"permitted": ["example.test"]}))
    second = {"replaces": issuing, "name": "Second", "permitted": ["example.test"]}
    assert (
        do("POST", "/authorities", second).json()["detail"] == "Enter the passphrase of the root."
    )
    second = made(do("POST", "/authorities", second | {"passphrase": PASSPHRASE}))
    retired = do("POST", f"/authorities/{issuing}/retire").json()
    assert (retired["state"], retired["successor"], retired["can_issue"]) == (
        "retired", second, False,
    )  # fmt: skip
    assert do("POST", f"/authorities/{issuing}/retire").status_code == 409
    assert do("POST", f"/authorities/{issuing}/reinstate").json()["state"] == "valid"
    made(do("POST", f"/authorities/{root}/reissue", {"passphrase": PASSPHRASE}))
    wrong = do("POST", f"/authorities/{root}/list", {"passphrase": WRONG}).json()["id"]
    tasks.make_authority(wrong)
    assert do("GET", f"/ceremonies/{wrong}").json()["reason_code"] == "wrong_passphrase"
    again = do("POST", f"/ceremonies/{wrong}/again", {"passphrase": PASSPHRASE})
    assert again.status_code == 202
    waiting = made(
        do("POST", "/authorities/request", {"name": "Waiting", "permitted": ["example.test"]})
    )
    shown = do("GET", f"/authorities/{waiting}").json()
    assert shown["state"] == "waiting" and "CERTIFICATE REQUEST" in shown["csr"]
    bad = do("POST", f"/authorities/{waiting}/certificate", {"certificate": "x"})
    assert bad.status_code == 422
    spare = made(do("POST", "/authorities/request", {"name": "Spare", "permitted": ["a.test"]}))
    assert do("DELETE", f"/authorities/{spare}").status_code == 204
    assert do("DELETE", f"/authorities/{issuing}").status_code == 422
    listed = do("GET", "/authorities").json()
    assert [each["name"] for each in listed] == ["Issuing", "Root", "Second", "Waiting"]
    assert PASSPHRASE not in caplog.text


def test_calls_are_the_owners(issuing, viewer, now, client: Client) -> None:  # type: ignore[no-untyped-def]
    for path, body in (
        ("/authorities/roots", {"name": "R", "passphrase": PASSPHRASE}),
        ("/authorities", {"under": issuing.parent_id, "name": "I"}),
        ("/authorities/request", {"name": "I"}),
        (f"/authorities/{issuing.pk}/certificate", {"certificate": ""}),
        (f"/authorities/{issuing.parent_id}/reissue", {"passphrase": PASSPHRASE}),
        (f"/authorities/{issuing.parent_id}/list", {"passphrase": PASSPHRASE}),
        (f"/authorities/{issuing.pk}/retire", None),
        (f"/authorities/{issuing.pk}/reinstate", None),
        (f"/ceremonies/{Ceremony.objects.get().pk}/again", {}),
    ):
        assert call(client, viewer, now, "POST", path, body).status_code == 403, path
