"""Finding certificates: what is typed, filters, orders, pages, CSV, and acts on what is ticked."""

from __future__ import annotations

import csv
import io
import secrets
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from ca import bulk, lists, records, selection, sought, tasks
from ca.models import Certificate, Issuer, RevocationList, search_text
from ca.pages import listing as views
from core import search
from core.models import AuditEvent, Operator
from tests.ca.conftest import request_for

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "number", "groups"),
    [
        ("mail1 Example", "", (("mail1",), ("example",))),
        ("4F0A12", "4f0a12", (("4f0a12",),)),
        ("0x4f", "4f", ()),
        ("4f:0a:12", "4f0a12", (("4f:0a:12",),)),
        ("4f 0a 12 ff", "4f0a12ff", ()),
        ("2001:db8::1", "", (("2001:db8::1",),)),
        ("01", "01", (tuple(before + "01" for before in " .@-_"),)),
        ("郵件", "", (("郵郵郵件件件",),)),
        ("件.t", "", (("件.t",),)),
        ("ＭＡＩＬ", "", (("mail",),)),
        ("x", "", ()),
        ("\x00\x07", "", ()),
        ("0x", "", (tuple(before + "0x" for before in " .@-_"),)),
    ],
)
def test_what_is_typed(text: str, number: str, groups: tuple[tuple[str, ...], ...]) -> None:
    found = sought.read(text)
    assert (found.number, found.groups) == (number, groups)


@pytest.fixture
def put(issuing: Issuer, now):  # type: ignore[no-untyped-def]
    """Rows like signed ones, without the signing."""

    def make(*names: str, **changes: object) -> Certificate:
        common = names[0] if names else "nobody"
        fields = {
            "issuer": issuing,
            "profile": "host",
            "state": "valid",
            "serial": secrets.token_hex(19),
            "subject": f"CN={common}",
            "names": list(names),
            "key_id": "0" * 64,
            "key_label": "P-256",
            "fingerprint_sha256": secrets.token_hex(32),
            "fingerprint_sha1": secrets.token_hex(20),
            "not_before": now,
            "not_after": now + timedelta(days=90),
            "issued_at": now,
            "pem": "",
            "search": search_text([*names, *records._shown(names)]),
        }
        return Certificate.objects.create(**(fields | changes))

    return make


def found(at, **asked: object) -> list[str]:  # type: ignore[no-untyped-def]
    """Titles in the order of the list, over pages of two."""
    titles: list[str] = []
    following: str | None = ""
    while following is not None:
        page = lists.page_of(lists.Asked(**asked), {"after": following}, at=at, size=2)  # type: ignore[arg-type]
        titles += [row.title for row in page]
        following = page.next
    return titles


@pytest.mark.parametrize("rare", [0, 2000])
def test_by_words_and_numbers(rare: int, put, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The same is found whether the words are rare or common."""
    monkeypatch.setattr(search, "RARE", rare)
    monkeypatch.setattr(lists, "RARE", rare)
    put("mail1.example.test", "imap.example.test", serial="4f0a12ff", not_after=now)
    put("mail2.example.test", serial="1", not_after=now + timedelta(days=1))
    put("tw.deadbeef.test", fingerprint_sha1="4f0a99" + "0" * 34, not_after=now + timedelta(days=2))
    put("xn--5nqv22n.example.test", not_after=now + timedelta(days=3))
    last = put("*.under_score.test", not_after=now + timedelta(days=4))
    mail1, mail2, tw, idn = (
        "mail1.example.test", "mail2.example.test", "tw.deadbeef.test", "xn--5nqv22n.example.test",
    )  # fmt: skip
    for text, titles in (
        ("example", [mail1, mail2, idn]),
        ("imap MAIL1", [mail1]),
        ("mail1 mail2", []),
        ("ail1.exa", [mail1]),
        ("4f:0A", [mail1, tw]),
        ("0x4f0a1", [mail1]),
        ("4f0a99", [tw]),
        ("1", [mail2]),
        ("01", [mail2]),
        ("deadbeef", [tw]),
        ("tw", [tw]),
        ("郵件", [idn]),
        ("郵", [idn]),
        ("郵件.example", [idn]),
        (last.fingerprint_sha256[:30], [last.title]),
        ("under_score", [last.title]),
        ("under-score", []),
        ("%", []),
        ('"example" OR "mail"', []),
        ("x", []),
    ):
        assert found(now - timedelta(1), q=text) == titles, text
        assert found(now - timedelta(1), q=text, order="latest") == titles[::-1], text
        assert found(now - timedelta(1), q=text, order="newest") == titles[::-1], text


@pytest.mark.parametrize("rare", [0, 2000])
def test_filters_and_orders(rare: int, put, issuing, now, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(search, "RARE", rare)
    monkeypatch.setattr(lists, "RARE", rare)
    day = timedelta(days=1)
    put("c.example.test", not_after=now + 3 * day)
    put("a.example.test", not_after=now + 1 * day)
    put("b.example.test", not_after=now + 2 * day, profile="person")
    gone = {"revoked_at": now, "revocation_reason": "superseded"}
    put("old.example.test", not_after=now - day)
    put("gone.example.test", not_after=now + 40 * day, state="revoked", **gone)
    put("held.example.test", not_after=now + 50 * day, state="held", **gone)
    put("console.example.test", not_after=now + day, profile="ocsp")

    def short(**asked: object) -> str:
        return " ".join(title.split(".")[0] for title in found(now, **asked))

    assert short() == "old a b c gone held", "authorities and the console's own are not listed"
    assert short(order="latest") == "held gone c b a old"
    assert short(order="newest") == "held gone old b a c"
    for order, valid in (("", "a b c"), ("latest", "c b a"), ("newest", "b a c")):
        assert short(state="valid", order=order) == valid
    assert short(state="ending", days=2) == "a b"
    assert short(state="ending", days=0) == ""
    assert short(state="expired") == short(state="expired", order="newest") == "old"
    assert short(state="revoked") == "gone" and short(state="held") == "held"
    assert short(state="held", issuer=issuing.pk) == "held"
    assert short(state="held", issuer=issuing.pk + 999) == ""
    assert short(profile="ocsp") == "console" and short(profile="person", q="example") == "b"
    assert short(profile="root") == "Example Root"
    first = (now + day).date()
    assert short(since=first, until=first) == "a"
    assert short(since=first) == "a b c gone held" and short(until=first) == "old a"
    assert short(until=date.max) == short() and short(since=date.max) == ""
    assert short(q="example", state="valid", order="newest") == "b a c"
    assert short(q="a.example", since=first, state="valid", issuer=issuing.pk) == "a"


def test_many_that_end_in_one_second(put, now) -> None:  # type: ignore[no-untyped-def]
    names = [f"host{number}.example.test" for number in range(7)]
    for name in names:
        put(name, not_after=now.replace(microsecond=0))
    for asked in ({}, {"q": "host"}, {"q": "example host"}):
        assert found(now, **asked) == names
        assert found(now, order="latest", **asked) == names[::-1]
    page = lists.page_of(lists.Asked(q="host"), {}, at=now, size=3)
    second = lists.page_of(lists.Asked(q="host"), {"after": page.next}, at=now, size=3)
    back = lists.page_of(lists.Asked(q="host"), {"before": second.previous}, at=now, size=3)
    assert [row.title for row in back] == names[:3] and back.previous is None


def test_a_search_is_read_off_the_index(put, now) -> None:  # type: ignore[no-untyped-def]
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL's planner knows its rows")
    rows = lists.rows_of(lists.Asked(q="example"), at=now)
    plan = lists._following(rows, (now, 1), order="", upwards=True)[:51].explain()
    assert "VIRTUAL TABLE" in plan and "TEMP B-TREE" not in plan, plan
    walked = lists.page_of(lists.Asked(), {}, at=now)
    plan = lists._following(lists.rows_of(lists.Asked(), at=now), None, order="", upwards=True)
    assert "ca_cert_by_end" in plan[:51].explain() and "TEMP" not in plan[:51].explain()
    assert walked.rows == []


def test_the_page_and_its_limits(
    put, now, signed_in: Client, django_assert_max_num_queries
) -> None:  # type: ignore[no-untyped-def]
    for number in range(3):
        put(f"host{number}.example.test", state="valid")
    list_page = reverse("ca:certificates")
    query = {"q": "host", "state": "valid", "profile": "host", "since": f"{now:%Y-%m-%d}"}
    signed_in.get(list_page, query)
    with django_assert_max_num_queries(10):
        answer = signed_in.get(list_page, query)
    page = answer.content.decode()
    assert page.count('name="certificate"') == 3 and "<details" in page and " open" in page
    assert "q=host" in page[page.index("certificates.csv") :][:100], (
        "the download keeps the filters"
    )
    bad = signed_in.get(list_page, {"since": "tomorrow", "issuer": "x", "state": "valid"})
    assert bad.status_code == 200 and "valid date" in bad.content.decode()
    assert len(bad.context["rows"]) == 3, "what makes sense is still asked for"
    nothing = signed_in.get(list_page, {"q": "absent"}).content.decode()
    assert "No certificate matches" in nothing


def test_csv_is_the_whole_list_without_formulas(put, now, signed_in: Client, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(lists, "CHUNK", 2)
    for number in range(5):
        put(f"host{number}.example.test", not_after=now + timedelta(days=number + 1))
    put("=cmd|' /C calc'!A0", "@x.example.test")
    put("gone.example.test", state="held", revoked_at=now, revocation_reason="certificateHold")
    answer = signed_in.get(reverse("ca:csv"))
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff") and "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(text[1:])))
    assert [row["name"] for row in rows][:5] == [
        f"host{number}.example.test" for number in range(5)
    ]
    assert len(rows) == 7
    formula = next(row for row in rows if "cmd" in row["name"])
    assert formula["name"].startswith("'=") and formula["names"].startswith("'=")
    assert rows[-1]["reason"] == "certificateHold" and rows[-1]["issuer"] == "Example Issuing"
    some = signed_in.get(reverse("ca:csv"), {"q": "host3", "state": "valid"})
    assert b"".join(some.streaming_content).count(b"\r\n") == 2
    assert signed_in.get(reverse("ca:csv"), {"since": "x"}).status_code == 302
    for cell in ("-1+1", "+1", "\tx", "\rx", "@a", "=1"):
        assert views.plain(cell) == "'" + cell
    assert views.plain("mail-1.example.test") == "mail-1.example.test"


def test_revoke_what_is_ticked(put, issuing, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    rows = [put(f"host{number}.example.test") for number in range(3)]
    old = put("old.example.test", not_after=now - timedelta(days=1))
    ids = [row.pk for row in (*rows, old)] + [issuing.certificate_id]
    back = reverse("ca:certificates") + "?q=host"
    asked = {"verb": "revoke", "certificate": ids, "next": back}
    page = signed_in.post(reverse("ca:selected"), asked).content.decode()
    assert "Revoke 3 certificates?" in page and "2 more were ticked" in page
    assert not AuditEvent.objects.filter(action="ca.certificate.revoked_many").exists()
    sure = asked | {"sure": "yes", "reason": "keyCompromise"}
    assert signed_in.post(reverse("ca:selected"), sure).url == back
    assert {row.state for row in Certificate.objects.filter(pk__in=[row.pk for row in rows])} == {
        "revoked"
    }
    old.refresh_from_db()
    issuing.certificate.refresh_from_db()
    assert (old.state, issuing.certificate.state) == ("valid", "valid")
    event = AuditEvent.objects.get(action="ca.certificate.revoked_many")
    serials = sorted(row.serial for row in rows)
    assert event.detail["sha256"] == bulk.digest(serials) and event.detail["serials"] == serials
    assert RevocationList.objects.get(issuer=issuing).stale_at is not None
    again = signed_in.post(reverse("ca:selected"), sure, follow=True).content.decode()
    assert "0 certificates are revoked" in again or "None of the ticked" in again


def test_hold_and_release_what_is_ticked(put, owner, now) -> None:  # type: ignore[no-untyped-def]
    rows = [put(f"host{number}.example.test") for number in range(2)]
    ids = [row.pk for row in rows]
    assert selection.hold(certificates=ids, by=owner, at=now) == selection.Done(2, 0)
    assert selection.hold(certificates=ids, by=owner, at=now) == selection.Done(0, 2)
    assert selection.release(certificates=[*ids, 999], by=owner, at=now) == selection.Done(2, 1)
    rows[0].refresh_from_db()
    assert (rows[0].state, rows[0].revoked_at, rows[0].released_at) == ("valid", None, now)
    assert AuditEvent.objects.filter(action__endswith="_many").count() == 2


def test_what_is_not_done_to_many(put, owner, viewer, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    row = put("a.example.test")
    for ids, code in (([], "none_selected"), (list(range(1, 502)), "too_many_selected")):
        with pytest.raises(selection.SelectionRefused) as refused:
            selection.hold(certificates=ids, by=owner, at=now)
        assert refused.value.code == code
    with pytest.raises(selection.revocation.NotRevocable):
        selection.revoke(certificates=[row.pk], reason="boredom", by=owner, at=now)
    page = signed_in.post(reverse("ca:selected"), {"verb": "revoke"}, follow=True).content.decode()
    assert "tick certificates first" in page
    evil = {"verb": "hold", "certificate": row.pk, "sure": "y", "next": "https://elsewhere.test/"}
    assert signed_in.post(reverse("ca:selected"), evil).url == reverse("ca:certificates")
    assert signed_in.get(reverse("ca:selected")).status_code == 405
    signed_in.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert signed_in.post(reverse("ca:selected"), evil).status_code == 403
    assert "data-select-all" not in signed_in.get(reverse("ca:certificates")).content.decode()


def test_the_pages_of_a_batch(issuing: Issuer, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    assert "No batch yet" in signed_in.get(reverse("ca:batches")).content.decode()
    both = request_for("a.example.test") + "text\n" + request_for("mail.elsewhere.test")
    fields = {"csrs": both, "profile": "host", "days": "90", "issuer": str(issuing.pk)}
    assert signed_in.get(reverse("ca:new_batch")).status_code == 200
    refused = signed_in.post(reverse("ca:new_batch"), fields | {"csrs": "garbage"})
    assert refused.status_code == 422 and "no certificate request in it" in refused.content.decode()
    answer = signed_in.post(reverse("ca:new_batch"), fields)
    batch = issuing.batches.get()
    assert answer.url == reverse("ca:batch", args=[batch.pk])
    assert 'hx-trigger="every' in signed_in.get(answer.url).content.decode()
    tasks.sign_batch(batch.pk)
    part = signed_in.get(answer.url, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every' not in part and "may only sign for" in part and "Request 2" in part
    pem = signed_in.get(reverse("ca:batch_download", args=[batch.pk, "pem"]))
    assert b"".join(pem.streaming_content) == batch.certificates.get().pem.encode()
    packed = signed_in.get(reverse("ca:batch_download", args=[batch.pk, "zip"]))
    assert packed.content.startswith(b"PK") and b"a.example.test" in packed.content
    assert signed_in.get(reverse("ca:batch_download", args=[batch.pk, "exe"])).status_code == 404
    listed = signed_in.get(reverse("ca:certificates"), {"batch": batch.pk})
    assert len(listed.context["rows"]) == 1
    assert f"/batches/{batch.pk}/" in signed_in.get(reverse("ca:batches")).content.decode()


def test_calls(issuing: Issuer, owner, viewer, put, now, client: Client) -> None:  # type: ignore[no-untyped-def]
    from core.api_auth import create_token

    def call(method: str, path: str, body: object = None, by: Operator = owner):  # type: ignore[no-untyped-def]
        import json

        scopes = ["ca:read", "ca:issue"]
        _token, secret = create_token(name="t", scopes=scopes, expires_at=None, by=by, at=now)
        return client.generic(
            method,
            f"/api/v1{path}",
            data=json.dumps(body) if body is not None else "",
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )

    body = {"issuer": issuing.pk, "pem": request_for("a.example.test") + request_for("b.b.test")}
    assert call("POST", "/certificates/batches", body, by=viewer).status_code == 403
    assert call("POST", "/certificates/batches", body | {"days": 900}).status_code == 422
    asked = call("POST", "/certificates/batches", body)
    assert asked.status_code == 202 and asked.json()["total"] == 2
    path = f"/certificates/batches/{asked.json()['id']}"
    tasks.sign_batch(asked.json()["id"])
    batch = call("GET", path).json()
    assert (batch["state"], batch["signed"], batch["refused"][0]["index"]) == ("done", 1, 1)
    assert "may only sign for" in batch["refused"][0]["reason"]
    assert b"BEGIN CERTIFICATE" in b"".join(call("GET", f"{path}/download/pem").streaming_content)

    ids = [put(f"host{number}.example.test").pk for number in range(2)]
    listed = call("GET", "/certificates?q=host&state=ending&days=100&order=newest").json()
    assert [each["id"] for each in listed["items"]] == ids[::-1]
    assert call("GET", "/certificates?since=2020-01-01&until=2020-02-01").json()["items"] == []
    assert call("GET", "/certificates?state=magic").status_code == 422
    of_batch = call("GET", f"/certificates?batch={batch['id']}").json()
    assert [each["names"] for each in of_batch["items"]] == [["a.example.test"]]
    many = {"certificates": [*ids, 999]}
    assert call("POST", "/certificates/hold", many).json() == {"changed": 2, "left_out": 1}
    assert call("POST", "/certificates/release", many).json()["changed"] == 2
    refused = call("POST", "/certificates/revoke", many, by=viewer)
    assert refused.status_code == 403
    done = call("POST", "/certificates/revoke", many | {"reason": "superseded"}).json()
    assert done == {"changed": 2, "left_out": 1}
