"""How many certificates a second go from ready requests to stored, audited certificates.

    python -m benchmarks.ca_sign [how many]            or  manage.py bench ca_sign

Bulk: `bulk.request` and `bulk.sign`, P-256 under P-256 and RSA-2048 under RSA-2048, in one process
as the signer runs it. Single: the verbs `request` and `sign`, one order at a time. Beside them in
the same run the openssl command (a process for each certificate, nothing stored but the file) and
django-ca's `create_cert` (see `benchmarks.ca_console`). Other work on the machine counts against
the wall clock, so the rate by the processor's time stands beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import ca_console

HOW_MANY = 10_000
RSA_HOW_MANY = 2_000
SINGLE = 300
OPENSSL = 100


def _rates(count: int, act: Callable[[], object]) -> tuple[float, float]:
    """(a second of the clock, a second of this process's processor time)."""
    clock, processor = time.perf_counter(), time.process_time()
    act()
    return count / (time.perf_counter() - clock), count / (time.process_time() - processor)


def _line(what: str, rates: tuple[float, float], budget: str = "") -> str:
    wall, processor = rates
    return f"{what:40} {wall:7.0f} a second  {processor:7.0f} by processor time  {budget}".rstrip()


def bulk_of(issuer: Any, requests: list[str]) -> Callable[[], None]:
    from django.utils import timezone

    from ca import bulk
    from ca.models import Batch
    from core import leases

    def act() -> None:
        at = timezone.now()
        batch = bulk.request(profile="host", issuer=issuer, csrs=requests, days=90, by=None, at=at)
        while batch.is_open:
            at = timezone.now()
            held = leases.claim(Batch.objects.due(at), batch.pk, worker="bench", at=at)
            if held is None:
                raise RuntimeError("the batch is held by another worker")
            bulk.sign(batch=held, clock=timezone.now)
            batch.refresh_from_db()
        if batch.signed != len(requests):
            raise RuntimeError(f"{len(batch.refused)} refused: {batch.reason or batch.refused[:1]}")

    return act


def single(issuer: Any, requests: list[str], at: datetime) -> Iterator[str]:
    from ca import issuance
    from ca.models import Order
    from core import leases

    orders: list[Order] = []

    def ask() -> None:
        for number, pem in enumerate(requests):
            orders.append(
                issuance.request(
                    profile="host",
                    names=[f"host{number}.example.test"],
                    issuer=issuer,
                    csr_pem=pem,
                    by=None,
                    at=at,
                )
            )

    def sign() -> None:
        for order in orders:
            held = leases.claim(Order.objects.due(at), order.pk, worker="bench", at=at)
            if held is None or issuance.sign(order=held, at=at) is None:
                raise RuntimeError("an order was not signed")

    yield _line("single order, asked for", _rates(len(requests), ask))
    yield _line("single order, signed and stored", _rates(len(requests), sign))


def openssl(requests: list[str]) -> Iterator[str]:
    """`openssl x509 -req`, a process each, as a shell script does it."""
    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-") as name:
        folder = Path(name)

        def run(*command: str) -> None:
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)

        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
        run("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Bench", "-out", "ca.pem")
        for number, pem in enumerate(requests):
            (folder / f"{number}.csr").write_text(pem)

        def sign() -> None:
            for number in range(len(requests)):
                run(
                    *("x509", "-req", "-in", f"{number}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
                    *("-copy_extensions", "copy", "-days", "90", "-out", f"{number}.pem"),
                )

        clock = time.perf_counter()
        sign()
        rate = len(requests) / (time.perf_counter() - clock)
        yield f"{'openssl x509 -req, a process each':40} {rate:7.0f} a second"


def measured(count: int) -> Iterator[str]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    with ca_console.made():
        from django.utils import timezone

        at = timezone.now()
        p256, rsa2048 = ca_console.authorities_made(at, "p256", "rsa2048")
        requests = [
            ca_console.request_of(
                f"host{number}.example.test", ec.generate_private_key(ec.SECP256R1())
            )
            for number in range(count)
        ]
        rates = _rates(count, bulk_of(p256, requests))
        yield _line(f"bulk, {count} P-256 under P-256", rates, "budget 2500")
        # A key costs 40 ms to make, and what it is does not change what signing costs.
        keys = [rsa.generate_private_key(65537, 2048) for _number in range(8)]
        ready = [
            ca_console.request_of(f"rsa{number}.example.test", keys[number % len(keys)])
            for number in range(RSA_HOW_MANY)
        ]
        rates = _rates(RSA_HOW_MANY, bulk_of(rsa2048, ready))
        yield _line(f"bulk, {RSA_HOW_MANY} RSA-2048 under RSA-2048", rates, "budget 500")
        yield from single(p256, requests[:SINGLE], at)
    yield from openssl(requests[:OPENSSL])
    yield from ca_console.djangoca("issue", "1000")


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("ca_sign")


def main() -> None:
    for line in measured(int(sys.argv[1]) if len(sys.argv) > 1 else HOW_MANY):
        print(line, flush=True)  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
