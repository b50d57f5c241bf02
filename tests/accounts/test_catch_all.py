"""Catch-alls: what they take, the circles they close, whose mail they must not show to whom."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import aliases, catch_all, closing, delta, lifecycle, protection
from accounts.models import Alias, Change, Domain, Mailbox
from accounts.protection import MailboxProtected
from accounts.refusals import AddressRefused, AddressTaken
from core.models import AuditEvent, Operator
from tests.accounts.conftest import AT, GOOD
from tests.accounts.test_api import Api
from tests.accounts.test_closing import confirm_who_it_is

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)
STAR = "*@example.test"


def make(domain: Domain, name: str, *targets: str, by: Operator | None = None) -> Alias:
    return aliases.create(domain=domain, local_part=name, targets=targets, by=by, at=AT)


@pytest.fixture
def star(domain: Domain, anna: Mailbox) -> Alias:
    return make(domain, " * ", "Anna@example.test")


def test_it_is_an_alias_of_its_domain_and_told_to_its_host(star: Alias) -> None:
    assert (star.address, star.is_catch_all) == (STAR, True)
    assert star.label == "everything else @example.test"
    assert delta.alias_line(star) == {"alias": {"address": STAR, "targets": ["anna@example.test"]}}
    assert Change.objects.filter(subject=STAR, kind="alias").count() == 1
    assert AuditEvent.objects.get(action="accounts.alias.created").subject == STAR


def test_one_a_domain_and_no_other_star(domain: Domain, star: Alias) -> None:
    with pytest.raises(AddressTaken):
        make(domain, "*", "far@else.test")
    for name in ("**", "a*", "*x"):
        with pytest.raises(AddressRefused):
            make(domain, name, "anna@example.test")
    with pytest.raises(AddressRefused):
        lifecycle.create(domain=domain, local_part="*", password=GOOD, by=None, at=AT)
    with pytest.raises(aliases.TargetRefused):
        make(domain, "info", STAR)


def test_what_reaches_what(domain: Domain, star: Alias) -> None:
    make(domain, "info", "anna@example.test")
    asked = [
        "anna@example.test", "anna+x@example.test", "info+x@example.test", "who@example.test",
        "who+x@example.test", "abuse@example.test", "postmaster+x@example.test", "who@else.test",
    ]  # fmt: skip
    assert catch_all.reached(asked) == {
        "anna+x@example.test": "anna@example.test",
        "info+x@example.test": "info@example.test",
        "who@example.test": STAR,
        "who+x@example.test": STAR,
        "postmaster+x@example.test": "postmaster@example.test",
    }


@pytest.mark.parametrize(
    ("targets", "path"),
    [
        (["who@example.test"], [STAR, "who@example.test", STAR]),
        (["anna@example.test", "who+x@example.test"], [STAR, "who+x@example.test", STAR]),
        (["info@example.test"], [STAR, "info@example.test", "gone@example.test", STAR]),
    ],
)
def test_a_target_that_nobody_has_leads_back(
    domain: Domain, anna: Mailbox, targets: list[str], path: list[str]
) -> None:
    make(domain, "info", "gone@example.test")
    with pytest.raises(aliases.AliasLoop) as refused:
        make(domain, "*", *targets)
    assert refused.value.path == path


def test_an_alias_that_leads_back_through_it_or_its_own_detail(domain: Domain) -> None:
    make(domain, "*", "info+all@other.test")
    other = Domain.objects.create(name="other.test", created_at=AT)
    with pytest.raises(aliases.AliasLoop) as refused:
        make(other, "info", "nobody@example.test")
    assert refused.value.path == [
        "info@other.test", "nobody@example.test", STAR, "info+all@other.test", "info@other.test",
    ]  # fmt: skip
    with pytest.raises(aliases.AliasLoop):
        make(other, "desk", "desk+x@other.test")
    make(other, "info", "abuse@example.test")


def test_an_account_is_made_beside_it_and_it_ends_as_others_do(star: Alias) -> None:
    lifecycle.create(domain=star.domain, local_part="ben", password=GOOD, by=None, at=AT)
    row = aliases.edit(
        alias=star, revision=1, targets=["ben@example.test"], note="", expires_at=AT + DAY,
        by=None, at=AT,
    )  # fmt: skip
    aliases.expire(row.pk, at=AT + DAY)
    assert not Alias.objects.exists()


@pytest.fixture
def shop(db: None) -> Domain:
    return Domain.objects.create(name="shop.test", created_at=AT)


@pytest.fixture
def manager(db: None) -> Operator:
    return Operator.objects.create_user("manager", role="domain_manager", domains=["shop.test"])


def test_it_does_not_catch_an_operators_mail_for_somebody_of_less(
    shop: Domain, anna: Mailbox, manager: Operator, owner: Operator
) -> None:
    ops = Operator.objects.create_user("ops", email="Ops+me@shop.test", role="auditor")
    with pytest.raises(MailboxProtected, match=r"\*@shop\.test"):
        make(shop, "*", "anna@example.test", by=manager)
    star = make(shop, "*", "anna@example.test", by=owner)
    # Now anna reads it: neither she nor the catch-all is the manager's to touch.
    assert {"*@shop.test", "anna@example.test"} <= protection.protected()
    with pytest.raises(MailboxProtected):
        aliases.delete(alias=star, by=manager, at=AT)
    make(shop, "ops", "far@else.test", by=owner)
    assert not {"*@shop.test", "anna@example.test"} & protection.protected()
    aliases.delete(alias=star, by=owner, at=AT)
    ops.is_active = False
    ops.save()
    make(shop, "*", "anna@example.test", by=manager)


def test_an_operators_own_mailbox_is_no_hindrance(shop: Domain, manager: Operator) -> None:
    Operator.objects.create_user("ops", email="ops@shop.test", role="auditor")
    lifecycle.create(domain=shop, local_part="ops", password=GOOD, by=None, at=AT)
    assert make(shop, "*", "far@else.test", by=manager).is_catch_all


def test_the_page_offers_it_and_warns(signed_in: Client, domain: Domain, anna: Mailbox) -> None:
    url = reverse("accounts:alias_new")
    given = {"domain": domain.pk, "targets": "anna@example.test\nfar@else.test", "local_part": ""}
    assert signed_in.post(url, given).context["form"].errors["local_part"]
    both = signed_in.post(url, {**given, "local_part": "info", "catch_all": "on"})
    assert both.context["form"].errors["local_part"]
    listed = signed_in.post(url, {**given, "catch_all": "on"}, follow=True).content.decode()
    assert listed.count("everything else @example.test") >= 2
    assert "All spam for made-up names is now forwarded to far@else.test" in listed
    star = Alias.objects.get()
    assert star.local_part == "*"
    edit = reverse("accounts:alias_edit", args=[star.pk])
    assert "catch-all" in signed_in.get(edit).content.decode()
    given = {"targets": "anna@example.test", "revision": 1}
    assert "All spam" not in signed_in.post(edit, given, follow=True).content.decode()


def test_the_api_takes_a_star(owner: Any, domain: Domain, anna: Mailbox) -> None:
    api = Api(owner, "accounts:read", "accounts:write")
    asked = {"address": "*@Example.test", "targets": ["anna@example.test"]}
    assert api("post", "/aliases", asked).json()["address"] == STAR
    assert api("get", f"/aliases/{STAR}").json()["targets"] == ["anna@example.test"]
    assert api("patch", f"/aliases/{STAR}", {"revision": 1, "note": "old site"}).status_code == 200
    assert api("delete", f"/aliases/{STAR}").status_code == 204
    assert api("get", f"/aliases/{STAR}").status_code == 404
    assert api("get", "/aliases/*@*").status_code == 404


def test_who_erases_is_told_that_it_takes_the_mail(
    signed_in: Client, star: Alias, domain: Domain
) -> None:
    """An erased address is not handed on, but a catch-all takes what is sent to it."""
    bert = lifecycle.create(domain=domain, local_part="bert", password=GOOD, by=None, at=AT)
    closing.close(mailbox=bert, days=0, by=None, at=AT)
    confirm_who_it_is(signed_in)
    asked = signed_in.get(reverse("accounts:erase", args=[bert.pk])).content.decode()
    assert "has a catch-all: mail to the address arrives there" in asked
    closing.erase(mailbox=bert, typed=bert.address, by=None, at=AT)
    page = reverse("accounts:mailbox", args=[bert.pk])
    shown = signed_in.get(page).content.decode()
    assert "arrives there" in shown and "nobody gets mail" not in shown
    aliases.delete(alias=star, by=None, at=AT)
    shown = signed_in.get(page).content.decode()
    assert "arrives there" not in shown and "nobody gets mail" in shown
