"""Aliases: what is edited, when they end, what the pages and the API say."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import aliases, checks, due
from accounts.models import Alias, Change
from accounts.refusals import EditedMeanwhile
from accounts.tasks import expire_alias
from core.models import AuditEvent
from tests.accounts.conftest import AT
from tests.accounts.test_api import Api

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)


@pytest.fixture
def info(domain: Any, anna: Any) -> Alias:
    return aliases.create(
        domain=domain, local_part="info", targets=["anna@example.test"], by=None, at=AT
    )


def edit(alias: Alias, **differs: Any) -> Alias:
    said: dict[str, Any] = {
        "revision": alias.revision,
        "targets": alias.targets,
        "note": alias.note,
        "expires_at": alias.expires_at,
    }
    return aliases.edit(alias=alias, **{**said, **differs}, by=None, at=AT)


def told() -> int:
    return Change.objects.filter(subject="info@example.test").count()


def test_where_it_leads_is_changed_and_told(info: Alias) -> None:
    before = told()
    row = edit(info, targets=["Anna@example.test", "Far@elsewhere.example"])
    assert row.targets == ["anna@example.test", "Far@elsewhere.example"]
    assert (row.revision, told()) == (2, before + 1)
    event = AuditEvent.objects.get(action="accounts.alias.edited")
    assert event.detail == {
        "before": {"targets": ["anna@example.test"]},
        "after": {"targets": ["anna@example.test", "Far@elsewhere.example"]},
    }
    # A remark is nothing to the host, and the same again is nothing at all.
    row = edit(row, note="the front desk")
    assert told() == before + 1
    assert edit(row).revision == 3
    assert AuditEvent.objects.filter(action="accounts.alias.edited").count() == 2


def test_the_second_of_two_who_edit_is_told(info: Alias) -> None:
    seen = Alias.objects.get(pk=info.pk)
    edit(info, note="mine")
    with pytest.raises(EditedMeanwhile):
        edit(seen, targets=["far@elsewhere.example"])
    assert Alias.objects.get().targets == ["anna@example.test"]
    aliases.delete(alias=info, by=None, at=AT)
    with pytest.raises(aliases.AliasGone):
        edit(seen)


def test_an_edit_that_leads_in_a_circle_is_refused(domain: Any, info: Alias) -> None:
    aliases.create(domain=domain, local_part="desk", targets=["info@example.test"], by=None, at=AT)
    with pytest.raises(aliases.AliasLoop) as refused:
        edit(info, targets=["anna@example.test", "desk@example.test"])
    assert refused.value.path == ["info@example.test", "desk@example.test", "info@example.test"]
    with pytest.raises(aliases.TargetsMissing):
        edit(info, targets=[" "])
    assert Alias.objects.get(pk=info.pk).targets == ["anna@example.test"]


def test_one_for_a_time_is_deleted_by_nobody_when_it_is_over(info: Alias) -> None:
    with pytest.raises(checks.ExpiryRefused):
        edit(info, expires_at=AT)
    edit(info, expires_at=AT + DAY)
    before = told()
    assert not due.aliases_expired(AT)
    aliases.expire(info.pk, at=AT)  # a task that came too early, or for one that was extended
    assert Alias.objects.exists()
    assert list(due.aliases_expired(AT + DAY)) == [info]
    aliases.expire(info.pk, at=AT + DAY)
    assert not Alias.objects.exists() and told() == before + 1
    event = AuditEvent.objects.get(action="accounts.alias.expired")
    assert event.subject == "info@example.test"
    expire_alias(info.pk)  # delivered twice
    assert AuditEvent.objects.filter(action="accounts.alias.expired").count() == 1


def test_the_pages_edit_and_say_what_leaves(signed_in: Client, info: Alias) -> None:
    url = reverse("accounts:alias_edit", args=[info.pk])
    page = signed_in.get(url)
    assert page.context["form"].initial["targets"] == "anna@example.test"
    given = {
        "targets": "anna@example.test\nfar@elsewhere.example",
        "expires_at": "2999-01-31",
        "revision": 1,
    }
    listed = signed_in.post(url, given, follow=True).content.decode()
    assert "until 2999-01-31" in listed and listed.count(">Elsewhere<") == 1
    again = signed_in.post(url, {**given, "targets": "anna@example.test"}).content.decode()
    assert "Somebody else changed this alias" in again
    assert len(Alias.objects.get().targets) == 2
    wrong = signed_in.post(url, {**given, "revision": 2, "targets": "|/bin/sh"})
    assert wrong.context["form"].errors["targets"]


def test_the_api_makes_edits_and_deletes(owner: Any, viewer: Any, domain: Any, anna: Any) -> None:
    api = Api(owner, "accounts:read", "accounts:write")
    asked = {"address": "Info@example.test", "targets": ["anna@example.test"]}
    made = api("post", "/aliases", asked)
    assert made.status_code == 201 and made.json()["address"] == "info@example.test"
    path = "/aliases/info@example.test"
    assert api("post", "/aliases", asked).status_code == 409
    assert api("patch", path, {"revision": 1, "note": "desk"}).json()["targets"] == [
        "anna@example.test"
    ]
    assert api("patch", path, {"revision": 1, "note": "mine"}).status_code == 409
    assert api("get", "/aliases", q="info").json()["items"][0]["note"] == "desk"
    for method in ("patch", "delete"):
        for operator, scope in ((viewer, "accounts:write"), (owner, "accounts:read")):
            assert Api(operator, scope)(method, path, {"revision": 2}).status_code == 403
    assert api("delete", path).status_code == 204
    assert api("get", path).status_code == 404
