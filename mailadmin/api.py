"""`/api/v1`: the root that every app's router hangs on.

A call carries `Authorization: Bearer mla_…`; a token has scopes (`core.api_auth.SCOPES`).
Errors are RFC 9457 problem details:

    HTTP/1.1 422 Unprocessable Content
    Content-Type: application/problem+json

    {"type": "about:blank", "title": "Unprocessable Content", "status": 422,
     "detail": "The password is too easy to guess.", "code": "PasswordRefused"}

`code` is stable, `detail` is for people. A body that does not fit the schema also has `errors`, a
list of `{"at": "body.names.0", "problem": "…"}`. The description is at `/api/v1/openapi.json`.
"""

import json
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError

from accounts import api as accounts
from accounts import (
    api_aliases,
    api_app_passwords,
    api_closing,
    api_domains,
    api_flags,
    api_importing,
    api_usage,
)
from ca import api as ca
from core import roles
from core.access import NotAllowed
from core.api_auth import AnyToken, ScopeMissing
from core.errors import Refusal
from core.models import Operator
from deploy import api as deploy


class RootAPI(NinjaAPI):
    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        """Ninja's, exempt from the pages' login: each call authenticates itself by its token."""
        patterns, app_name, namespace = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback.login_required = False  # type: ignore[attr-defined]
        return patterns, app_name, namespace


def problem(
    status: int, detail: str, *, code: str = "", headers: dict[str, str] | None = None, **more: Any
) -> HttpResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, **({"code": code} if code else {}), **more}
    return HttpResponse(
        json.dumps(body, ensure_ascii=False),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


api = RootAPI(title="Mailadmin", version="1", urls_namespace="api", docs_url=None)


@api.exception_handler(Refusal)
def refused(request: HttpRequest, error: Refusal) -> HttpResponse:
    return problem(error.status, error.sentence, code=type(error).__name__)


@api.exception_handler(AuthenticationError)
def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem(
        401,
        _("Send a valid API token: Authorization: Bearer mla_…"),
        code="TokenNeeded",
        headers={"WWW-Authenticate": "Bearer"},
    )


@api.exception_handler(ScopeMissing)
def out_of_scope(request: HttpRequest, error: ScopeMissing) -> HttpResponse:
    detail = _("This token does not have the scope %(scope)s.") % {"scope": error.scope}
    return problem(403, detail, code="ScopeMissing", scope=error.scope)


@api.exception_handler(PermissionDenied)
def not_allowed(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    """With the roles that may, where the permission is known, as on the pages."""
    said = _("The token's operator may not do this.")
    if not isinstance(error, NotAllowed):
        return problem(403, said, code="NotAllowed")
    able = ", ".join(str(role) for role in roles.who_may(error.permission))
    said += " " + _("Who can: %(roles)s.") % {"roles": able}
    return problem(403, said, code="NotAllowed", permission=error.permission)


@api.exception_handler(Http404)
def missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, _("There is nothing here by that name."), code="NotFound")


@api.exception_handler(ValidationError)
def misshapen(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"at": ".".join(str(part) for part in entry["loc"]), "problem": entry["msg"]}
        for entry in error.errors
    ]
    return problem(
        422, _("The request does not fit the description."), code="Invalid", errors=errors
    )


@api.exception_handler(HttpError)
def other(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, error.message)


class Me(Schema):
    username: str
    role: str


@api.get("/me", auth=AnyToken())
def me(request: HttpRequest) -> Me:
    """Whose token this is."""
    operator: Operator = request.auth  # type: ignore[attr-defined]
    return Me(username=operator.username, role=operator.role)


# Their paths begin with the noun: /certificates, /mailboxes, /hosts.
for router in (
    ca.router,
    accounts.router,
    api_aliases.router,
    api_app_passwords.router,
    api_closing.router,
    api_importing.router,
    api_domains.router,
    api_flags.router,
    api_usage.router,
    deploy.router,
):
    api.add_router("", router)
