"""Every page and every call about accounts, with every role, with what is in the operator's scope
and with what is not: that does not exist for him, and nothing is done to it. A page or call that
`worlds` does not know fails."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core import roles
from tests.accounts.conftest import cheap_hashes  # noqa: F401 - it acts by itself
from tests.mailadmin import worlds
from tests.mailadmin.known_pages import PAGES_NEED
from tests.mailadmin.test_every_address import CALLS, MORE_TO_POST
from tests.mailadmin.walking import (
    API,
    PAGES,
    address,
    calls,
    send_to,
    signed_in,
    text_of,
    undone,
    who,
    with_token,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def both() -> tuple[worlds.World, worlds.World]:
    """What is in the operator's scope, and what is not."""
    return worlds.make("ours"), worlds.make("others")


@pytest.mark.parametrize("role", [role for role, _label in roles.CHOICES])
def test_a_page_about_accounts_is_for_those_in_whose_scope_they_are(
    role: str, both: tuple[worlds.World, worlds.World]
) -> None:
    operator = who(role, *both[0].names)
    client = signed_in(operator)
    before = worlds.written()
    for route, name, view in PAGES:
        if not PAGES_NEED.get(name, "").startswith("accounts."):
            continue
        keyed = "<" in route
        assert not keyed or name in worlds.KEYS, f"{name}: say in worlds.KEYS of what its key is"
        for world, method in itertools.product(both, ("get", "post")):
            given = worlds.FORMS.get(name) or worlds.FORMS_WITHOUT_ACT.get(name)
            key = [getattr(world, worlds.KEYS[name]).pk] if keyed else []
            with undone():
                sent = given(world) if given and method == "post" else {}
                answer = getattr(client, method)(reverse(name, args=key), sent)
                shown, after = text_of(answer), worlds.written()
            status = answer.status_code
            if status == 405:
                continue
            assert method == "get" or given, f"{name}: say in worlds.FORMS what it is sent"
            permission = MORE_TO_POST.get(name) if method == "post" else None
            here = f"{role}, {world.domain}: {method} {name} said {status}"
            if not roles.may(operator, permission or view.permission):
                assert status == 403, here
                assert after == before, here
            elif operator.scope is not None and world is both[1]:
                assert not keyed or status == 404, here
                assert after == before, here
                assert world.domain.name not in shown, here
            elif operator.scope is not None and name in worlds.OF_ALL_DOMAINS:
                assert status == 404, here
            else:
                assert status not in (403, 404), here
                acts = method == "post" and name in worlds.FORMS
                assert (after != before) == acts, here


@pytest.mark.parametrize("role", sorted(roles.IN_SCOPE))
def test_no_other_page_names_what_is_out_of_scope(
    role: str, both: tuple[worlds.World, worlds.World]
) -> None:
    client = signed_in(who(role, *both[0].names))
    for route, name, _view in PAGES:
        if not PAGES_NEED.get(name, "accounts.").startswith("accounts."):
            shown = text_of(client.get(address(route)))
            assert both[1].domain.name not in shown, name


def send_about(
    world: worlds.World, client: Client, name: str, path: str, operation: dict[str, Any]
) -> Any:
    """The call about something that is there."""
    if "{" in path:
        word = path.removeprefix(f"/{API}").partition("/")[0]
        fill = worlds.OTHER_PATHS.get(name) or worlds.PATHS.get(word)
        assert fill, f"{name}: say in worlds.PATHS what stands in its path"
        values = fill(world)
        for value in values if isinstance(values, tuple) else (values,):
            path = re.sub(r"\{\w+\}", str(value), path, count=1)
    assert "{" not in path, f"{name}: say in worlds.PATHS what stands in its path"
    given = worlds.BODIES.get(name)
    if given is None:
        assert name.startswith("GET") or name in worlds.OF_NO_DOMAIN, (
            f"{name}: say in worlds.BODIES what it is sent"
        )
        return send_to(client, name, path, operation)
    text = json.dumps(given(world))
    return client.generic(name.partition(" ")[0], path, text, "application/json")


@pytest.mark.parametrize("role", [role for role, _label in roles.CHOICES])
def test_a_call_about_accounts_is_for_those_in_whose_scope_they_are(
    role: str, both: tuple[worlds.World, worlds.World]
) -> None:
    operator = who(role, *both[0].names)
    client = with_token(operator)
    before = worlds.written()
    for name, path, operation in calls():
        if operation.get("tags") != ["accounts"]:
            continue
        for world in both:
            with undone():
                answer = send_about(world, client, name, path, operation)
                after = worlds.written()
            status = answer.status_code
            here = f"{role}, {world.domain}: {name} said {status}"
            if not roles.may(operator, str(CALLS[name])):
                assert status == 403, here
                assert after == before, here
            elif operator.scope is not None and world is both[1]:
                listed = "{" not in path and name.startswith("GET")
                assert status == (200 if listed else 404), here
                assert after == before, here
                assert world.domain.name not in text_of(answer), here
            else:
                assert status not in (403, 404), here
                if name in worlds.OF_NO_DOMAIN:
                    continue
                assert (after != before) == (not name.startswith("GET")), here
