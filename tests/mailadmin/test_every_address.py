"""Every page and every call of the API, with every role: who may not gets nothing, and nothing is
done. An address that this test does not know, and one without a permission, fails it. Those about
accounts are walked by `test_every_scope.py`, in scope and out of it."""

from __future__ import annotations

import pytest
from django.test import Client

from core import roles
from core.models import AuditEvent
from tests.mailadmin.known_pages import PAGES_NEED
from tests.mailadmin.walking import PAGES, address, calls, send, signed_in, who, with_token

pytestmark = pytest.mark.django_db

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
MORE_TO_POST = {
    "accounts:domains": "accounts.domains",
    "accounts:flags_selected": "accounts.manage",
    "accounts:policy": "accounts.domains",
}
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
    "GET /hosts/{name}/drift": "deploy.view",
    "GET /hosts/{name}/plan": "deploy.view",
    "GET /hosts/{name}/probes": "deploy.view",
    "GET /hosts/{name}/release": "deploy.rollout",
    "POST /hosts/{name}/release": "deploy.rollout",
    "POST /imports": "accounts.domains",
    "GET /imports/{pk}": "accounts.domains",
    "GET /mailboxes": "accounts.view",
    "POST /mailboxes": "accounts.manage",
    "GET /mailboxes/{address}": "accounts.view",
    "GET /mailboxes/{address}/app-passwords": "accounts.view",
    "POST /mailboxes/{address}/app-passwords": "accounts.help",
    "DELETE /mailboxes/{address}/app-passwords/{pk}": "accounts.help",
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
    "GET /rollouts": "deploy.view",
    "POST /rollouts": "deploy.rollout",
    "GET /rollouts/{pk}": "deploy.view",
    "POST /rollouts/{pk}/cancel": "deploy.rollout",
}
# Here the certificate itself says which permission it takes, so it is looked for first.
OBJECT_FIRST = {
    "POST /certificates/{pk}/revoke",
    "POST /certificates/{pk}/hold",
    "POST /certificates/{pk}/release",
    "POST /certificates/{pk}/renew",
}


def test_every_page_is_open_by_name_or_has_a_permission() -> None:
    found = {name for _route, name, view in PAGES if not hasattr(view, "permission")}
    assert found == OPEN
    for route, name, view in PAGES:
        signed_out = getattr(view, "login_required", True) is False
        assert signed_out == (name in OPEN), route


def test_every_page_is_known() -> None:
    found = {name: view.permission for _route, name, view in PAGES if name not in OPEN}
    assert found == PAGES_NEED


@pytest.mark.parametrize("role", [role for role, _label in roles.CHOICES])
def test_a_page_is_for_those_who_may(role: str) -> None:
    """But those about accounts, which have a walk of their own."""
    operator = who(role)
    client = signed_in(operator)
    seen = AuditEvent.objects.count()
    for route, name, view in PAGES:
        permission = getattr(view, "permission", None)
        if permission is None or permission.startswith("accounts."):
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


def test_every_call_is_known() -> None:
    assert {name for name, _path, _operation in calls()} == set(CALLS)


@pytest.mark.parametrize("role", [role for role, _label in roles.CHOICES])
def test_a_call_is_for_those_who_may(role: str) -> None:
    """But those about accounts, which have a walk of their own."""
    operator = who(role)
    client = with_token(operator)
    for name, path, operation in calls():
        if operation.get("tags") == ["accounts"]:
            continue
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
