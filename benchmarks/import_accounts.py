"""How long it takes to bring in accounts from a file, and how much memory.

    python -m benchmarks.import_accounts [--rows 100000] [--clear 200]

Rows with hashes: the whole way of the command, from the file's bytes to the last outcome, on an
empty SQLite database of its own. Rows with clear passwords: the same, against what the hashes alone
cost on the same cores.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import ca_console


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("import_accounts")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--clear", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailadmin-benchmark-") as data:
        os.environ.update(MAILADMIN_DATA=data, MAILADMIN_ENV="local")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
        measure(asked.rows, asked.clear)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - it is a command


def measure(rows: int, clear: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from accounts import domains, hashing, importing, reading
    from accounts.models import AccountImport
    from core import leases, nudge, seal

    nudge.send = lambda task, pk: None
    data = Path(os.environ["MAILADMIN_DATA"])
    seal.ensure_keys(data)
    seal.load("all", data)
    call_command("migrate", interactive=False, verbosity=0)
    domains.create(name="example.test", by=None, at=timezone.now())

    def brought(content: bytes) -> float:
        began = time.perf_counter()
        total = hashlib.sha256()
        batch = importing.request(
            rows=reading.read(io.BytesIO(content), total=total),
            total=total,
            name="benchmark.csv",
            choices=importing.Choices(),
            dry_run=False,
            by=None,
            at=timezone.now(),
        )
        held = leases.claim(AccountImport, batch.pk, worker="benchmark", at=timezone.now())
        assert held is not None
        importing.work(batch=held, clock=timezone.now, slice_=None)
        seconds = time.perf_counter() - began
        held.refresh_from_db()
        assert held.created == held.total, (held.created, held.refused)
        return seconds

    hashed = "$6$saltsaltsaltsalt$" + "a" * 86
    head = b"address,password_hash,display_name,owner_contact,quota_mb\n"
    content = head + b"".join(
        f"user{n}@example.test,{hashed},User Number {n},office {n % 40},1024\n".encode()
        for n in range(rows)
    )
    seconds = brought(content)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"{rows:,} rows with hashes: {seconds:.1f} s, {rows / seconds:,.0f} rows/s")
    say(f"peak memory, the file's {len(content) / 1e6:.0f} MB included: {peak:.0f} MB")

    # The hash's own cost, on the same cores.
    words = [f"vopam{n}-kelti-dorsu-{n * 7919 % 99991}-mibet" for n in range(clear)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        began = time.perf_counter()
        list(pool.map(hashing.hash_password, words))
        bare = time.perf_counter() - began
    clear_text = b"address,password\n" + b"".join(
        f"clear{n}@example.test,{word}\n".encode() for n, word in enumerate(words)
    )
    whole = brought(clear_text)
    say(
        f"{clear:,} rows with clear passwords: {whole:.2f} s; their hashes alone {bare:.2f} s "
        f"({100 * (whole / bare - 1):+.0f} %)"
    )


if __name__ == "__main__":
    main()
