"""How many OCSP answers a second one process gives on one core, through Django's handler.

    python -m benchmarks.ocsp [seconds]        or  manage.py bench ocsp

Each request goes in as WSGI and out as bytes, without a socket: the handler, the first middleware,
the queries, the signature. One of 10,000 certificates is asked for at a time. The rate of one core
is by the time this process was busy, which on a busy machine is less than what passed. django-ca's
view (through Django's test client) is measured beside it where its scripts are.
"""

from __future__ import annotations

import base64
import io
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Any

from benchmarks import ca_console

BUDGET = 2000
CERTIFICATES = 10_000


def _rate(act: Callable[[int], object], seconds: float) -> tuple[float, float]:
    """(a second of one core, a second that passed)."""
    for number in range(50):
        act(number)
    done, begin, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < seconds:
        for _ in range(50):
            act(done)
            done += 1
    return done / (time.process_time() - busy), done / (time.perf_counter() - begin)


def _copies(template: Any) -> list[int]:
    """Serial numbers of rows like `template`'s."""
    from ca.models import Certificate

    start = (template.issuer_id << 150) + (1 << 157)
    serials = [start + number * 7919 for number in range(CERTIFICATES)]
    fields = {
        field.attname: getattr(template, field.attname)
        for field in Certificate._meta.concrete_fields
        if field.attname not in ("id", "serial", "fingerprint_sha256")
    }
    Certificate.objects.bulk_create(
        [
            Certificate(**fields, serial=f"{serial:x}", fingerprint_sha256=f"{serial:064x}")
            for serial in serials
        ],
        batch_size=500,
    )
    return serials


def rates(issuer: Any, at: datetime, seconds: float) -> dict[str, tuple[float, float]]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ocsp as client
    from django.core.wsgi import get_wsgi_application

    from ca import tasks

    tasks.renew_responder(issuer.pk)
    template = ca_console.one_signed(issuer, at)
    serials = _copies(template)
    certificate, above = template.parsed, issuer.parsed
    sha1 = hashes.SHA1()  # noqa: S303 - what clients name an issuer by
    name = client.OCSPRequestBuilder().add_certificate(certificate, above, sha1).build()

    def request(serial: int, nonce: bytes | None) -> bytes:
        builder = client.OCSPRequestBuilder().add_certificate_by_hash(
            name.issuer_name_hash, name.issuer_key_hash, serial, sha1
        )
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)

    application = get_wsgi_application()
    place = f"/pki/{issuer.public_id}/ocsp"

    def ask(method: str, path: str, body: bytes) -> bytes:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "pki.example.test",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "CONTENT_TYPE": "application/ocsp-request",
            "CONTENT_LENGTH": str(len(body)),
        }
        status: list[str] = []
        answered = application(environ, lambda said, headers, _=None: status.append(said))
        content = b"".join(answered)
        answered.close()
        if status != ["200 OK"]:
            raise RuntimeError(f"{path}: {status}")
        return content

    answer = client.load_der_ocsp_response(ask("POST", place, request(serials[7], b"n" * 16)))
    if answer.certificate_status is not client.OCSPCertStatus.GOOD:
        raise RuntimeError("the benchmark's certificate is not good")
    numbers = count()
    fresh = [request(serial, b"%016d" % next(numbers)) for serial in serials]
    plain = [request(serial, None) for serial in serials[:1000]]
    paths = [f"{place}/{base64.b64encode(der).decode()}" for der in plain]
    return {
        "POST, with a nonce": _rate(
            lambda number: ask("POST", place, fresh[number % len(fresh)]), seconds
        ),
        "POST, without a nonce, signed before": _rate(
            lambda number: ask("POST", place, plain[number % len(plain)]), seconds
        ),
        "GET, without a nonce, signed before": _rate(
            lambda number: ask("GET", paths[number % len(paths)], b""), seconds
        ),
    }


def run() -> Iterator[str]:
    yield from ca_console.apart("ocsp")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    with ca_console.made():
        from django.utils import timezone

        at = timezone.now()
        algorithms = ("p256", "rsa2048")
        made = ca_console.authorities_made(at, *algorithms)
        for algorithm, issuer in zip(algorithms, made, strict=True):
            for what, (core, passed) in rates(issuer, at, seconds).items():
                said = f"issuer {algorithm}: {what}"
                print(  # noqa: T201
                    f"{said:56} {core:6.0f} a second of a core (budget {BUDGET}), "
                    f"{passed:6.0f} a second that passed",
                    flush=True,
                )
    for line in ca_console.djangoca("ocsp"):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
