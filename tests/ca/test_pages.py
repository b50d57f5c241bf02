"""The pages: each role, both languages, every refusal at its field, nothing lost."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from cryptography import x509
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ca import issuance, lists, tasks
from ca.models import Ceremony, Certificate, Issuer, Order
from core.models import AuditEvent, Operator
from tests.ca.conftest import PASSPHRASE, make, request_for, wish

pytestmark = pytest.mark.django_db

FIELDS = {
    "organisation": "Example",
    "country": "tw",
    "root_name": "Example Root CA",
    "root_algorithm": "p256",
    "root_life": "7305",
    "passphrase": PASSPHRASE,
    "passphrase_again": PASSPHRASE,
    "issuing_name": "Example Issuing CA",
    "permitted": "example.test",
    "origin": "",
    "issuing_algorithm": "p256",
    "issuing_life": "1826",
}


@pytest.fixture
def as_viewer(viewer, client: Client) -> Client:  # type: ignore[no-untyped-def]
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def as_operator(db, client: Client) -> Client:  # type: ignore[no-untyped-def]
    operator = Operator.objects.create_user("olga", password="long enough 42", role="administrator")
    client.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def issue(issuing: Issuer, owner, now, *dns: str) -> Certificate:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=dns, issuer=issuing, csr_pem=request_for(), by=owner, at=now
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None, order.reason
    return order.certificate


def test_empty_pages_teach_the_next_step(signed_in: Client) -> None:
    for page in ("ca:certificates", "ca:authorities", "ca:new"):
        said = signed_in.get(reverse(page)).content.decode()
        assert reverse("ca:new_hierarchy") in said, page


def test_an_authority_in_one_page(signed_in: Client) -> None:
    assert signed_in.get(reverse("ca:new_hierarchy")).status_code == 200
    answer = signed_in.post(reverse("ca:new_hierarchy"), FIELDS)
    ceremony = Ceremony.objects.get()
    assert answer.url == reverse("ca:ceremony", args=[ceremony.pk])
    page = signed_in.get(answer.url).content.decode()
    assert 'hx-trigger="every' in page and PASSPHRASE not in page
    tasks.make_authority(ceremony.pk)
    part = signed_in.get(answer.url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part and 'hx-trigger="every' not in part, "polling stops at the end"
    root = Issuer.objects.get(parent=None)
    assert root.parsed.not_valid_after_utc - root.parsed.not_valid_before_utc == timedelta(
        days=7305, seconds=-1
    )
    assert root.children.get().permitted == ["example.test"]
    tree = signed_in.get(reverse("ca:authorities")).content.decode()
    assert tree.index("Example Root CA") < tree.index("Example Issuing CA")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"passphrase_again": "another phrase 12"}, "passphrase_again", "differ"),
        ({"passphrase": "short", "passphrase_again": "short"}, "passphrase", "12 characters"),
        ({"permitted": ""}, "permitted", "any server in the world"),
        ({"permitted": "com"}, "permitted", "public suffix"),
        ({"origin": "https://pki.example.test"}, "origin", "http://"),
        ({"country": "T1"}, "root_name", "country code"),
        ({"root_life": "other"}, "root_days", "number of days"),
        ({"root_life": "other", "root_days": "20000"}, "root_days", "18263"),
        ({"root_life": "other", "root_days": "30"}, "issuing_days", "At most"),
        ({"issuing_name": "Example Root CA"}, "issuing_name", "different names"),
        ({"root_name": ""}, "root_name", "required"),
    ],
)
def test_bad_input_is_refused_at_its_field(
    changes: dict[str, str], field: str, words: str, signed_in: Client
) -> None:
    answer = signed_in.post(reverse("ca:new_hierarchy"), FIELDS | changes)
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert words in " ".join(errors.get(field, [])), errors
    page = answer.content.decode()
    assert "Example" in page and PASSPHRASE not in page, "what was typed is kept, secrets are not"
    assert not Ceremony.objects.exists()


def test_a_wrong_passphrase_and_try_again(issuing: Issuer, signed_in: Client) -> None:
    root = issuing.parent
    fields = {
        "issuing_name": "Second",
        "permitted": "example.test",
        "issuing_algorithm": "p256",
        "issuing_life": "1826",
        "passphrase": "not the phrase",
    }
    answer = signed_in.post(reverse("ca:new_issuing", args=[root.pk]), fields)
    ceremony = Ceremony.objects.latest("pk")
    tasks.make_authority(ceremony.pk)
    page = signed_in.get(answer.url).content.decode()
    assert "does not open" in page and 'name="passphrase"' in page
    again = signed_in.post(answer.url, {"passphrase": PASSPHRASE})
    assert again.status_code == 302
    tasks.make_authority(ceremony.pk)
    assert Issuer.objects.filter(name="Second", parent=root).exists()


def test_the_roots_list_is_renewed(issuing: Issuer, signed_in: Client) -> None:
    root = issuing.parent
    answer = signed_in.post(reverse("ca:renew_list", args=[root.pk]), {"passphrase": PASSPHRASE})
    tasks.make_authority(Ceremony.objects.latest("pk").pk)
    assert signed_in.get(answer.url).status_code == 200
    root.revocation_list.refresh_from_db()
    assert root.revocation_list.number == 2


def test_from_a_request_to_the_certificate(issuing: Issuer, as_operator: Client) -> None:
    csr = request_for("mail.example.test", "smtp.example.test")
    fields = {"csr": csr, "names": "", "days": "90", "issuer": str(issuing.pk)}
    preview = as_operator.post(reverse("ca:new_csr"), fields)
    page = preview.content.decode()
    assert "mail.example.test" in page and "digitalSignature" in page and "serverAuth" in page
    assert not Order.objects.exists(), "a preview signs nothing"
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    hidden.pop("csrfmiddlewaretoken", None)
    answer = as_operator.post(reverse("ca:new_csr"), hidden | {"sign": "yes"})
    order = Order.objects.get()
    assert answer.url == reverse("ca:order", args=[order.pk])
    assert 'hx-trigger="every' in as_operator.get(answer.url).content.decode()
    tasks.sign_order(order.pk)
    part = as_operator.get(answer.url, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every' not in part
    certificate = Certificate.objects.leaves().get()
    assert reverse("ca:certificate", args=[certificate.pk]) in part
    shown = as_operator.get(reverse("ca:certificate", args=[certificate.pk])).content.decode()
    assert "smtp.example.test" in shown and "Example Root" in shown


def test_a_request_as_a_file(issuing: Issuer, signed_in: Client) -> None:
    der = x509.load_pem_x509_csr(request_for("mail.example.test").encode())
    from cryptography.hazmat.primitives.serialization import Encoding

    file = SimpleUploadedFile("mail.csr", der.public_bytes(Encoding.DER))
    fields = {"csr_file": file, "names": "", "days": "90", "issuer": str(issuing.pk)}
    assert "mail.example.test" in signed_in.post(reverse("ca:new_csr"), fields).content.decode()
    too_big = SimpleUploadedFile("mail.csr", b"x" * 200_000)
    answer = signed_in.post(reverse("ca:new_csr"), fields | {"csr_file": too_big})
    assert "64 KiB" in str(answer.context["form"].errors["csr"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"csr": ""}, "csr"),
        ({"csr": "garbage"}, "csr"),
        ({"names": "mail.elsewhere.test"}, "names"),
        ({"names": "a b*"}, "names"),
        ({"days": "826"}, "days"),
    ],
)
def test_a_bad_request_is_refused_at_its_field(
    changes: dict[str, str], field: str, issuing: Issuer, signed_in: Client
) -> None:
    fields = {"csr": request_for("mail.example.test"), "names": "", "days": "90"}
    answer = signed_in.post(
        reverse("ca:new_csr"), fields | {"issuer": str(issuing.pk), "sign": "yes"} | changes
    )
    assert field in answer.context["form"].errors
    assert not Order.objects.exists()


def test_names_that_will_not_be_signed_are_said(issuing: Issuer, signed_in: Client) -> None:
    fields = {
        "csr": request_for("mail.example.test", "old.example.test"),
        "names": "mail.example.test",
        "days": "90",
        "issuer": str(issuing.pk),
    }
    page = signed_in.post(reverse("ca:new_csr"), fields).content.decode()
    assert "old.example.test" in page[page.index("alert-warning") :]


def test_an_order_can_be_cancelled(issuing: Issuer, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=["a.example.test"], issuer=issuing, by=owner, at=now
    )
    assert signed_in.get(reverse("ca:cancel", args=[order.pk])).status_code == 405
    signed_in.post(reverse("ca:cancel", args=[order.pk]))
    order.refresh_from_db()
    assert order.state == Order.REFUSED and "owner" in order.reason
    page = signed_in.post(reverse("ca:cancel", args=[order.pk]), follow=True).content.decode()
    assert "already ended" in page


def test_downloads(issuing: Issuer, owner, now, signed_in: Client, openssl_verify) -> None:  # type: ignore[no-untyped-def]
    certificate = issue(issuing, owner, now, "*.example.test")
    got = {
        form: signed_in.get(reverse("ca:download", args=[certificate.pk, form]))
        for form in ("pem", "chain", "fullchain", "root", "der", "text")
    }
    assert got["pem"]["Content-Disposition"] == 'attachment; filename="wildcard.example.test.pem"'
    text = {form: answer.content for form, answer in got.items()}
    assert text["fullchain"] == text["pem"] + text["chain"]
    assert text["fullchain"].count(b"BEGIN CERTIFICATE") == 2, "the root is not sent by servers"
    assert x509.load_der_x509_certificate(text["der"]).serial_number == int(certificate.serial, 16)
    assert b"DNS" not in text["text"] and b"*.example.test" in text["text"]
    said = openssl_verify(text["pem"].decode(), text["chain"].decode(), text["root"].decode())
    assert "OK" in said
    assert signed_in.get(reverse("ca:download", args=[certificate.pk, "exe"])).status_code == 404


def test_the_list_is_searched_filtered_and_paged(
    issuing: Issuer, owner, now, signed_in: Client, django_assert_max_num_queries
) -> None:  # type: ignore[no-untyped-def]
    made = [issue(issuing, owner, now, f"host{n}.example.test") for n in range(5)]
    idn = issue(issuing, owner, now, "郵件.example.test")

    def shown(**query: str) -> set[str]:
        rows = signed_in.get(reverse("ca:certificates"), query).context["rows"]
        return {row["certificate"].names[0] for row in rows}

    first = made[0]
    assert shown(q="host3") == {"host3.example.test"}
    assert shown(q="HOST3.example") == {"host3.example.test"}
    assert shown(q="郵件") == {idn.names[0]}
    assert shown(q=first.serial[:12]) == {first.names[0]}
    colons = ":".join(first.fingerprint_sha256[n : n + 2] for n in range(0, 20, 2)).upper()
    assert shown(q=colons) == {first.names[0]}
    assert shown(q="nothing") == set()
    assert shown(state="revoked") == set() and len(shown(state="valid")) == 6
    assert len(shown(issuer=str(issuing.pk))) == 6
    issuance.supersede(old=made[1], new=made[2], by=owner, at=now)
    assert shown(state="superseded") == {made[1].names[0]}
    Certificate.objects.filter(pk=first.pk).update(not_after=now - timedelta(days=1))
    assert shown(state="expired") == {first.names[0]}
    with django_assert_max_num_queries(10):
        signed_in.get(reverse("ca:certificates"))


def test_pages_by_key_go_forth_and_back(issuing: Issuer, owner, now) -> None:  # type: ignore[no-untyped-def]
    made = [issue(issuing, owner, now, f"host{n}.example.test") for n in range(7)]
    Certificate.objects.filter(pk=made[6].pk).update(not_after=now + timedelta(days=1))
    expected = [made[6].pk, *(each.pk for each in made[:6])]
    for latest in (False, True):
        rows = Certificate.objects.leaves()
        seen, page, parameters = [], None, {}
        while True:
            page = lists.by_end(rows, parameters, latest_first=latest, size=3)
            seen.append([each.pk for each in page])
            if not page.next:
                break
            parameters = {"after": page.next}
        flat = [pk for each in seen for pk in each]
        assert flat == (expected[::-1] if latest else expected)
        back = lists.by_end(rows, {"before": page.previous}, latest_first=latest, size=3)
        assert [each.pk for each in back] == seen[-2]
        assert back.next and back.previous
        first = lists.by_end(rows, {"after": "nonsense"}, latest_first=latest, size=3)
        assert [each.pk for each in first] == seen[0] and first.previous is None


OWNERS = ["ca:new_hierarchy"]
ISSUERS_ONLY = ["ca:new_issuing", "ca:renew_list"]


def test_a_viewer_looks(issuing: Issuer, owner, now, as_viewer: Client) -> None:  # type: ignore[no-untyped-def]
    certificate = issue(issuing, owner, now, "a.example.test")
    for page, args in (
        ("ca:certificates", []),
        ("ca:certificate", [certificate.pk]),
        ("ca:authorities", []),
        ("ca:authority", [issuing.pk]),
        ("ca:authority", [issuing.parent_id]),
        ("ca:order", [certificate.order.pk]),
    ):
        answer = as_viewer.get(reverse(page, args=args))
        assert answer.status_code == 200, page
        said = answer.content.decode()
        for forbidden in ("ca:new", "ca:new_hierarchy"):
            assert f'href="{reverse(forbidden)}"' not in said, (page, forbidden)
    for page, args in (
        ("ca:new", []),
        ("ca:new_hierarchy", []),
        ("ca:new_issuing", [issuing.parent_id]),
        ("ca:renew_list", [issuing.parent_id]),
        ("ca:cancel", [certificate.order.pk]),
    ):
        assert as_viewer.post(reverse(page, args=args)).status_code == 403, page


def test_an_operator_issues_but_makes_no_authority(issuing: Issuer, as_operator: Client) -> None:
    assert as_operator.get(reverse("ca:new")).status_code == 200
    assert as_operator.get(reverse("ca:new_hierarchy")).status_code == 403
    assert as_operator.get(reverse("ca:new_issuing", args=[issuing.parent_id])).status_code == 403


def test_nobody_comes_in_unsigned(issuing: Issuer, client: Client) -> None:
    for page in ("ca:certificates", "ca:authorities", "ca:new"):
        answer = client.get(reverse(page))
        assert answer.status_code == 302 and "/session/" in answer.url


def test_every_page_in_both_languages(issuing: Issuer, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    certificate = issue(issuing, owner, now, "a.example.test")
    ceremony = Ceremony.objects.get()
    pages = [
        reverse("ca:certificates"),
        reverse("ca:certificate", args=[certificate.pk]),
        reverse("ca:new_csr"),
        reverse("ca:order", args=[certificate.order.pk]),
        reverse("ca:authorities"),
        reverse("ca:authority", args=[issuing.parent_id]),
        reverse("ca:new_hierarchy"),
        reverse("ca:new_issuing", args=[issuing.parent_id]),
        reverse("ca:renew_list", args=[issuing.parent_id]),
        reverse("ca:ceremony", args=[ceremony.pk]),
    ]
    for page in pages:
        english = signed_in.get(page, headers={"Accept-Language": "en"}).content.decode()
        chinese = signed_in.get(page, headers={"Accept-Language": "zh-Hant"}).content.decode()
        heading = re.compile(r"<title>(.*?)</title>")
        assert "憑證" in chinese and "憑證" not in english, page
        if "authorities/" in page and "new" in page:
            assert heading.search(english).group(1) != heading.search(chinese).group(1)
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", english), page


def test_a_refusal_speaks_the_readers_language(
    issuing: Issuer, owner, now, signed_in: Client
) -> None:  # type: ignore[no-untyped-def]
    order = issuance.request(
        profile="host", names=["a.example.test"], issuer=issuing, by=owner, at=now
    )
    issuance.refuse(order=order, code="host_failed", detail={"why": "disk full"}, by=None, at=now)
    page = reverse("ca:order", args=[order.pk])
    assert "could not make its key: disk full" in signed_in.get(page).content.decode()
    chinese = signed_in.get(page, headers={"Accept-Language": "zh-Hant"}).content.decode()
    assert "主機無法產生金鑰：disk full" in chinese


def test_public_downloads_need_no_login(issuing: Issuer, client: Client) -> None:
    crt = client.get(f"/pki/{issuing.public_id}.crt")
    assert crt["Content-Type"] == "application/pkix-cert"
    assert x509.load_der_x509_certificate(crt.content) == issuing.parsed
    crl = client.get(f"/pki/{issuing.public_id}.crl")
    assert crl["Content-Type"] == "application/pkix-crl"
    assert "public" in crl["Cache-Control"] and "Set-Cookie" not in crl
    parsed = x509.load_der_x509_crl(crl.content)
    assert parsed.is_signature_valid(issuing.parsed.public_key())
    assert parsed.next_update_utc > timezone.now() + timedelta(days=6)
    for missing in ("/pki/0000000000000000.crt", "/pki/0000000000000000.crl"):
        assert client.get(missing).status_code == 404
    assert client.post(f"/pki/{issuing.public_id}.crl").status_code == 405


def test_two_roots_stand_side_by_side(issuing: Issuer, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    make(owner, now, wish("Other Root", "Other Issuing"))
    tree = signed_in.get(reverse("ca:authorities")).context["tree"]
    assert [node["issuer"].name for node in tree] == ["Example Root", "Other Root"]
    assert [node["children"][0]["issuer"].name for node in tree] == [
        "Example Issuing",
        "Other Issuing",
    ]


def test_a_refused_request_is_logged_with_its_reason(issuing, signed_in, owner) -> None:  # type: ignore[no-untyped-def]
    broken = request_for("mail.example.test")
    at = broken.index("\n", 200) - 5
    broken = broken[:at] + ("A" if broken[at] != "A" else "B") + broken[at + 1 :]
    wish = {"csr": broken, "profile": "host", "days": 90, "issuer": issuing.pk}
    page = signed_in.post(reverse("ca:new_csr"), wish)
    assert page.status_code == 422
    foreign = {**wish, "csr": request_for("mail.other.test"), "sign": "yes"}
    assert signed_in.post(reverse("ca:new_csr"), foreign).status_code == 422
    events = AuditEvent.objects.filter(action="ca.request.refused").order_by("pk")
    assert [event.detail["reason"] for event in events][1:] == ["names_outside"]
    assert events[0].detail["reason"] in ("csr_signature", "csr_unreadable", "key_unreadable")
    assert events[1].detail["names"] == "mail.other.test" and events[1].actor == owner
    assert not Order.objects.exists()
