"""OCSP: what is asked, what is answered, over which ways, and what other programs say of it."""

from __future__ import annotations

import base64
import io
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as client_ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, connections
from django.db.utils import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca import due, ocsp, responders, revocation, tasks
from ca.models import Certificate, Issuer, Responder, RevocationList
from ca.pages import ocsp as ocsp_views
from core import seal
from core.models import AuditEvent
from tests.ca.conftest import leaf_of, make, wish

pytestmark = pytest.mark.django_db

KIND = "application/ocsp-request"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    responders.forget()
    ocsp_views.forget()


@pytest.fixture
def leaf(issuing, owner, now) -> Certificate:  # type: ignore[no-untyped-def]
    tasks.renew_responder(issuing.pk)
    return leaf_of(issuing, owner, now)


@pytest.fixture
def stranger() -> Client:
    """A client that checks a certificate: no cookie, any name of the host, plain http."""
    return Client(SERVER_NAME="pki.example.test")


def request_of(
    *certificates: Certificate,
    nonce: bytes | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
) -> bytes:
    """The request of another implementation for one certificate, ours for several."""
    first = certificates[0]
    builder = client_ocsp.OCSPRequestBuilder().add_certificate(
        first.parsed, first.issuer.parsed, algorithm or hashes.SHA1()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    der = builder.build().public_bytes(Encoding.DER)
    if len(certificates) == 1:
        return der
    parsed = [ocsp.parse(request_of(each, algorithm=algorithm)) for each in certificates]
    return several(*[each.certificates[0] for each in parsed])


def several(*asked: ocsp.CertID) -> bytes:
    singles = [ocsp.SingleRequest(req_cert=each, extensions=None) for each in asked]
    tbs = ocsp._TBSRequest(version=0, requestor_name=None, request_list=singles, extensions=None)
    return ocsp.asn1.encode_der(ocsp._OCSPRequest(tbs_request=tbs, signature=None))


def post(client: Client, issuer: Issuer, der: bytes):  # type: ignore[no-untyped-def]
    return client.post(f"/pki/{issuer.public_id}/ocsp", der, content_type=KIND)


def asked(client: Client, certificate: Certificate, **options) -> client_ocsp.OCSPResponse:  # type: ignore[no-untyped-def]
    answer = post(client, certificate.issuer, request_of(certificate, **options))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/ocsp-response")
    return client_ocsp.load_der_ocsp_response(answer.content)


def status_of(content: bytes) -> OCSPResponseStatus:
    return client_ocsp.load_der_ocsp_response(content).response_status


# --- The responder ----------------------------------------------------------------------------


def test_the_signer_gives_each_issuer_at_hand_a_responder(issuing, owner, now) -> None:  # type: ignore[no-untyped-def]
    assert list(due.responders(now)) == [issuing]  # and not the root
    tasks.renew_responder(issuing.pk)
    row = Responder.objects.get()
    assert row.issuer == issuing and row.certificate is not None
    assert not due.responders(now).exists()
    parsed = row.certificate.parsed
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    parsed.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert isinstance(parsed.public_key(), ec.EllipticCurvePublicKey)
    parsed.verify_directly_issued_by(issuing.parsed)
    assert row.certificate.not_after <= now + timedelta(days=7)
    assert AuditEvent.objects.filter(action="ca.responder.renewed").count() == 1
    # a second message finds nothing to do
    tasks.renew_responder(issuing.pk)
    assert Certificate.objects.filter(profile="ocsp").count() == 1


def test_it_gets_a_new_key_at_half_its_life_and_when_it_is_revoked(
    issuing, leaf, owner, now, stranger
) -> None:  # type: ignore[no-untyped-def]
    first = Responder.objects.get().certificate
    assert not due.responders(now + timedelta(days=3)).exists()
    assert list(due.responders(now + timedelta(days=4))) == [issuing]
    before = asked(stranger, leaf).certificates[0]
    Responder.objects.update(renew_at=now)
    tasks.renew_responder(issuing.pk)
    second = Responder.objects.get().certificate
    first.refresh_from_db()
    assert first.state == Certificate.SUPERSEDED and first.superseded_by == second
    # the web process reads the new key by itself
    after = asked(stranger, leaf).certificates[0]
    assert before == first.parsed and after == second.parsed

    revocation.revoke(certificate=second, reason="keyCompromise", by=owner, at=timezone.now())
    assert (
        status_of(post(stranger, issuing, request_of(leaf)).content) == OCSPResponseStatus.TRY_LATER
    )
    assert list(due.responders(timezone.now())) == [issuing]
    tasks.renew_responder(issuing.pk)
    assert asked(stranger, leaf).certificate_status == OCSPCertStatus.GOOD
    # and the old one is asked about like any other
    assert asked(stranger, second).revocation_reason == x509.ReasonFlags.key_compromise


def test_the_key_is_sealed_for_the_web_process_and_bound_to_its_certificate(
    leaf, issuing, stranger
) -> None:  # type: ignore[no-untyped-def]
    row = Responder.objects.get()
    sealed = bytes(row.key_sealed)
    der = seal.unseal(seal.RESPONDER, sealed, context=f"responder {row.certificate.key_id}")
    assert der and der not in sealed
    with pytest.raises(seal.SealBroken):
        seal.unseal(seal.RESPONDER, sealed, context="responder of somebody else")
    Responder.objects.update(key_sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert (
        status_of(post(stranger, issuing, request_of(leaf)).content) == OCSPResponseStatus.TRY_LATER
    )


def test_an_issuer_in_its_last_day_gets_no_new_one(issuing, now) -> None:  # type: ignore[no-untyped-def]
    Certificate.objects.filter(pk=issuing.certificate_id).update(
        not_after=now + timedelta(hours=23)
    )
    assert not due.responders(now).exists()


def test_the_authoritys_page_says_who_answers(issuing, owner, now, signed_in) -> None:  # type: ignore[no-untyped-def]
    page = reverse("ca:authority", args=[issuing.pk])
    assert b"waits for its first key" in signed_in.get(page).content
    tasks.renew_responder(issuing.pk)
    RevocationList.objects.filter(issuer=issuing).update(stale_at=now)
    tasks.sign_list(issuing.revocation_list.pk)
    said = signed_in.get(page).content.decode()
    assert "waits for" not in said and f"/pki/{issuing.public_id}/ocsp" in said
    assert "number 2, 0 changes since number 1" in said
    assert f"/pki/{issuing.public_id}-delta.crl" in said
    assert (
        "OCSP"
        not in signed_in.get(reverse("ca:authority", args=[issuing.parent_id])).content.decode()
    )
    revocation.revoke(
        certificate=Responder.objects.get().certificate, reason="unspecified", by=owner, at=now
    )
    assert b"waits for a new key" in signed_in.get(page).content


# --- What is answered -------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384()])
def test_a_good_one(algorithm, leaf, issuing, stranger, now) -> None:  # type: ignore[no-untyped-def]
    answer = asked(stranger, leaf, algorithm=algorithm)
    assert answer.certificate_status == OCSPCertStatus.GOOD
    assert answer.serial_number == int(leaf.serial, 16)
    assert isinstance(answer.hash_algorithm, type(algorithm))
    (responder,) = answer.certificates
    responder.public_key().verify(  # type: ignore[union-attr, call-arg]
        answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashes.SHA256())
    )
    assert answer.this_update_utc <= timezone.now() < answer.next_update_utc
    assert answer.next_update_utc - answer.this_update_utc == ocsp_views.LIFE


def test_revoked_held_and_released(leaf, issuing, owner, stranger) -> None:  # type: ignore[no-untyped-def]
    at = timezone.now()
    revocation.hold(certificate=leaf, by=owner, at=at)
    held = asked(stranger, leaf)
    assert held.certificate_status == OCSPCertStatus.REVOKED
    assert held.revocation_reason == x509.ReasonFlags.certificate_hold
    assert held.revocation_time_utc == at.replace(microsecond=0)
    revocation.release(certificate=leaf, by=owner, at=at)
    assert asked(stranger, leaf).certificate_status == OCSPCertStatus.GOOD
    revocation.revoke(certificate=leaf, reason="unspecified", by=owner, at=at)
    revoked = asked(stranger, leaf)
    assert revoked.certificate_status == OCSPCertStatus.REVOKED
    assert revoked.revocation_reason is None


@pytest.mark.parametrize("reason", revocation.REASONS)
def test_every_reason_can_be_answered(reason, leaf, stranger) -> None:  # type: ignore[no-untyped-def]
    Certificate.objects.filter(pk=leaf.pk).update(
        state="revoked", revoked_at=timezone.now(), revocation_reason=reason
    )
    said = asked(stranger, leaf).revocation_reason
    assert said == (None if reason == "unspecified" else x509.ReasonFlags(reason))


def test_what_was_never_issued_is_not_good(leaf, stranger) -> None:  # type: ignore[no-untyped-def]
    one = ocsp.parse(request_of(leaf)).certificates[0]
    for serial in (one.serial_number + 1, 0, -5, 1 << 400):
        other = ocsp.CertID(
            hash_algorithm=one.hash_algorithm,
            issuer_name_hash=one.issuer_name_hash,
            issuer_key_hash=one.issuer_key_hash,
            serial_number=serial,
        )
        content = post(stranger, leaf.issuer, several(other)).content
        assert b"\x82\x00" in content  # [2] IMPLICIT NULL, "unknown"
        if serial > 0:
            answer = client_ocsp.load_der_ocsp_response(content)
            assert answer.certificate_status == OCSPCertStatus.UNKNOWN


def test_one_that_has_expired_keeps_its_last_status(leaf, owner, stranger, now) -> None:  # type: ignore[no-untyped-def]
    revocation.revoke(certificate=leaf, reason="superseded", by=owner, at=now)
    Certificate.objects.filter(pk=leaf.pk).update(not_after=now - timedelta(days=30))
    assert asked(stranger, leaf).certificate_status == OCSPCertStatus.REVOKED


def test_several_at_once(leaf, issuing, owner, now, stranger) -> None:  # type: ignore[no-untyped-def]
    other = leaf_of(issuing, owner, now, "mail2.example.test")
    revocation.revoke(certificate=other, reason="superseded", by=owner, at=now)
    answer = client_ocsp.load_der_ocsp_response(
        post(stranger, issuing, request_of(leaf, other)).content
    )
    assert [(each.serial_number, each.certificate_status) for each in answer.responses] == [
        (int(leaf.serial, 16), OCSPCertStatus.GOOD),
        (int(other.serial, 16), OCSPCertStatus.REVOKED),
    ]


def test_other_issuers_are_not_spoken_for(leaf, issuing, owner, now, stranger) -> None:  # type: ignore[no-untyped-def]
    stranger_issuer = make(owner, now, wish("Other Root", "Other Issuing")).made
    foreign = leaf_of(stranger_issuer, owner, now, "mail9.example.test")
    # the wrong address, although this console knows the certificate
    content = post(stranger, issuing, request_of(foreign)).content
    assert status_of(content) == OCSPResponseStatus.UNAUTHORIZED
    # its own responder is still to come
    content = post(stranger, stranger_issuer, request_of(foreign)).content
    assert status_of(content) == OCSPResponseStatus.TRY_LATER
    # beside one of this issuer's it is unknown
    answer = client_ocsp.load_der_ocsp_response(
        post(stranger, issuing, request_of(leaf, foreign)).content
    )
    assert [each.certificate_status for each in answer.responses] == [
        OCSPCertStatus.GOOD,
        OCSPCertStatus.UNKNOWN,
    ]
    # nobody at all; and a root, whose key is not at hand
    for public_id in ("0123456789abcdef", issuing.parent.public_id):
        content = stranger.post(
            f"/pki/{public_id}/ocsp", request_of(leaf), content_type=KIND
        ).content
        assert status_of(content) == OCSPResponseStatus.UNAUTHORIZED


# --- The nonce, and what is kept --------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 16, 32, 128])
def test_a_nonce_comes_back(length, leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    nonce = bytes(range(length))
    answer = post(stranger, issuing, request_of(leaf, nonce=nonce))
    parsed = client_ocsp.load_der_ocsp_response(answer.content)
    assert parsed.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    assert answer["Cache-Control"] == "no-store"


def test_a_nonce_of_no_or_too_many_octets_is_refused(leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    for nonce in (b"", bytes(129), bytes(1000)):
        content = post(stranger, issuing, request_of(leaf, nonce=nonce)).content
        assert status_of(content) == OCSPResponseStatus.MALFORMED_REQUEST


def test_without_a_nonce_the_signature_is_kept_but_not_the_truth(
    leaf, issuing, owner, stranger
) -> None:  # type: ignore[no-untyped-def]
    der = request_of(leaf)
    first = post(stranger, issuing, der).content
    assert post(stranger, issuing, der).content == first
    with_nonce = [post(stranger, issuing, request_of(leaf, nonce=b"n" * 16)).content for _ in "12"]
    assert with_nonce[0] != with_nonce[1]
    revocation.hold(certificate=leaf, by=owner, at=timezone.now())
    held = post(stranger, issuing, der).content
    assert client_ocsp.load_der_ocsp_response(held).certificate_status == OCSPCertStatus.REVOKED
    revocation.release(certificate=leaf, by=owner, at=timezone.now())
    released = client_ocsp.load_der_ocsp_response(post(stranger, issuing, der).content)
    assert released.certificate_status == OCSPCertStatus.GOOD


def test_a_kept_signature_ages(leaf, issuing, stranger, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    der = request_of(leaf)
    first = post(stranger, issuing, der).content
    later = timezone.now() + ocsp_views.SIGNATURE_LIFE + timedelta(seconds=1)
    monkeypatch.setattr(ocsp_views.timezone, "now", lambda: later)
    second = client_ocsp.load_der_ocsp_response(post(stranger, issuing, der).content)
    assert second.this_update_utc == later.replace(microsecond=0)
    assert second.public_bytes(Encoding.DER) != first


def test_what_is_kept_is_bounded(leaf, issuing, stranger, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(ocsp_views, "MOST_KEPT", 2)
    for algorithm in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        post(stranger, issuing, request_of(leaf, algorithm=algorithm))
    assert 0 < len(ocsp_views._kept) <= 2


# --- The ways ---------------------------------------------------------------------------------


def test_get_with_the_request_in_the_path(leaf, issuing, owner, stranger, now, settings) -> None:  # type: ignore[no-untyped-def]
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["console.example.test"]
    plain = base64.b64encode(request_of(leaf)).decode()
    forms = {
        plain,
        quote(plain, safe=""),
        plain.rstrip("="),
        plain.replace("+", "-").replace("/", "_"),
    }
    contents = set()
    for form in forms:
        answer = stranger.get(f"/pki/{issuing.public_id}/ocsp/{form}")
        assert answer.status_code == 200 and not answer.cookies
        contents.add(answer.content)
    (content,) = contents
    parsed = client_ocsp.load_der_ocsp_response(content)
    assert parsed.certificate_status == OCSPCertStatus.GOOD
    # RFC 5019 section 6.2
    assert answer["Cache-Control"] == "public, no-transform, must-revalidate, max-age=300"
    assert answer["ETag"] and answer["Last-Modified"] and answer["Expires"].endswith("GMT")
    head = stranger.head(f"/pki/{issuing.public_id}/ocsp/{plain}")
    assert head.content == b"" and head["Content-Length"] == str(len(content))
    # not to be kept: with a nonce, unknown, or an error
    nonce = base64.b64encode(request_of(leaf, nonce=b"n" * 16)).decode()
    assert stranger.get(f"/pki/{issuing.public_id}/ocsp/{nonce}")["Cache-Control"] == "no-store"
    assert stranger.get(f"/pki/{issuing.public_id}/ocsp/AAAA")["Cache-Control"] == "no-store"


def test_a_slash_in_the_path_is_part_of_the_request(leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    """Base64 has slashes, two in a row too, that clients send as they are."""
    one = ocsp.parse(request_of(leaf)).certificates[0]
    twice = None
    for serial in range(1, 1 << 16):
        other = ocsp.CertID(
            hash_algorithm=one.hash_algorithm,
            issuer_name_hash=one.issuer_name_hash,
            issuer_key_hash=one.issuer_key_hash,
            serial_number=0xFFFFFFFF0000FFFFFFFF + (serial << 32),
        )
        twice = base64.b64encode(several(other)).decode()
        if "//" in twice:
            break
    assert twice is not None and "//" in twice
    answer = stranger.get(f"/pki/{issuing.public_id}/ocsp/{twice}")
    assert status_of(answer.content) == OCSPResponseStatus.SUCCESSFUL


def test_one_query_and_nothing_of_the_console(leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    der = request_of(leaf, nonce=b"n" * 16)
    post(stranger, issuing, der)
    with CaptureQueriesContext(connection) as queries:
        answer = post(stranger, issuing, der)
    assert len(queries) == 1
    assert not answer.cookies and "Vary" not in answer and "Content-Security-Policy" not in answer
    refused = stranger.put(f"/pki/{issuing.public_id}/ocsp", der, content_type=KIND)
    assert refused.status_code == 405 and "POST" in refused["Allow"]


def test_bad_requests_are_answered_as_malformed(leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    good = request_of(leaf)
    one = ocsp.parse(good).certificates[0]
    for der in (
        b"",
        b"\x30\x00",
        good[:-1],
        good + b"\x00",
        leaf.der,
        several(),
        several(*[one] * (ocsp.MOST_CERTIFICATES + 1)),
        b"x" * 3_000_000,
    ):
        answer = post(stranger, issuing, der)
        assert answer.status_code == 200
        assert status_of(answer.content) == OCSPResponseStatus.MALFORMED_REQUEST
    for path in ("", "/", "/!", "/AAAA", "/" + "A" * 40_000, "/%00%ff%2F", "/\u6191\u8b49"):
        answer = stranger.get(f"/pki/{issuing.public_id}/ocsp{path}")
        assert answer.status_code == 200
        assert status_of(answer.content) == OCSPResponseStatus.MALFORMED_REQUEST


def test_a_database_that_is_away_is_no_500(leaf, issuing, stranger, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def away(*args: object, **options: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(responders, "look_up", away)
    answer = post(stranger, issuing, request_of(leaf))
    assert answer.status_code == 200
    assert status_of(answer.content) == OCSPResponseStatus.TRY_LATER


def test_a_body_in_chunks_has_no_length(leaf, issuing, rf) -> None:  # type: ignore[no-untyped-def]
    good = request_of(leaf)
    for body, expected in (
        (good, OCSPResponseStatus.SUCCESSFUL),
        (good + bytes(ocsp.MOST_OCTETS), OCSPResponseStatus.MALFORMED_REQUEST),
    ):
        request = rf.post("/")
        request.META |= {
            "CONTENT_LENGTH": "",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
        }
        answer = ocsp_views.answer(request, issuing.public_id)
        assert status_of(answer.content) == expected


def test_an_unknown_critical_extension_is_refused(leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    first = leaf.parsed
    oid = x509.ObjectIdentifier("1.2.3.4.5")
    for critical, expected in (
        (True, OCSPResponseStatus.MALFORMED_REQUEST),
        (False, OCSPResponseStatus.SUCCESSFUL),
    ):
        builder = client_ocsp.OCSPRequestBuilder()
        builder = builder.add_certificate(first, issuing.parsed, hashes.SHA1())
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical)
        der = builder.build().public_bytes(Encoding.DER)
        assert status_of(post(stranger, issuing, der).content) == expected


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_bytes_give_anything_but_an_answer(data, leaf, issuing, stranger) -> None:  # type: ignore[no-untyped-def]
    """Anything at all, and requests with some of their octets exchanged, added or cut off."""
    der = bytearray(request_of(leaf, nonce=b"n" * 16))
    if data.draw(st.booleans()):
        der = bytearray(data.draw(st.binary(max_size=300)))
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            where = data.draw(st.integers(0, len(der) - 1))
            act = data.draw(st.sampled_from(["set", "cut", "add"]))
            if act == "set":
                der[where] = data.draw(st.integers(0, 255))
            elif act == "cut" and where > 0:
                del der[where:]
            else:
                der.insert(where, data.draw(st.integers(0, 255)))
    answers = [
        post(stranger, issuing, bytes(der)),
        stranger.get(f"/pki/{issuing.public_id}/ocsp/{base64.b64encode(bytes(der)).decode()}"),
        stranger.get(f"/pki/{issuing.public_id}/ocsp/{quote(bytes(der))}"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        status_of(answer.content)


# --- Other programs ---------------------------------------------------------------------------


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def origin(leaf) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The console over loopback, in a thread that shares the test's database connection."""
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    shared = connections["default"]
    shared.inc_thread_sharing()
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # as Django's own test client does

    def serve(environ, start_response):  # type: ignore[no-untyped-def]
        connections["default"] = shared
        return application(environ, start_response)

    server = make_server("127.0.0.1", 0, serve, server_class=WSGIServer, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
        shared.dec_thread_sharing()


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout + done.stderr


@pytest.fixture
def files(leaf, tmp_path) -> Path:  # type: ignore[no-untyped-def]
    for name, pem in (
        ("leaf", leaf.pem),
        ("issuer", leaf.issuer.certificate.pem),
        ("root", leaf.root_pem),
        ("both", leaf.issuer.certificate.pem + leaf.root_pem),
    ):
        (tmp_path / f"{name}.pem").write_text(pem)
    return tmp_path


def test_openssl_and_curl_ask(leaf, issuing, owner, now, origin, files) -> None:  # type: ignore[no-untyped-def]
    other = leaf_of(issuing, owner, now, "mail2.example.test")
    (files / "other.pem").write_text(other.pem)
    url = f"{origin}/pki/{issuing.public_id}/ocsp"
    ask = ("openssl", "ocsp", "-issuer", "issuer.pem", "-CAfile", "root.pem", "-url", url)
    ask += ("-verify_other", "issuer.pem")
    for options in ((), ("-no_nonce",), ("-sha256",)):
        said = run(files, *ask, *options, "-cert", "leaf.pem")
        assert "Response verify OK" in said and "leaf.pem: good" in said, said
        assert "WARNING" not in said or options == ("-no_nonce",)
    revocation.revoke(certificate=other, reason="keyCompromise", by=owner, at=now)
    said = run(files, *ask, "-cert", "leaf.pem", "-cert", "other.pem", "-serial", "0x1234567890")
    assert "Response verify OK" in said and "leaf.pem: good" in said
    assert "other.pem: revoked" in said and "keyCompromise" in said
    assert "0x1234567890: unknown" in said
    # a signed request is answered too
    new = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "key.pem",
    )
    run(files, "openssl", "req", "-x509", *new, "-subj", "/CN=x", "-out", "self.pem")
    signer = ("-signer", "self.pem", "-signkey", "key.pem")
    assert "leaf.pem: good" in run(files, *ask, *signer, "-cert", "leaf.pem")

    plain = base64.b64encode(request_of(leaf)).decode()
    for form in (plain, quote(plain, safe="")):
        run(files, "curl", "-sS", "--max-time", "10", "-o", "answer.der", f"{url}/{form}")
        said = run(
            files,
            *("openssl", "ocsp", "-respin", "answer.der", "-issuer", "issuer.pem"),
            *("-cert", "leaf.pem", "-CAfile", "root.pem", "-verify_other", "issuer.pem"),
            "-no_nonce",
        )
        assert "Response verify OK" in said and "leaf.pem: good" in said, said


def test_gnutls_verifies_the_answer(leaf, issuing, origin, files) -> None:  # type: ignore[no-untyped-def]
    url = f"{origin}/pki/{issuing.public_id}/ocsp"
    said = run(
        files,
        *("ocsptool", f"--ask={url}", "--load-issuer=issuer.pem", "--load-cert=leaf.pem"),
        *("--load-trust=both.pem", "--outfile=answer.der"),
    )
    assert "Success" in said or "success" in said, said
    answer = files / "answer.der"
    answer.write_bytes(post(Client(), issuing, request_of(leaf)).content)
    said = run(
        files,
        *("ocsptool", "--verify-response", "--load-trust=both.pem"),
        *("--load-response=answer.der", "--load-issuer=issuer.pem"),
    )
    assert "Verifying OCSP Response: Success" in said, said


def test_nss_asks(leaf, issuing, owner, now, origin, files) -> None:  # type: ignore[no-untyped-def]
    """As Thunderbird would, with the responder's address given by hand."""
    responder = Responder.objects.get().certificate
    (files / "responder.pem").write_text(responder.pem)
    database = "sql:" + str(files)
    run(files, "certutil", "-N", "-d", database, "--empty-password")
    for name, trust in (("root", "CT,C,C"), ("issuer", ",,"), ("leaf", ",,"), ("responder", ",,")):
        run(files, *f"certutil -A -d {database} -n {name} -t {trust} -i {name}.pem".split())
    url = f"{origin}/pki/{issuing.public_id}/ocsp"
    ask = ("ocspclnt", "-d", database, "-l", url, "-t", "responder", "-S", "leaf")
    assert 'Check of certificate "leaf" succeeded' in run(files, *ask)
    revocation.revoke(certificate=leaf, reason="keyCompromise", by=owner, at=now)
    assert "has been revoked" in run(files, *ask)


def pkilint_of(der: bytes) -> list[str]:
    from pkilint import loader, pkix
    from pkilint.pkix import extension, name
    from pkilint.pkix import ocsp as ocsp_lints

    validator = ocsp_lints.create_pkix_ocsp_response_validator_container(
        [
            ocsp_lints.create_response_decoder(),
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [],
    )
    document = loader.RFC6960OCSPResponseDocumentLoader().load_der_document(der, "answer")
    return [
        f"{found.finding.code} {found.message}"
        for result in validator.validate(document.root)
        for found in result.finding_descriptions
    ]


def test_pkilint_finds_nothing(leaf, issuing, owner, now, stranger) -> None:  # type: ignore[no-untyped-def]
    other = leaf_of(issuing, owner, now, "mail2.example.test")
    revocation.hold(certificate=other, by=owner, at=now)
    for der in (
        request_of(leaf),
        request_of(leaf, nonce=b"n" * 32),
        request_of(other, algorithm=hashes.SHA256()),
        request_of(leaf, other),
    ):
        assert pkilint_of(post(stranger, issuing, der).content) == []
