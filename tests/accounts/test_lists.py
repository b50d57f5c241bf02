"""The lists of many accounts: few queries whatever the page, and in scope however wide it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import flags
from accounts.models import Alias, Domain, Flag, Mailbox, scope
from core.models import Operator

from .conftest import AT

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
QUERIES = 10
DOMAINS = ("a.test", "b.test", "c.test")
EACH = 60  # more than a page
SORTS = ("address", "-address", "id", "-id", "used", "-used")


@pytest.fixture
def rows(db: None) -> None:
    """Three domains with 60 mailboxes, flags and aliases each; every second was used."""
    for name in DOMAINS:
        domain = Domain.objects.create(name=name, created_at=AT)
        Mailbox.objects.bulk_create(
            Mailbox(
                domain=domain, local_part=f"m{n}", address=f"m{n}@{name}", password="x",
                last_used_at=AT if n % 2 else None, search_text=f"m{n}@{name} somebody",
                state="suspended" if n % 3 == 0 else "active", password_set_at=AT,
                state_since=AT, created_at=AT,
            )
            for n in range(EACH)
        )  # fmt: skip
        Alias.objects.bulk_create(
            Alias(
                domain=domain, local_part=f"a{n}", address=f"a{n}@{name}", created_at=AT,
                targets=[f"m{n}@{name}"],
            )
            for n in range(EACH)
        )  # fmt: skip
    flags.refresh(at=timezone.now())


def client_of(**fields: Any) -> Client:
    operator = Operator.objects.create_user(username=f"the-{fields['role']}", **fields)
    client = Client()
    client.force_login(operator, backend=BACKEND)
    return client


@pytest.fixture(params=["all", "narrow", "wide"])
def client(request: pytest.FixtureRequest, rows: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An owner, and a manager of two domains, few or (so it is said) many mailboxes in scope."""
    if request.param == "all":
        return client_of(role="owner")
    monkeypatch.setattr(scope, "WIDE", 10 if request.param == "wide" else 5000)
    return client_of(role="domain_manager", domains=["a.test", "c.test"])


def pages(client: Client, address: str) -> Iterator[Any]:
    """Each page of a list, none of them with more queries than there may be."""
    following: Any = ""
    while following is not None:
        with CaptureQueriesContext(connection) as seen:
            answer = client.get(f"{address}&after={following}" if following else address)
        assert answer.status_code == 200
        assert len(seen) <= QUERIES, [query["sql"][:200] for query in seen]
        yield answer.context["page"]
        following = answer.context["page"].next


ADDRESSES = [
    *(f"/accounts/?sort={sort}" for sort in SORTS),
    *(f"/accounts/?q=somebody&state=active&sort={sort}" for sort in SORTS),
    *(f"/accounts/?domain=a.test&sort={sort}" for sort in SORTS),
    "/accounts/flags/?",
    "/accounts/flags/?kind=no_owner",
    "/accounts/aliases/?",
    "/accounts/aliases/?q=a1",
    "/accounts/domains/?",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_needs_few_queries(client: Client, address: str) -> None:
    shown = sum(len(page) for page in pages(client, address))
    assert shown >= 2


def test_a_wide_scope_shows_what_a_narrow_one_does(
    rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(role="domain_manager", domains=["a.test", "c.test"])
    found = {}
    for wide in (5000, 119, 0):
        monkeypatch.setattr(scope, "WIDE", wide)
        for address in ADDRESSES:
            here = [row.pk for page in pages(client, address) for row in page]
            assert found.setdefault(address, here) == here
    mine = Mailbox.objects.filter(domain__name__in=["a.test", "c.test"])
    assert sorted(found["/accounts/?sort=used"]) == sorted(mine.values_list("pk", flat=True))
    flagged = Flag.objects.filter(mailbox__in=mine, mailbox__state="active")
    assert sorted(found["/accounts/flags/?"]) == sorted(flagged.values_list("pk", flat=True))


def test_a_scope_without_domains_shows_nothing(rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "WIDE", 0)
    client = client_of(role="helpdesk", domains=[])
    for address in ("/accounts/?", "/accounts/flags/?"):
        assert not [row for page in pages(client, address) for row in page]
