"""What mail takes: kept as hosts tell it, shown with the quota."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import closing, lifecycle, usage
from accounts.models import Change, Mailbox
from accounts.usage import Size
from core.models import AuditEvent
from tests.accounts.conftest import AT, GOOD, HOST
from tests.accounts.test_api import Api

pytestmark = pytest.mark.django_db
MB = 1024 * 1024
NOW = AT + datetime.timedelta(hours=1)


def told(*sizes: tuple[str, int, datetime.datetime], host: str = HOST) -> int:
    return usage.record_sizes(sizes=[Size(*each) for each in sizes], host=host, at=NOW)


def second(n: int) -> datetime.datetime:
    return AT + datetime.timedelta(seconds=n)


def test_the_newest_of_each_is_kept_and_the_same_again_is_nothing(anna: Mailbox) -> None:
    before = (AuditEvent.objects.count(), Change.objects.count())
    assert told((anna.address, 900, second(9)), (anna.address, 500, second(5))) == 1
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.used_at, anna.revision) == (900, second(9), 1)
    assert told((anna.address, 900, second(9))) == 0
    assert (AuditEvent.objects.count(), Change.objects.count()) == before, "evidence, not an act"


def test_less_is_kept_as_well_as_more(anna: Mailbox) -> None:
    told((anna.address, 500, second(5)))
    told((anna.address, 0, second(6)))
    anna.refresh_from_db()
    assert anna.used_bytes == 0


def test_what_is_not_theirs_is_left_out(anna: Mailbox) -> None:
    assert told((anna.address, 5, second(1)), host="another") == 0
    assert told((anna.address, 5, second(-3600)), ("who@example.test", 5, second(1))) == 0
    anna.refresh_from_db()
    assert anna.used_bytes is None
    # A clock that is ahead does not make it of tomorrow.
    told((anna.address, 5, NOW + datetime.timedelta(days=1)))
    anna.refresh_from_db()
    assert anna.used_at == NOW


def test_many_go_in_pieces(domain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "CHUNK", 2)
    for n in range(5):
        lifecycle.create(domain=domain, local_part=f"user{n}", password=GOOD, by=None, at=AT)
    assert told(*((f"user{n}@example.test", n, second(1)) for n in range(5))) == 5
    kept = Mailbox.objects.order_by("address").values_list("used_bytes", flat=True)
    assert list(kept) == [0, 1, 2, 3, 4]


def test_an_erased_one_takes_nothing(anna: Mailbox) -> None:
    told((anna.address, 500, second(5)))
    closing.close(mailbox=anna, days=0, by=None, at=NOW)
    row = closing.erase(mailbox=anna, typed=anna.address, by=None, at=NOW)
    assert (row.used_bytes, row.used_at) == (None, None)
    assert told((anna.address, 500, second(6))) == 0


@pytest.mark.parametrize(
    ("used", "quota", "percent", "fullness", "shown"),
    [
        (None, None, None, "", "no limit"),
        (None, 5120, None, "", "5,120 MB"),
        (1300 * MB, None, None, "", "1.3\xa0GB, no limit"),
        (1300 * MB, 5120, 25, "", "1.3\xa0GB of 5.0\xa0GB"),
        (89 * MB, 100, 89, "", "89.0\xa0MB of 100.0\xa0MB"),
        (90 * MB, 100, 90, "nearly", "nearly full"),
        (100 * MB, 100, 100, "full", "New mail is refused"),
        (109 * MB, 100, 109, "full", "109.0\xa0MB of 100.0\xa0MB"),
    ],
)
def test_the_page_and_the_list_say_how_full_it_is(
    signed_in: Client, anna: Mailbox, used: int | None, quota: int | None, percent: int | None,
    fullness: str, shown: str,
) -> None:  # fmt: skip
    Mailbox.objects.update(used_bytes=used, used_at=NOW if used else None, quota_mb=quota)
    anna.refresh_from_db()
    assert (anna.used_percent, anna.fullness) == (percent, fullness)
    page = signed_in.get(reverse("accounts:mailbox", args=[anna.pk])).content.decode()
    assert shown in page
    assert ("progress-line" in page) is (percent is not None)
    if percent is not None:
        assert f'data-width="{min(percent, 100)}"' in page
    listed = signed_in.get(reverse("accounts:mailboxes")).content.decode()
    if not shown.startswith("New"):
        assert shown in listed


def test_the_api_says_it(owner: Any, anna: Mailbox) -> None:
    told((anna.address, 500, second(5)))
    said = Api(owner, "accounts:read")("get", f"/mailboxes/{anna.address}").json()
    assert (said["used_bytes"], said["used_at"]) == (500, "2026-11-24T09:00:05Z")
