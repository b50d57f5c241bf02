"""How many P-256 certificates a second go from a ready request to a stored, audited certificate.

    python -m benchmarks.ca_sign [how many]

Prints each stage alone and the whole path (the verbs `request` and `sign`, one order at a time, on
SQLite in WAL mode in a temporary folder). The bulk path is another one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def _rate(count: int, act: Callable[[int], object]) -> float:
    begin = time.perf_counter()
    for number in range(count):
        act(number)
    return count / (time.perf_counter() - begin)


def run(count: int = 1000) -> dict[str, float]:
    """Rates a second by stage. Needs Django set up on a database of its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from django.utils import timezone

    from ca import authorities, csr, issuance, lints, names, profiles, template
    from ca.models import Ceremony, Order
    from ca.wishes import AuthorityWish, Wish
    from core import leases

    at = timezone.now()
    wish = Wish(
        root=AuthorityWish("Bench Root", "p256", 7305),
        issuing=AuthorityWish("Bench Issuing", "p256", 1826),
        permitted=("example.test",),
        origin="http://pki.example.test",
    )
    ceremony = authorities.request_hierarchy(
        wish=wish,
        passphrase="a phrase for a benchmark",  # noqa: S106
        by=None,
        at=at,
    )
    held = leases.claim(Ceremony.objects.due(at), ceremony.pk, worker="bench", at=at)
    if held is None:
        raise RuntimeError("the ceremony is held by another worker")
    authorities.make(ceremony=held, at=at, clock=timezone.now)
    issuer = held.made
    if issuer is None:
        raise RuntimeError(held.reason)

    def request_of(number: int) -> str:
        san = x509.SubjectAlternativeName([x509.DNSName(f"host{number}.example.test")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        signed = builder.add_extension(san, critical=False).sign(
            ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
        )
        return signed.public_bytes(Encoding.PEM).decode()

    requests = [request_of(number) for number in range(count)]
    parsed = [csr.parse(pem) for pem in requests]
    above = issuer.parsed

    def prepare(number: int) -> template.ToBeSigned:
        return template.prepare(
            profile=profiles.HOST,
            names=[names.parse(f"host{number}.example.test")],
            public_key=parsed[number].public_key,
            issuer=above,
            days=90,
            at=at,
            serial=template.random_serial(),
            addresses=issuer.addresses,
        )

    prepared = [prepare(number) for number in range(count)]
    found = {
        "parse a request": _rate(count, lambda number: csr.parse(requests[number])),
        "prepare": _rate(count, prepare),
        "lint": _rate(count, lambda number: lints.run(prepared[number], issuer=above)),
    }

    def ask(number: int) -> object:
        return issuance.request(
            profile="host",
            names=[f"host{number}.example.test"],
            issuer=issuer,
            csr_pem=requests[number],
            by=None,
            at=at,
        )

    def sign(number: int) -> None:
        order = leases.claim(Order.objects.due(at), orders[number].pk, worker="bench", at=at)
        if order is None or issuance.sign(order=order, at=at) is None:
            raise RuntimeError("an order was not signed")

    orders: list[Order] = []
    found["request"] = _rate(count, lambda number: orders.append(ask(number)))  # type: ignore[arg-type]
    found["sign, stored and audited"] = _rate(count, sign)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-") as folder:
        os.environ["MAILADMIN_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "mailadmin.settings"
        import django
        from django.core.management import call_command

        from core import nudge, seal

        seal.ensure_keys(Path(folder))
        seal.load("all", Path(folder))
        django.setup()
        call_command("migrate", verbosity=0)
        nudge.send = lambda task, pk: None  # the broker is not what is measured
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
        for stage, rate in run(count).items():
            print(f"{stage:28} {rate:8.0f} a second")  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
