"""Every page and every call of the API, listed from the console itself, and ways to send them."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from core.api_auth import SCOPES, create_token
from core.models import Operator
from mailadmin.api import api

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
# Names that only give an answer of 404, or a way in (`mailadmin.session_urls`).
OF_ALLAUTH = ("session/",)
API = "api/v1/"

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
    """With keys that there are none of."""
    for kind, example in EXAMPLES.items():
        while f"<{kind}:" in route:
            start = route.index(f"<{kind}:")
            route = route[:start] + example + route[route.index(">", start) + 1 :]
    assert "<" not in route, f"{route}: say in EXAMPLES what stands there"
    return "/" + route


def who(role: str, *names: str) -> Operator:
    return Operator.objects.create_user(
        username=f"is-{role}", password="x", role=role, domains=list(names)
    )


def signed_in(operator: Operator) -> Client:
    """Just now, so that no page asks for the password again."""
    client = Client()
    client.force_login(operator, backend=BACKEND)
    session = client.session
    session["account_authentication_methods_user"] = str(operator.pk)
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session.save()
    return client


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Each act starts from the same rows."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def text_of(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(content.decode())


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
    return send_to(client, name, path, operation)


def send_to(client: Client, name: str, path: str, operation: dict[str, Any]) -> Any:
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


def with_token(operator: Operator) -> Client:
    now = timezone.now()
    _token, secret = create_token(
        name="t", scopes=list(SCOPES), expires_at=now + timedelta(days=1), by=operator, at=now
    )
    return Client(headers={"Authorization": f"Bearer {secret}"})
