"""The import's pages and calls, and the way from an old root to what devices accept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from ca import authorities, issuance, renewal, tasks
from ca.models import Ceremony, Certificate, Imported, Issuer
from ca.reissue import request_reissue
from ca.wishes import AuthorityWish, Wish
from core.api_auth import create_token
from tests.ca.byhand import PASSPHRASE, by_hand, openssl
from tests.ca.conftest import request_for
from tests.ca.test_importing import carried, imported

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def files():  # type: ignore[no-untyped-def]
    return by_hand()


def upload(files, **changes):  # type: ignore[no-untyped-def]
    fields = {
        "name": "Old Root",
        "certificate": SimpleUploadedFile("myrootca.crt", files.root),
        "key": SimpleUploadedFile("myrootca.key", files.key),
        "serial": SimpleUploadedFile("serial", files.serial),
        "issued": [SimpleUploadedFile(name, content) for name, content in files.issued()],
        "passphrase": PASSPHRASE,
        "new_passphrase": "",
        "new_passphrase_again": "",
        "origin": "",
    }
    return fields | changes


def test_looking_stores_nothing(files, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    fields = upload(files)
    asked = {name: fields[name] for name in ("certificate", "issued", "serial")}
    answer = signed_in.post(reverse("ca:import_look"), asked)
    said = answer.content.decode()
    assert answer.status_code == 200 and "<html" not in said
    assert "My Root CA" in said and "SHA-1" in said
    assert "1 certificate is in order. 1 comes with a note." in said and "Version 1" in said
    assert not Ceremony.objects.exists() and not Imported.objects.exists()
    wrong = {"certificate": SimpleUploadedFile("a.key", files.key)}
    answer = signed_in.post(reverse("ca:import_look"), wrong)
    assert answer.status_code == 422 and "This is a private key" in answer.content.decode()
    assert signed_in.post(reverse("ca:import_look")).status_code == 422


def test_an_authority_is_uploaded_and_its_report_read(  # type: ignore[no-untyped-def]
    files, signed_in: Client, django_assert_max_num_queries
) -> None:
    assert signed_in.get(reverse("ca:import")).status_code == 200
    answer = signed_in.post(reverse("ca:import"), upload(files))
    ceremony = Ceremony.objects.get()
    assert answer.url == reverse("ca:imported", args=[ceremony.pk])
    page = signed_in.get(answer.url).content.decode()
    assert 'hx-trigger="every' in page and PASSPHRASE not in page
    carried(ceremony)
    part = signed_in.get(answer.url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part and 'hx-trigger="every' not in part
    assert "old.example.test" in part and "Version 1" in part
    with django_assert_max_num_queries(10):
        signed_in.get(answer.url)
    noted = signed_in.get(answer.url + "?verdict=noted").content.decode()
    assert "old.example.test" in noted and "CN=mail.example.test" not in noted
    assert reverse("ca:crossing", args=[ceremony.root_id]) in part
    known = signed_in.get(reverse("ca:ceremony", args=[ceremony.pk]))
    assert known.url == answer.url, "one page for it"
    for row in Certificate.objects.all():
        assert signed_in.get(reverse("ca:certificate", args=[row.pk])).status_code == 200
    listed = signed_in.get(reverse("ca:certificates") + f"?issuer={ceremony.root_id}")
    assert "old.example.test" in listed.content.decode()


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"certificate": ""}, "certificate", "root's certificate"),
        ({"key": ""}, "key", "private key"),
        ({"passphrase": ""}, "passphrase", "encrypted"),
        ({"new_passphrase": "one thing 1234"}, "new_passphrase_again", "differ"),
        ({"name": ""}, "name", "required"),
        ({"serial": SimpleUploadedFile("serial", b"x y z")}, "serial", "hexadecimal"),
    ],
)
def test_bad_input_is_refused_at_its_field(changes, field, words, files, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    answer = signed_in.post(reverse("ca:import"), upload(files, **changes))
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert words in " ".join(errors.get(field, [])), errors
    assert PASSPHRASE not in answer.content.decode()
    assert not Ceremony.objects.exists()


def test_the_key_is_handed_in_again(files, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    answer = signed_in.post(reverse("ca:import"), upload(files, passphrase="not the right one"))
    carried(Ceremony.objects.get())
    page = signed_in.get(answer.url).content.decode()
    assert "does not open the key" in page and 'type="file"' in page
    empty = signed_in.post(answer.url, {"passphrase": PASSPHRASE})
    assert empty.status_code == 422 and not Issuer.objects.exists()
    key = SimpleUploadedFile("myrootca.key", files.key)
    again = signed_in.post(answer.url, {"key": key, "passphrase": PASSPHRASE})
    second = Ceremony.objects.latest("pk")
    assert again.url == reverse("ca:imported", args=[second.pk])
    assert carried(second).state == Ceremony.DONE, second.reason
    assert again.url in signed_in.get(answer.url).content.decode(), "the old page leads there"


def test_only_an_owner_imports(files, viewer, client: Client, db) -> None:  # type: ignore[no-untyped-def]
    client.force_login(viewer, backend="allauth.account.auth_backends.AuthenticationBackend")
    for name in ("ca:import", "ca:import_look"):
        assert client.post(reverse(name), upload(files)).status_code == 403
    assert not Ceremony.objects.exists()


def test_a_name_in_latin_1_is_never_an_error_page(files, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    latin = files.sign("Grüße".encode("latin-1"), serial=5)
    root = imported(files, owner, now, issued=[("latin.crt", latin)])
    row = root.certificates.get(serial="5")
    page = signed_in.get(reverse("ca:certificate", args=[row.pk]))
    assert page.status_code == 200 and "Grüße" in page.content.decode()
    for form in ("pem", "der", "text"):
        url = reverse("ca:download", args=[row.pk, form])
        assert signed_in.get(url).status_code == 200, form


def crossing(client: Client, root: Issuer) -> tuple[str, object]:
    answer = client.get(reverse("ca:crossing", args=[root.pk]))
    assert answer.status_code == 200
    return answer.content.decode(), answer.context["way"]


def verified(folder: Path, leaf: str, roots: str, *options: str, chain: str = "") -> str:
    import subprocess

    for name, text in (("leaf", leaf), ("roots", roots), ("chain", chain)):
        (folder / f"{name}.pem").write_text(text)
    command = ["openssl", "verify", *options, "-CAfile", "roots.pem"]
    command += ["-untrusted", "chain.pem"] if chain else []
    done = subprocess.run(
        [*command, "leaf.pem"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_crossing(files, owner, now, signed_in: Client, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """From 2004 to the first certificate that a strict client accepts, with the same key."""
    root = imported(files, owner, now)
    old = root.certificate
    host, v1 = root.certificates.filter(key_id__gt="").exclude(pk=old.pk).order_by("serial")
    strict = ("-x509_strict", "-auth_level", "2")
    page, way = crossing(signed_in, root)
    assert (way.needed, way.crossed, way.issuing, way.leaf) == (True, False, None, None)
    assert reverse("ca:sign_anew", args=[root.pk]) in page
    assert reverse("ca:new_issuing", args=[root.pk]) not in page, "one step after the other"
    assert "OK" not in verified(tmp_path, host.pem, old.pem, *strict)

    wrong = signed_in.post(reverse("ca:sign_anew", args=[root.pk]), {"passphrase": ""})
    assert wrong.status_code == 422
    answer = signed_in.post(reverse("ca:sign_anew", args=[root.pk]), {"passphrase": PASSPHRASE})
    signed = Ceremony.objects.latest("pk")
    assert answer.url == reverse("ca:ceremony", args=[signed.pk])
    assert carried(signed).state == Ceremony.DONE, signed.reason
    root.refresh_from_db()
    new = root.certificate
    assert new.parsed.public_key() == old.parsed.public_key()
    assert new.parsed.subject.public_bytes() == old.parsed.subject.public_bytes()
    assert isinstance(new.parsed.signature_hash_algorithm, hashes.SHA256)
    page, way = crossing(signed_in, root)
    assert way.resigned == new and way.old == old and way.issuing is None
    assert reverse("ca:new_issuing", args=[root.pk]) in page
    for each in (host, v1):
        for trusted in (old.pem, new.pem, old.pem + new.pem):
            assert "OK" in verified(tmp_path, each.pem, trusted, "-auth_level", "0"), each

    asked = Wish(issuing=AuthorityWish("New Issuing", "p256", 1826), permitted=("example.test",))
    made = carried(
        authorities.request_issuing(under=root, wish=asked, passphrase=PASSPHRASE, by=owner, at=now)
    )
    assert made.state == Ceremony.DONE, made.reason
    order = issuance.request(
        profile="host",
        names=["mail.example.test"],
        issuer=made.made,
        csr_pem=request_for("mail.example.test"),
        by=owner,
        at=now,
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    leaf = order.certificate
    assert leaf is not None, order.reason
    said = verified(tmp_path, leaf.pem, new.pem, *strict, chain=leaf.chain_pem)
    assert "leaf.pem: OK" in said, said
    assert "OK" not in verified(tmp_path, leaf.pem, old.pem, *strict, chain=leaf.chain_pem)
    page, way = crossing(signed_in, root)
    assert way.leaf == leaf and way.issuing == made.made

    key = request_for("mail.example.test")
    renewed = renewal.request(certificate=host, way=renewal.NEW_KEY, csr_pem=key, by=owner, at=now)
    tasks.sign_order(renewed.pk)
    renewed.refresh_from_db()
    assert renewed.certificate is not None, renewed.reason
    assert renewed.certificate.issuer == made.made, "the root signs no hosts any more"
    assert renewed.certificate.names == ["mail.example.test"]
    page = signed_in.get(reverse("ca:renew", args=[v1.pk]))
    assert page.status_code == 200


def test_a_root_that_needs_no_crossing(files, owner, now, signed_in: Client) -> None:  # type: ignore[no-untyped-def]
    modern = files.self_signed("-sha256", "-extensions", "v3_modern")
    root = imported(files, owner, now, certificate=modern, issued=[])
    page, way = crossing(signed_in, root)
    assert not way.needed and way.crossed and way.resigned is None
    assert reverse("ca:sign_anew", args=[root.pk]) not in page
    assert reverse("ca:new_issuing", args=[root.pk]) in page


def test_an_ended_root_lives_on(files, owner, now) -> None:  # type: ignore[no-untyped-def]
    folder = files.folder
    openssl(
        "req", "-new", "-config", "ca.cnf", "-key", "root.plain", "-out", "ended.csr", cwd=folder
    )
    ended = openssl(
        "x509", "-req", "-in", "ended.csr", "-signkey", "root.plain", "-sha1", "-days", "-1",
        "-extfile", "ca.cnf", "-extensions", "v3_ca", cwd=folder,
    )  # fmt: skip
    root = imported(files, owner, now, certificate=ended, issued=[])
    assert root.certificate.not_after < now
    again = carried(request_reissue(root=root, passphrase=PASSPHRASE, by=owner, at=now))
    assert again.state == Ceremony.DONE, again.reason
    root.refresh_from_db()
    assert root.certificate.not_after > now + timedelta(days=7300)
    assert root.revocation_list.entries == 0


@pytest.fixture
def call(owner, now, client: Client):  # type: ignore[no-untyped-def]
    def do(method: str, path: str, body: object = None, by=None):  # type: ignore[no-untyped-def]
        _token, secret = create_token(
            name="test", scopes=["ca:read", "ca:issue"], expires_at=None, by=by or owner, at=now
        )
        send = client.post if method == "POST" else client.get
        headers = {"Authorization": f"Bearer {secret}"}
        return send(f"/api/v1{path}", body or {}, headers=headers)

    return do


def test_the_key_again_by_a_call(files, viewer, call) -> None:  # type: ignore[no-untyped-def]
    first = call("POST", "/authorities/import", upload(files, passphrase="not this one")).json()
    path = f"/authorities/import/{first['id']}/key"
    key = {"key": SimpleUploadedFile("k", files.key), "passphrase": PASSPHRASE}
    early = call("POST", path, key)
    assert early.status_code == 409, "it is not refused yet"
    tasks.make_authority(first["id"])
    assert "does not open" in call("GET", f"/authorities/import/{first['id']}").json()["reason"]
    key["key"] = SimpleUploadedFile("k", files.key)
    assert call("POST", path, key, by=viewer).status_code == 403
    key["key"] = SimpleUploadedFile("k", files.key)
    again = call("POST", path, key)
    assert again.status_code == 202 and again.json()["id"] != first["id"]
    tasks.make_authority(again.json()["id"])
    done = call("GET", f"/authorities/import/{again.json()['id']}").json()
    assert done["state"] == "done" and done["counts"] == first["counts"]


def test_the_calls(files, viewer, call) -> None:  # type: ignore[no-untyped-def]
    asked = call("POST", "/authorities/import", upload(files))
    assert asked.status_code == 202, asked.content
    body = asked.json()
    assert (body["state"], body["name"], body["authority"]) == ("requested", "Old Root", None)
    assert body["counts"] == {"taken": 1, "noted": 1, "left": 0}
    tasks.make_authority(body["id"])
    body = call("GET", f"/authorities/import/{body['id']}").json()
    assert body["state"] == "done" and body["authority"] == Issuer.objects.get().pk
    lines = call("GET", f"/authorities/import/{body['id']}/lines").json()
    assert [line["verdict"] for line in lines["items"]] == ["taken", "noted"]
    assert "Version 1" in lines["items"][1]["why"][0] and lines["next"] is None
    refused = call("POST", "/authorities/import", upload(files, name="Again"))
    assert refused.status_code == 422 and "imported once" in refused.json()["detail"]
    assert call("POST", "/authorities/import", upload(files), by=viewer).status_code == 403
    assert call("GET", f"/authorities/import/{body['id']}", by=viewer).status_code == 403
