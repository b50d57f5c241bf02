"""How long a revocation list takes, from the rows of the database to signed DER, and its memory.

    python -m benchmarks.crl [entries...]        or  manage.py bench crl

Each size is signed in a process of its own, whose peak memory is printed. django-ca and the
openssl command do the same work beside it, where they are.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import ca_console

# entries: (seconds, MiB) at most
BUDGETS = {100_000: (1, 1024), 1_000_000: (10, 1024)}
OPENSSL_MOST = 100_000
CHUNK = 5000


def _fill(template: Any, entries: int, at: datetime) -> None:
    """Revoked rows, copies of one really signed certificate."""
    from django.db import connection, transaction

    columns = [field.column for field in template._meta.concrete_fields if not field.primary_key]
    own = {"serial", "fingerprint_sha256", "state", "revoked_at", "revocation_reason"}
    copied = ", ".join(column for column in columns if column not in own)
    statement = (
        f"INSERT INTO ca_certificate ({copied}, serial, fingerprint_sha256, state, revoked_at,"  # noqa: S608
        f" revocation_reason) SELECT {copied}, %s, %s, 'revoked', %s, 'superseded'"
        " FROM ca_certificate WHERE id = %s"
    )
    for start in range(0, entries, CHUNK):
        rows = []
        for number in range(start, min(start + CHUNK, entries)):
            when = connection.ops.adapt_datetimefield_value(at - timedelta(seconds=number))
            serial = (1 << 157) + number * 7919
            rows.append((f"{serial:x}", f"{serial:064x}", when, template.pk))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(statement, rows)


def signed(entries: int) -> Iterator[str]:
    """One size, in this process: the memory is this process's."""
    with ca_console.made():
        from cryptography.hazmat.primitives.serialization import Encoding
        from django.utils import timezone

        from ca import crl, keystore, revocation, tasks
        from ca.models import RevocationList

        at = timezone.now()
        (issuer,) = ca_console.authorities_made(at, "p256")
        _fill(ca_console.one_signed(issuer, at), entries, at)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin, busy = time.perf_counter(), time.process_time()
        prepared = revocation.prepare_list(
            issuer=issuer, certificate=issuer.parsed, number=2, at=at, days=crl.DAYS
        )
        key = keystore.load(issuer.key_sealed, key_id=issuer.key_id, token=issuer.token)
        der = key.issue_list(prepared).public_bytes(Encoding.DER)
        took, used = time.perf_counter() - begin, time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        budget = BUDGETS.get(entries)
        said = f"  (budget {budget[0]} s, {budget[1]} MiB)" if budget else ""
        yield (
            f"full list of {entries}: {took:.2f} s, {used:.2f} s of them busy, "
            f"{len(der) / 1e6:.1f} MB, peak memory {peak:.0f} MiB ({before:.0f} before){said}"
        )
        del prepared, der
        listed = RevocationList.objects.get(issuer=issuer)
        RevocationList.objects.filter(pk=listed.pk).update(
            this_update=at - timedelta(hours=1), entries=entries, stale_at=at
        )
        begin = time.perf_counter()
        tasks.sign_list(listed.pk)
        took = time.perf_counter() - begin
        listed.refresh_from_db()
        yield (
            f"the task, with its delta of {listed.delta_entries} and both stored: {took:.2f} s, "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )


def openssl(entries: int) -> Iterator[str]:
    """`openssl ca -gencrl` from an index file of as many lines."""
    if not shutil.which("openssl"):
        return
    with tempfile.TemporaryDirectory(prefix="mailadmin-bench-") as name:
        folder = Path(name)
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca = a\n[a]\ndatabase = index.txt\ncrlnumber = crlnumber\n"
            "default_md = sha256\ndefault_crl_days = 7\nprivate_key = key.pem\n"
            "certificate = ca.pem\n[req]\ndistinguished_name = dn\n[dn]\n"
        )
        (folder / "crlnumber").write_text("01\n")
        with (folder / "index.txt").open("w") as index:
            for number in range(entries):
                serial = f"{(1 << 157) + number * 7919:X}"
                serial = serial.zfill(len(serial) + len(serial) % 2)
                index.write(
                    f"R\t400101000000Z\t250101000000Z,superseded\t{serial}\tunknown\t/CN=h{number}\n"
                )
        make = "openssl req -x509 -config ca.cnf -subj /CN=x -newkey ec -nodes -keyout key.pem"
        make += " -pkeyopt ec_paramgen_curve:prime256v1 -out ca.pem"
        subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
        begin = time.perf_counter()
        command = ["openssl", "ca", "-config", "ca.cnf", "-gencrl", "-out", "list.pem"]
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = "" if process.returncode == 0 else f", ended with {process.returncode}"
        yield (
            f"openssl ca -gencrl, {entries}: {took:.2f} s, {usage.ru_utime + usage.ru_stime:.2f} s "
            f"of them busy, peak memory {usage.ru_maxrss / 1024:.0f} MiB{ended}"
        )


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("crl")


def measured(sizes: list[int]) -> Iterator[str]:
    for entries in sizes:
        command = [sys.executable, "-m", "benchmarks.crl", "one", str(entries)]
        done = subprocess.run(
            command, cwd=ca_console.CHECKOUT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        yield from done.stdout.splitlines()
        yield from openssl(entries)
    yield from ca_console.djangoca("crl", *[str(size) for size in sizes if size <= OPENSSL_MOST])


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["one"]:
        lines = signed(int(arguments[1]))
    else:
        lines = measured([int(each) for each in arguments] or list(BUDGETS))
    for line in lines:
        print(line, flush=True)  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
