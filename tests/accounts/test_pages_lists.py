"""The list of accounts: filters, orders, search and pages."""

from typing import Any

from django.test import Client
from django.urls import reverse

from accounts import domains, lifecycle
from accounts.models import Mailbox

from .conftest import AT
from .pages import several


def test_filters_sorting_and_search(signed_in: Client, domain: Any, anna: Any) -> None:
    other = domains.create(name="exämple.test", by=None, at=AT)
    several(other, "anna", "zoe")
    lifecycle.suspend(mailbox=Mailbox.objects.get(local_part="zoe"), by=None, at=AT)

    def shown(**given: str) -> list[str]:
        response = signed_in.get(reverse("accounts:mailboxes"), given)
        assert response.status_code == 200
        return [row.unicode_address for row in response.context["page"]]

    every = ["anna@example.test", "anna@exämple.test", "zoe@exämple.test"]
    assert shown() == every
    assert shown(sort="-address") == every[::-1]
    assert shown(sort="-id") == every[::-1]
    assert shown(state="suspended") == ["zoe@exämple.test"]
    assert shown(domain="example.test") == ["anna@example.test"]
    assert shown(q="ANNA") == every[:2]
    assert shown(q="exämple") == every[1:]
    assert shown(q="anna@exämple.test") == [every[1]]
    assert shown(q="zoe anna") == []
    assert shown(q="%") == [] and shown(q="'; --") == []
    assert shown(state="nonsense", sort="password", domain="nonsense") == every


def test_pages_follow_one_another(signed_in: Client, domain: Any) -> None:
    Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain,
            local_part=f"m{n:03}",
            address=f"m{n:03}@example.test",
            password="{ARGON2ID}x",
            password_set_at=AT,
            state_since=AT,
            created_at=AT,
        )
        for n in range(120)
    )
    seen: list[str] = []
    after: Any = None
    for _ in range(4):
        response = signed_in.get(reverse("accounts:mailboxes"), {"after": after} if after else {})
        page = response.context["page"]
        seen += [row.address for row in page]
        after = page.next
        if not after:
            break
    assert len(seen) == 120 and seen == sorted(seen)
    response = signed_in.get(reverse("accounts:mailboxes"), {"before": seen[100]})
    assert [row.address for row in response.context["page"]] == seen[50:100]
