"""What the authority's benchmarks have in common: a database of their own, authorities, the peers.

Each runs in a process of its own, on SQLite in a temporary folder, or on the empty PostgreSQL
database that MAILADMIN_BENCH_DATABASE_URL names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
# Scripts that measure others at the same work; not part of the checkout.
PEERS = Path(os.environ.get("MAILADMIN_PEERS") or CHECKOUT.parent / "shared" / "peers")


def apart(module: str) -> Iterator[str]:
    """The lines of `python -m benchmarks.MODULE`: `manage.py bench` has a console's settings."""
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            yield line.rstrip("\n")
    if running.returncode:
        raise RuntimeError(f"benchmarks.{module} ended with {running.returncode}")


@contextmanager
def made() -> Iterator[None]:
    """Django, set up on an empty database, with every key at hand and no broker."""
    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-") as folder:
        os.environ["MAILADMIN_DATA"] = folder
        os.environ["MAILADMIN_ENV"] = "local"
        os.environ["MAILADMIN_DATABASE_URL"] = os.environ.get("MAILADMIN_BENCH_DATABASE_URL", "")
        os.environ["DJANGO_SETTINGS_MODULE"] = "mailadmin.settings"
        import django
        from django.core.management import call_command

        from core import nudge, seal

        seal.ensure_keys(Path(folder))
        seal.load("all", Path(folder))
        django.setup()
        call_command("migrate", verbosity=0)
        nudge.send = lambda task, pk: None  # the broker is not what is measured
        yield


def authorities_made(at: datetime, *algorithms: str) -> list[Any]:
    """An issuing authority for each algorithm, each below a root of its own."""
    from django.utils import timezone

    from ca import authorities
    from ca.models import Ceremony
    from ca.wishes import AuthorityWish, Wish
    from core import leases

    found = []
    for number, algorithm in enumerate(algorithms, 1):
        wish = Wish(
            root=AuthorityWish(f"Bench Root {number}", "p256", 7305),
            issuing=AuthorityWish(f"Bench Issuing {number}", algorithm, 1826),
            permitted=("example.test",),
            origin="http://pki.example.test",
        )
        phrase = "a phrase for a benchmark"
        ceremony = authorities.request_hierarchy(wish=wish, passphrase=phrase, by=None, at=at)
        held = leases.claim(Ceremony.objects.due(at), ceremony.pk, worker="bench", at=at)
        if held is None:
            raise RuntimeError("the ceremony is held by another worker")
        authorities.make(ceremony=held, at=at, clock=timezone.now)
        if held.made is None:
            raise RuntimeError(held.reason)
        found.append(held.made)
    return found


def request_of(name: str, key: Any) -> str:
    """A ready request in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    san = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(san, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def one_signed(issuer: Any, at: datetime) -> Any:
    """A certificate, by the verbs for a single one."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from ca import issuance
    from ca.models import Order
    from core import leases

    name = "template.example.test"
    order = issuance.request(
        profile="host",
        names=[name],
        issuer=issuer,
        csr_pem=request_of(name, ec.generate_private_key(ec.SECP256R1())),
        by=None,
        at=at,
    )
    held = leases.claim(Order.objects.due(at), order.pk, worker="bench", at=at)
    certificate = issuance.sign(order=held, at=at) if held else None
    if certificate is None:
        raise RuntimeError("the template was not signed")
    return certificate


def djangoca(*arguments: str) -> Iterator[str]:
    """django-ca at the same work, in its own environment; a line says why when it cannot be."""
    return peer("djangoca", "django-ca", ["run.sh", *arguments])


def peer(folder: str, name: str, *commands: list[str], **settings: str) -> Iterator[str]:
    """What the scripts of a peer print, one command after the other; or why they cannot run."""
    scripts = PEERS / folder
    if not scripts.is_dir():
        yield f"{name}: its scripts are not here (MAILADMIN_PEERS names their folder)"
        return
    with tempfile.TemporaryDirectory(prefix="mailadmin-peer-") as temporary:
        kept = Path(os.environ.get("MAILADMIN_PEERS_CACHE") or temporary)
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DJANGO_", "MAILADMIN_", "PYTHON"))
        }
        environment.update(settings, XDG_CACHE_HOME=str(kept))
        for script, *arguments in commands:
            done = subprocess.run(
                ["bash", str(scripts / script), *arguments],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no word"])[-1]
                yield f"{name}: not measured ({last[:200]})"
                return
            for line in done.stdout.splitlines():
                yield f"{name}: {line}"
