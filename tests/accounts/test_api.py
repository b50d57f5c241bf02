"""`/api/v1`: domains and mailboxes by token."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts import lifecycle
from accounts.models import Flag, Mailbox
from core import api_auth
from core.models import AuditEvent, Operator

from .conftest import AT, GOOD

READ, WRITE = "accounts:read", "accounts:write"
CALLS = [
    ("get", "/domains", READ),
    ("post", "/domains", WRITE),
    ("get", "/mailboxes", READ),
    ("post", "/mailboxes", WRITE),
    ("get", "/mailboxes/anna@example.test", READ),
    ("post", "/mailboxes/anna@example.test/suspend", WRITE),
    ("post", "/mailboxes/anna@example.test/resume", WRITE),
    ("post", "/mailboxes/anna@example.test/password", WRITE),
]
BODY = {"name": "x.test", "address": "bert@example.test", "password": GOOD}


class Api:
    def __init__(self, operator: Operator, *scopes: str) -> None:
        _row, self.secret = api_auth.create_token(
            name="t", scopes=list(scopes), expires_at=None, by=operator, at=AT
        )
        self.client = Client()

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.client.generic(
            method.upper(),
            f"/api/v1{path}",
            data=json.dumps(body if body is not None else {}),
            content_type="application/json",
            headers={"authorization": f"Bearer {self.secret}"},
            query_params=query,
        )


@pytest.fixture
def api(owner: Any) -> Api:
    return Api(owner, READ, WRITE)


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_every_call_asks_for_its_scope(
    owner: Any, anna: Any, method: str, path: str, scope: str
) -> None:
    other = WRITE if scope == READ else READ
    assert Api(owner, other)(method, path, BODY).status_code == 403
    assert getattr(Client(), method)(f"/api/v1{path}").status_code == 401


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_a_token_never_may_more_than_its_maker(
    viewer: Any, anna: Any, method: str, path: str, scope: str
) -> None:
    answer = Api(viewer, READ, WRITE)(method, path, BODY)
    assert answer.status_code == (200 if scope == READ else 403)
    assert Mailbox.objects.get().state == "active"


def test_a_whole_life(api: Api, owner: Any) -> None:
    made = api("post", "/domains", {"name": "exämple.test"})
    assert made.status_code == 201 and made.json()["name"] == "xn--exmple-cua.test"
    body = {"address": "Anna@exämple.test", "password": GOOD, "quota_mb": 100}
    made = api("post", "/mailboxes", body)
    assert made.status_code == 201
    address = made.json()["address"]
    assert (
        address == "anna@xn--exmple-cua.test"
        and made.json()["unicode_address"] == "anna@exämple.test"
    )
    assert "password" not in made.json()
    given = {"reason": "stolen", "refuses_mail": True}
    suspended = api("post", f"/mailboxes/{address}/suspend", given)
    assert suspended.json()["state"] == "suspended" and suspended.json()["refuses_mail"]
    again = api("post", f"/mailboxes/{address}/suspend")
    assert again.status_code == 409 and again.json()["code"] == "NotInState"
    assert api("post", f"/mailboxes/{address}/resume").json()["state"] == "active"
    new = {"password": "vesif3-kolab9-numat2-hodeg5"}
    assert api("post", f"/mailboxes/{address}/password", new).status_code == 200
    event = AuditEvent.objects.latest("pk")
    assert (event.actor, event.action) == (owner, "accounts.mailbox.password_set")


def test_refusals_are_problem_details_with_every_reason(api: Api, domain: Any) -> None:
    answer = api("post", "/mailboxes", {"address": "test@example.test", "password": "test"})
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    detail = answer.json()["detail"]
    assert "12 are the least" in detail and "account's own name" in detail
    assert "looks like an account for a test" in detail
    assert not Mailbox.objects.exists()


def test_conflicts_say_so(api: Api, anna: Any) -> None:
    body = {"address": "anna@example.test", "password": GOOD}
    assert api("post", "/mailboxes", body).status_code == 409


@pytest.mark.parametrize(
    "path",
    ["/mailboxes/nobody@example.test", "/mailboxes/anna", "/mailboxes/a b@example.test"],
)
def test_what_is_not_there(api: Api, anna: Any, path: str) -> None:
    answer = api("get", path)
    assert answer.status_code == 404 and answer.json()["status"] == 404


def test_an_unknown_domain(api: Api, anna: Any) -> None:
    body = {"address": "anna@elsewhere.test", "password": GOOD}
    assert api("post", "/mailboxes", body).status_code == 404
    assert api("get", "/mailboxes", domain="elsewhere.test").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"address": 7}, {"address": "a@example.test", "invite": "x"}, [], "x", {"password": GOOD}],
)
def test_bodies_that_do_not_fit(api: Api, domain: Any, body: Any) -> None:
    answer = api("post", "/mailboxes", body)
    assert answer.status_code == 422 and answer.json()["errors"]


def test_lists_page_by_key(api: Api, domain: Any, anna: Any) -> None:
    Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain,
            local_part=f"m{n}",
            address=f"m{n}@example.test",
            password="{ARGON2ID}x",
            password_set_at=AT,
            state_since=AT,
            created_at=AT,
        )
        for n in range(9)
    )
    seen, after = [], ""
    while after is not None:
        answer = api("get", "/mailboxes", limit=4, after=after).json()
        seen += [item["address"] for item in answer["items"]]
        after = answer["next"]
    assert len(seen) == 10 and seen == sorted(seen)
    assert len(api("get", "/mailboxes", q="anna").json()["items"]) == 1
    assert api("get", "/mailboxes", state="suspended").json()["items"] == []
    assert api("get", "/mailboxes", state="gone").status_code == 422
    assert api("get", "/mailboxes", limit=100_000).status_code == 422
    assert api("get", "/domains").json()["items"][0]["name"] == "example.test"


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [
        ("/mailboxes", "expires_at", {**BODY, "owner_contact": "Anna"}),
        ("/mailboxes/anna@example.test/expiry", "expires_at", {}),
        ("/mailboxes/anna@example.test/app-passwords", "expires_at", {"name": "x", "imap": True}),
        ("/aliases", "expires_at", {"address": "a@example.test", "targets": ["b@else.test"]}),
        ("/flags/{flag}/exempt", "until", {"reason": "x"}),
    ],
)
def test_a_moment_without_a_zone_is_refused(
    api: Api, anna: Mailbox, path: str, name: str, body: dict[str, Any]
) -> None:
    lifecycle.edit(
        mailbox=anna, revision=1, display_name="", owner_contact="A", note="", quota_mb=None,
        by=None, at=AT,
    )  # fmt: skip
    flag = Flag.objects.create(mailbox=anna, kind="no_owner", since=AT, found_at=AT, risk=3)
    path = path.format(flag=flag.pk)
    answer = api("post", path, {**body, name: "2099-01-01T00:00:00"})
    assert answer.status_code == 422 and "timezone" in answer.content.decode()
    assert api("post", path, {**body, name: "2099-01-01T00:00:00+08:00"}).status_code < 300
