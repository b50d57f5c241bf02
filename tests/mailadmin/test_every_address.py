"""Every page and every call of the API, with every role: who may not gets nothing, and nothing is
done. An address that this test does not know, and one without a permission, fails it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from core import roles
from core.api_auth import SCOPES, create_token
from core.models import AuditEvent, Operator
from mailadmin.api import api

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"

# For whoever comes, signed in or not.
OPEN = {
    "accounts:invitation",
    "accounts:invitation_check",
    "healthz",
    "language",
    "pki:delta",
    "pki:issuer",
    "pki:list",
    "pki:ocsp",
    "setup",
    "trust:file",
    "trust:root",
    "trust:roots",
}
# Pages whose form takes more than the page: here the view asks again.
MORE_TO_POST = {"accounts:domains": "accounts.domains", "accounts:policy": "accounts.domains"}
# Names that only give an answer of 404, or a way in (`mailadmin.session_urls`).
OF_ALLAUTH = ("session/",)
API = "api/v1/"

# What a call needs. A call that is new belongs here.
CALLS = {
    "GET /aliases": "accounts.view",
    "POST /aliases": "accounts.manage",
    "DELETE /aliases/{address}": "accounts.manage",
    "GET /aliases/{address}": "accounts.view",
    "PATCH /aliases/{address}": "accounts.manage",
    "GET /authorities": "ca.view",
    "POST /authorities": "ca.manage",
    "POST /authorities/import": "ca.manage",
    "GET /authorities/import/{pk}": "ca.manage",
    "POST /authorities/import/{pk}/key": "ca.manage",
    "GET /authorities/import/{pk}/lines": "ca.manage",
    "POST /authorities/request": "ca.manage",
    "POST /authorities/roots": "ca.manage",
    "DELETE /authorities/{pk}": "ca.manage",
    "GET /authorities/{pk}": "ca.view",
    "POST /authorities/{pk}/certificate": "ca.manage",
    "POST /authorities/{pk}/list": "ca.manage",
    "POST /authorities/{pk}/reinstate": "ca.manage",
    "POST /authorities/{pk}/reissue": "ca.manage",
    "POST /authorities/{pk}/retire": "ca.manage",
    "GET /ceremonies/{pk}": "ca.view",
    "POST /ceremonies/{pk}/again": "ca.manage",
    "GET /certificates": "ca.view",
    "POST /certificates/batches": "ca.issue",
    "GET /certificates/batches/{pk}": "ca.view",
    "GET /certificates/batches/{pk}/download/{form}": "ca.view",
    "GET /certificates/due": "ca.view",
    "POST /certificates/hold": "ca.issue",
    "POST /certificates/orders": "ca.issue",
    "GET /certificates/orders/{pk}": "ca.view",
    "POST /certificates/orders/{pk}/cancel": "ca.issue",
    "POST /certificates/orders/{pk}/parcel": "ca.issue",
    "POST /certificates/release": "ca.issue",
    "POST /certificates/revoke": "ca.issue",
    "GET /certificates/{pk}": "ca.view",
    "GET /certificates/{pk}/download/{form}": "ca.view",
    "POST /certificates/{pk}/hold": "ca.issue",
    "POST /certificates/{pk}/release": "ca.issue",
    "POST /certificates/{pk}/renew": "ca.issue",
    "POST /certificates/{pk}/revoke": "ca.issue",
    "POST /certificates/{pk}/supersede": "ca.issue",
    "GET /domains": "accounts.view",
    "POST /domains": "accounts.domains",
    "GET /domains/{name}": "accounts.view",
    "PATCH /domains/{name}": "accounts.domains",
    "GET /flags": "accounts.view",
    "GET /flags/policy": "accounts.view",
    "PUT /flags/policy": "accounts.domains",
    "DELETE /flags/{pk}/exempt": "accounts.manage",
    "POST /flags/{pk}/exempt": "accounts.manage",
    "GET /hosts": "deploy.view",
    "GET /hosts/{name}": "deploy.view",
    "GET /hosts/{name}/plan": "deploy.view",
    "POST /imports": "accounts.domains",
    "GET /imports/{pk}": "accounts.domains",
    "GET /mailboxes": "accounts.view",
    "POST /mailboxes": "accounts.manage",
    "GET /mailboxes/{address}": "accounts.view",
    "POST /mailboxes/{address}/close": "accounts.manage",
    "POST /mailboxes/{address}/erase": "accounts.manage",
    "POST /mailboxes/{address}/expiry": "accounts.manage",
    "POST /mailboxes/{address}/password": "accounts.help",
    "POST /mailboxes/{address}/reopen": "accounts.manage",
    "POST /mailboxes/{address}/resume": "accounts.manage",
    "POST /mailboxes/{address}/suspend": "accounts.help",
    "GET /mailboxes/{address}/uses": "accounts.view",
    "GET /me": None,
    "GET /profiles": "ca.view",
    "POST /profiles": "ca.manage",
    "PATCH /profiles/{slug}": "ca.manage",
    "POST /rollouts": "deploy.rollout",
    "GET /rollouts/{pk}": "deploy.view",
}
# Here the certificate itself says which permission it takes, so it is looked for first.
OBJECT_FIRST = {
    "POST /certificates/{pk}/revoke",
    "POST /certificates/{pk}/hold",
    "POST /certificates/{pk}/release",
    "POST /certificates/{pk}/renew",
}
EXAMPLES = {"int": "7", "slug": "x", "str": "x", "uuid": "0" * 8 + "-0000-0000-0000-" + "0" * 12}


def pages(resolver: Any, prefix: str = "", space: str = "") -> Iterator[tuple[str, str, Any]]:
    """(route, name with its namespace, view)"""
    for each in resolver.url_patterns:
        route = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            inner = ":".join(part for part in (space, each.namespace or "") if part)
            yield from pages(each, route, inner)
        else:
            assert isinstance(each, URLPattern)
            yield route, f"{space}:{each.name}" if space else str(each.name), each.callback


PAGES = [
    (route, name, view)
    for route, name, view in pages(get_resolver())
    if not route.startswith((API, *OF_ALLAUTH))
]


def address(route: str) -> str:
    for kind, example in EXAMPLES.items():
        while f"<{kind}:" in route:
            start = route.index(f"<{kind}:")
            route = route[:start] + example + route[route.index(">", start) + 1 :]
    return "/" + route


def who(role: str) -> Operator:
    return Operator.objects.create_user(username=f"is-{role}", password="x", role=role)


def test_every_page_is_open_by_name_or_has_a_permission() -> None:
    found = {name for _route, name, view in PAGES if not hasattr(view, "permission")}
    assert found == OPEN
    for route, name, view in PAGES:
        signed_out = getattr(view, "login_required", True) is False
        assert signed_out == (name in OPEN), route


@pytest.mark.parametrize("role", [role for role, _label in roles.CHOICES])
def test_a_page_is_for_those_who_may(role: str) -> None:
    client = Client()
    operator = who(role)
    client.force_login(operator, backend=BACKEND)
    seen = AuditEvent.objects.count()
    for route, name, view in PAGES:
        permission = getattr(view, "permission", None)
        if permission is None:
            continue
        for method in (client.get, client.post):
            if method == client.post:
                permission = MORE_TO_POST.get(name, permission)
            allowed = roles.may(operator, permission)
            status = method(address(route)).status_code
            if status == 405:
                continue
            if allowed:
                assert status != 403, f"{role} may {permission}: {name}"
            else:
                assert status == 403, f"{role} may not {permission}: {name} said {status}"
                assert AuditEvent.objects.count() == seen, name
        seen = AuditEvent.objects.count()


def test_nobody_gets_a_page_without_signing_in(client: Client) -> None:
    for route, name, _view in PAGES:
        if name in OPEN:
            continue
        for method in (client.get, client.post):
            response = method(address(route))
            assert response.status_code in (302, 401, 405), name
            if response.status_code == 302:
                assert response["Location"].startswith("/session/login/"), name


@functools.cache
def described() -> Any:
    return api.get_openapi_schema()


def calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path.removeprefix('/api/v1')}", path, operation


def least(schema: dict[str, Any]) -> Any:
    """The least value that fits a schema."""
    if "$ref" in schema:
        return least(described()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return least(schema[choice][0])
    if "default" in schema:
        return schema["default"]
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        needed = schema.get("required", ())
        return {name: least(each) for name, each in schema["properties"].items() if name in needed}
    if kind == "array":
        return [least(schema["items"]) for _each in range(schema.get("minItems", 0))]
    if schema.get("format") == "date-time":
        return "2026-11-24T09:00:00Z"
    plain = {"string": "x" * max(1, schema.get("minLength", 1)), "boolean": False, "number": 1}
    return plain.get(str(kind), schema.get("minimum", 1))


def send(client: Client, name: str, path: str, operation: dict[str, Any]) -> Any:
    """The call with the least that fits its description."""
    for each in operation.get("parameters", ()):
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", str(least(each["schema"])))
    content = operation.get("requestBody", {}).get("content", {})
    form = content.get("multipart/form-data")
    if form is not None:
        given = least(form["schema"])
        for field, each in form["schema"]["properties"].items():
            if each.get("format") == "binary":
                given[field] = SimpleUploadedFile(field, b"x")
        return client.post(path, given)
    body = content.get("application/json")
    text = json.dumps(least(body["schema"])) if body else ""
    return client.generic(name.partition(" ")[0], path, text, "application/json")


def test_every_call_is_known() -> None:
    assert {name for name, _path, _operation in calls()} == set(CALLS)


@pytest.mark.parametrize("role", [role for role, _label in roles.CHOICES])
def test_a_call_is_for_those_who_may(role: str) -> None:
    operator = who(role)
    now = timezone.now()
    _token, secret = create_token(
        name="t", scopes=list(SCOPES), expires_at=now + timedelta(days=1), by=operator, at=now
    )
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    for name, path, operation in calls():
        permission = CALLS[name]
        seen = AuditEvent.objects.count()
        status = send(client, name, path, operation).status_code
        if permission is None or roles.may(operator, permission):
            assert status != 403, f"{role} may {permission}: {name}"
        else:
            refused = (403, 404) if name in OBJECT_FIRST else (403,)
            assert status in refused, f"{role} may not {permission}: {name} said {status}"
            assert AuditEvent.objects.count() == seen, name


def test_no_call_without_a_token(client: Client) -> None:
    for name, path, operation in calls():
        assert send(client, name, path, operation).status_code == 401, name
