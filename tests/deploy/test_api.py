"""`/api/v1`: hosts, plans and rollouts by token."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from core import api_auth
from core.models import Operator
from deploy.models import HostRollout

pytestmark = pytest.mark.django_db

READ, WRITE = "deploy:read", "deploy:write"
NAME = "mail1.example.test"
CALLS = [
    ("get", "/hosts", READ),
    ("get", f"/hosts/{NAME}", READ),
    ("get", f"/hosts/{NAME}/plan", READ),
    ("get", f"/hosts/{NAME}/drift", READ),
    ("post", "/rollouts", WRITE),
    ("get", "/rollouts", READ),
    ("get", "/rollouts/1", READ),
    ("post", "/rollouts/1/cancel", WRITE),
]


def call(operator: Operator, scope: str, method: str, path: str, body: Any = None) -> Any:
    _row, secret = api_auth.create_token(
        name="t", scopes=[scope], expires_at=None, by=operator, at=timezone.now()
    )
    return Client().generic(
        method.upper(),
        f"/api/v1{path}",
        data=json.dumps(body or {}),
        content_type="application/json",
        headers={"authorization": f"Bearer {secret}"},
    )


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_every_call_asks_for_its_scope(owner, certified, method, path, scope) -> None:
    other = WRITE if scope == READ else READ
    assert call(owner, other, method, path, {"hosts": [NAME]}).status_code == 403
    assert getattr(Client(), method)(f"/api/v1{path}").status_code == 401


def test_a_token_never_may_more_than_its_maker(viewer, certified) -> None:
    assert call(viewer, READ, "get", "/hosts").status_code == 200
    assert call(viewer, WRITE, "post", "/rollouts", {"hosts": [NAME]}).status_code == 403
    assert not HostRollout.objects.exists()


def test_hosts_are_listed_without_a_secret(owner, certified) -> None:
    answer = call(owner, READ, "get", "/hosts").json()
    assert answer["items"][0]["fqdn"] == NAME
    assert answer["items"][0]["pending"] == ["first configuration"]
    assert "key" not in json.dumps(answer["items"][0])
    assert call(owner, READ, "get", f"/hosts/{NAME}").json()["generation"] is None
    assert call(owner, READ, "get", "/hosts/nobody.example.test").status_code == 404


def test_the_plan_has_the_difference(owner, certified) -> None:
    answer = call(owner, READ, "get", f"/hosts/{NAME}/plan").json()
    assert answer["may_go"] is True
    assert "sendmail/sendmail.mc" in {each["path"] for each in answer["files"]}
    assert answer["services"]["sendmail"] == "start"


def test_a_rollout_is_asked_for_and_followed(owner, certified) -> None:
    answer = call(owner, WRITE, "post", "/rollouts", {"hosts": [NAME], "reason": "renewal"})
    assert answer.status_code == 202
    made = answer.json()
    assert (made["is_open"], made["hosts"][0]["state"]) == (True, "planned")
    again = call(owner, READ, "get", f"/rollouts/{made['id']}").json()
    assert again["reason"] == "renewal"
    refused = call(owner, WRITE, "post", "/rollouts", {"hosts": [NAME]})
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "UnderWay"


def test_what_cannot_work_is_refused_with_its_reason(owner, host) -> None:
    refused = call(owner, WRITE, "post", "/rollouts", {"hosts": [NAME]})
    assert refused.status_code == 422
    assert "no certificate yet" in refused.json()["detail"]
