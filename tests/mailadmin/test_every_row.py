"""Every page about certificates, authorities, hosts, rollouts and operators, with every role and
with rows that are there: who may see one sees it, and who may not gets nothing and changes nothing.
In `test_every_address.py` nothing has the keys; accounts are the business of `test_every_scope.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps

from ca import keystore
from core import roles
from core.models import AuditEvent, Operator
from tests.accounts.conftest import cheap_hashes  # noqa: F401 - it acts by itself
from tests.browser import world as console
from tests.mailadmin.known_pages import PAGES_NEED
from tests.mailadmin.walking import PAGES, signed_in, undone, who

pytestmark = pytest.mark.django_db

# How an address begins, and what stands where its first key is; the first that fits.
ROWS = (
    ("settings/operators/", "helper"),
    ("certificates/orders/", "order"),
    ("certificates/authorities/", "issuer"),
    ("certificates/", "certificate"),
    ("hosts/rollouts/", "rollout"),
    ("hosts/", "host"),
)
# Of what this console has none of; `test_every_address.py` has them.
NONE_THERE = (
    "certificates/authorities/import/",
    "certificates/batches/",
    "certificates/ceremonies/",
    "certificates/profiles/",
    "settings/tokens/",
)
OTHER_KEYS = {"<int:number>": "1", "<slug:form>": "pem"}
FOR_ROOTS = {"ca:reissue", "ca:renew_list"}
# For an authority that was signed elsewhere, and for one that was brought in.
NOTHING_TO_SEE = {"ca:authority_csr", "ca:crossing"}


@pytest.fixture
def world(owner: Operator, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    keystore.forget()
    return console.build(owner)


def filled(route: str, name: str, world: console.World) -> str:
    fits = [row for beginning, row in ROWS if route.startswith(beginning)]
    assert fits or "<" not in route, f"{route}: say in ROWS what stands there"
    if fits:
        row = world.issuer.parent if name in FOR_ROOTS else getattr(world, fits[0])
        route = route.replace("<int:pk>", str(row.pk), 1)
    for kind, key in OTHER_KEYS.items():
        route = route.replace(kind, key)
    assert "<" not in route, f"{route}: say in OTHER_KEYS what stands there"
    return "/" + route


def written() -> list[Any]:
    """Everything in the apps' tables but sessions and what a visit leaves."""
    models = [model for app in ("ca", "deploy") for model in apps.get_app_config(app).get_models()]
    rows = [list(model._default_manager.order_by("pk").values_list()) for model in models]
    people = Operator.objects.order_by("pk").values_list("role", "is_active", "domains", "email")
    return [AuditEvent.objects.count(), list(people), *rows]


def test_a_row_is_for_those_who_may_see_it(world: console.World) -> None:
    walked = [
        (filled(route, name, world), name)
        for route, name, _view in PAGES
        if not PAGES_NEED.get(name, "accounts.").startswith("accounts.")
        and not route.startswith(NONE_THERE)
    ]
    for role, _label in roles.CHOICES:
        operator = who(role, "example.test")
        client = signed_in(operator)
        before = written()
        for address, name in walked:
            allowed = roles.may(operator, PAGES_NEED[name])
            with undone():
                status = client.get(address).status_code
            here = f"{role}: {name}, {address} said {status}"
            if not allowed and status != 405:
                assert status == 403, here
            if allowed and name not in NOTHING_TO_SEE:
                assert status in (200, 302, 405), here
            if not allowed:
                with undone():
                    assert client.post(address).status_code in (403, 405), here
                    assert written() == before, here
