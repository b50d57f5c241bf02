"""The page that gets a root onto devices: for everybody, in both languages."""

from __future__ import annotations

import base64
import plistlib
import re
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import pkcs12
from django.urls import reverse
from django.utils import timezone

from ca import export, trust
from ca.models import Certificate, Issuer

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(issuing) -> Issuer:  # type: ignore[no-untyped-def]
    return issuing.parent


def page_of(client, root: Issuer, **options) -> str:  # type: ignore[no-untyped-def]
    answer = client.get(reverse("trust:root", args=[root.public_id]), **options)
    assert answer.status_code == 200
    return answer.content.decode()


def test_anybody_sees_it_without_a_cookie(root, client) -> None:  # type: ignore[no-untyped-def]
    answer = client.get(reverse("trust:root", args=[root.public_id]))
    page = answer.content.decode().replace("</div><div>", "")
    assert answer.status_code == 200 and not answer.cookies
    for device in ("windows", "macos", "ios", "android", "linux", "thunderbird", "firefox"):
        assert f'id="{device}"' in page
    prints = {algorithm.name: root.parsed.fingerprint(algorithm) for algorithm in ALGORITHMS}
    assert prints["sha256"].hex(":").upper() in page and prints["sha1"].hex(":").upper() in page
    assert "sign only for 192.0.2.0/24, example.test" in page


ALGORITHMS = (hashes.SHA256(), hashes.SHA1())


def test_the_language_is_in_the_address(root, client) -> None:  # type: ignore[no-untyped-def]
    address = reverse("trust:root", args=[root.public_id])
    english = client.get(address, {"language": "en"})
    assert b'lang="en"' in english.content and "language=zh-hant" in english.content.decode()
    other = client.get(address, {"language": "zh-hant"})
    assert 'lang="zh-hant"' in other.content.decode().lower() and not other.cookies
    assert client.get(address, {"language": "tlh"}).status_code == 200


def test_each_file_is_what_its_device_reads(root, client) -> None:  # type: ignore[no-untyped-def]
    def fetched(ending: str) -> tuple[bytes, str]:
        answer = client.get(reverse("trust:file", args=[root.public_id, ending]))
        assert answer.status_code == 200 and not answer.cookies
        assert answer["Content-Disposition"] == f'attachment; filename="Example-Root.{ending}"'
        return answer.content, answer["Content-Type"]

    content, kind = fetched("cer")
    assert x509.load_der_x509_certificate(content) == root.parsed
    assert kind == "application/x-x509-ca-cert"
    assert x509.load_pem_x509_certificate(fetched("crt")[0]) == root.parsed
    content, kind = fetched("mobileconfig")
    assert kind == "application/x-apple-aspen-config"
    assert plistlib.loads(content)["PayloadContent"][0]["PayloadContent"] == root.certificate.der
    held = pkcs12.load_pkcs12(fetched("p12")[0], export.STORE_PASSPHRASE)
    assert held.key is None and [each.certificate for each in held.additional_certs] == [
        root.parsed
    ]
    answer = client.get(reverse("trust:file", args=[root.public_id, "key"]))
    assert answer.status_code == 404


def code_in(page: str) -> bytes:
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert found
    return base64.b64decode(found[1])


def test_the_code_names_the_address_others_reach(root, client, settings) -> None:  # type: ignore[no-untyped-def]
    path = reverse("trust:root", args=[root.public_id])
    local = page_of(client, root, headers={"host": "localhost"})
    assert f"http://pki.example.test{path}" in local, "nobody else reaches this machine's localhost"
    settings.ALLOWED_HOSTS = ["console.example.test"]
    there = page_of(client, root, headers={"host": "console.example.test"})
    assert f"http://console.example.test{path}root.crt" in there
    assert b"<svg" in code_in(there) and code_in(there) != code_in(local)


def test_an_issuing_authority_has_no_such_page(issuing, client) -> None:  # type: ignore[no-untyped-def]
    assert client.get(reverse("trust:root", args=[issuing.public_id])).status_code == 404
    answer = client.get(reverse("trust:file", args=[issuing.public_id, "cer"]))
    assert answer.status_code == 404


def test_the_newest_certificate_of_the_same_key_is_offered(root, client) -> None:  # type: ignore[no-untyped-def]
    old = root.certificate
    again = Certificate.objects.get(pk=old.pk)
    again.pk = None
    again.serial = "1234"
    again.fingerprint_sha256 = "0" * 64
    again.not_before = old.not_before + timedelta(days=1)
    again.save()
    assert trust.newest(root) == again
    again.not_before = old.not_before - timedelta(days=1)
    again.save()
    assert trust.newest(root) == old


def test_an_expired_root_is_not_offered_as_if_it_were_good(root, client) -> None:  # type: ignore[no-untyped-def]
    roots = reverse("trust:roots")
    assert client.get(roots).url == reverse("trust:root", args=[root.public_id])
    assert client.get(roots, {"language": "en"}).url.endswith("?language=en")
    Certificate.objects.filter(pk=root.certificate_id).update(not_after=timezone.now())
    answer = client.get(roots)
    assert answer.status_code == 200 and b"No root yet" in answer.content
    assert "This root has expired" in page_of(client, root)


def test_without_a_root_the_page_says_so(client) -> None:  # type: ignore[no-untyped-def]
    answer = client.get(reverse("trust:roots"))
    assert answer.status_code == 200 and b"No root yet" in answer.content and not answer.cookies


def test_the_device_in_hand_stands_out(root, client) -> None:  # type: ignore[no-untyped-def]
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) Safari/604.1"
    page = page_of(client, root, headers={"user-agent": agent})
    assert re.findall(r'class="btn btn-primary" href="#(\w+)"', page) == ["ios"]
