"""Last uses: what a host tells, kept on mailboxes."""

import datetime

import pytest
from django.urls import reverse

from accounts import lifecycle, usage
from accounts.forms import FilterForm
from accounts.models import Change, Evidence, LastUse, Mailbox
from accounts.usage import Use
from core.models import AuditEvent
from core.paging import page_of
from tests.accounts.conftest import AT, GOOD, HOST
from tests.accounts.test_api import Api

pytestmark = pytest.mark.django_db

LATER = AT + datetime.timedelta(days=9)
SINCE = AT - datetime.timedelta(days=1)


def day(number: int) -> datetime.datetime:
    return AT + datetime.timedelta(days=number)


def record(*uses: tuple[str, str, datetime.datetime], **differs):
    given = {
        "host": HOST, "recording": {"imap": SINCE, "pop3": SINCE}, "through": LATER,
        "cursor": "77", "at": LATER,
    }  # fmt: skip
    return usage.record_use(uses=[Use(*each) for each in uses], **{**given, **differs})


def kept(mailbox: Mailbox) -> dict[str, datetime.datetime]:
    return dict(LastUse.objects.filter(mailbox=mailbox).values_list("protocol", "at"))


def test_the_newest_of_each_protocol_counts(anna):
    a = anna.address
    assert record((a, "imap", day(2)), (a, "imap", day(4)), (a, "smtp", day(3))) == 2
    assert record((a, "imap", day(1)), (a, "smtp", day(5)), (a, "lmtp", day(6))) == 1
    assert kept(anna) == {"imap": day(4), "smtp": day(5)}
    anna.refresh_from_db()
    assert anna.last_used_at == day(5)


def test_a_use_is_no_act(anna):
    before = AuditEvent.objects.count(), Change.objects.count(), anna.revision
    record((anna.address, "imap", day(2)))
    anna.refresh_from_db()
    assert (AuditEvent.objects.count(), Change.objects.count(), anna.revision) == before


def test_strangers_and_mailboxes_of_another_host_are_left_out(anna):
    assert record(("nobody@example.test", "imap", day(2))) == 0
    assert record((anna.address, "imap", day(2)), host="another") == 0
    assert kept(anna) == {}


def test_what_a_former_owner_did_is_not_this_mailboxes(anna):
    record((anna.address, "imap", day(-3)))
    assert kept(anna) == {}


def test_a_clock_that_is_ahead_makes_no_use_of_tomorrow(anna):
    record((anna.address, "imap", day(400)))
    assert kept(anna) == {"imap": LATER}


def test_more_than_one_chunk(domain, owner, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(usage, "CHUNK", 2)
    boxes = [
        lifecycle.create(domain=domain, local_part=f"p{n}x", password=GOOD, by=owner, at=AT)
        for n in range(5)
    ]
    assert record(*[(box.address, "imap", day(1)) for box in boxes]) == 5
    assert Mailbox.objects.filter(last_used_at=day(1)).count() == 5


def test_evidence_says_since_when_and_ends_when_nobody_writes(anna):
    record()
    assert set(Evidence.objects.values_list("protocol", "since", "cursor")) == {
        ("imap", SINCE, "77"),
        ("pop3", SINCE, "77"),
    }
    assert usage.cursor_of(HOST) == "77"
    assert usage.cursor_of("another") == ""
    record(recording={"smtp": SINCE})
    assert list(Evidence.objects.values_list("protocol", flat=True)) == ["smtp"]


def test_before_the_mailbox_was_made_there_is_nothing_to_know(anna):
    record((anna.address, "imap", day(2)))
    told = {each.protocol: each for each in usage.shown(anna)}
    assert (told["imap"].at, told["imap"].since) == (day(2), AT)
    assert (told["pop3"].at, told["pop3"].since) == (None, AT)
    assert (told["smtp"].at, told["smtp"].since) == (None, None)


def test_the_page_and_the_list_show_it(client, owner, anna):
    client.force_login(owner)
    url = reverse("accounts:mailbox", args=[anna.pk])
    assert "has not told of any logins yet" in client.get(url).content.decode()
    record((anna.address, "imap", day(2)))
    page = client.get(url).content.decode()
    assert f'datetime="{day(2):%Y-%m-%d}' in page
    assert "no evidence from before" in page
    assert "none seen" in page  # POP3 is watched
    assert "not known" in page  # SMTP is not
    assert "has not told of any logins yet" not in page
    listed = client.get(reverse("accounts:mailboxes")).content.decode()
    assert "Last used" in listed
    assert f'datetime="{day(2):%Y-%m-%d}' in listed


@pytest.mark.parametrize("sort", ["used", "-used"])
def test_the_list_by_last_use_shows_everybody_once(domain, owner, sort):
    names = ["never1", "twin1", "twin2", "newest", "never2"]
    boxes = {
        name: lifecycle.create(domain=domain, local_part=name, password=GOOD, by=owner, at=AT)
        for name in names
    }
    record(
        *[(boxes[name].address, "imap", day(3)) for name in ("twin1", "twin2")],
        (boxes["newest"].address, "imap", LATER + datetime.timedelta(seconds=9)),
        at=LATER + datetime.timedelta(microseconds=5),
    )
    order = FilterForm.ORDERS[sort]
    seen, after = [], ""
    while after is not None:
        page = page_of(Mailbox.objects.all(), {"after": after}, order=order, size=2)
        seen += [row.local_part for row in page]
        after = page.next
    expected = ["never1", "never2", "twin1", "twin2", "newest"]
    assert seen == (expected if sort == "used" else expected[::-1])


def test_the_list_takes_the_order(client, owner, anna):
    client.force_login(owner)
    for order in ("used", "-used"):
        found = client.get(reverse("accounts:mailboxes"), {"sort": order}).content.decode()
        assert anna.address in found
        assert f'value="{order}" selected' in found


def test_the_api_tells_each_protocol(anna, owner):
    record((anna.address, "imap", day(2)))
    api = Api(owner, "accounts:read")
    found = api("get", f"/mailboxes/{anna.address}/uses").json()
    assert [each["protocol"] for each in found] == ["imap", "pop3", "smtp"]
    assert [bool(each["at"]) for each in found] == [True, False, False]
    assert [bool(each["since"]) for each in found] == [True, True, False]
    assert api("get", f"/mailboxes/{anna.address}").json()["last_used_at"]
    assert Api(owner, "accounts:write")("get", f"/mailboxes/{anna.address}/uses").status_code == 403
