"""The list of certificates over a million rows: how long a page takes on the server, its queries.

    python -m benchmarks.finding [how many]        or  manage.py bench finding

The rows are copies of one really signed certificate, each with names, numbers and an end of its
own, in a database of their own (see `benchmarks.ca_console`). Pages are asked for by Django's test
client, signed in, middleware included. django-ca's list of as many is measured in the same run.
"""

from __future__ import annotations

import json
import random
import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from benchmarks import ca_console

HOW_MANY = 1_000_000
ROUNDS = 20
CHUNK = 5000
COLUMNS = (
    "issuer_id", "profile", "state", "serial", "subject", "names", "key_id", "key_label",
    "fingerprint_sha256", "fingerprint_sha1", "not_before", "not_after", "issued_at", "pem",
    "search", "revoked_at", "revocation_reason",
)  # fmt: skip

# What is asked for, and what it stands for.
PAGES = {
    "first page": "",
    "latest first": "order=latest",
    "newest first": "order=newest",
    "valid": "state=valid",
    "valid, newest first": "state=valid&order=newest",
    "ends within 7 days": "state=ending&days=7",
    "revoked (5 %)": "state=revoked",
    "on hold (0.1 %)": "state=held",
    "on hold, of one issuer": "state=held&issuer={issuer}",
    "expired": "state=expired",
    "issuer": "issuer={issuer}",
    "issuer and revoked": "issuer={issuer}&state=revoked",
    "profile (0.1 %)": "profile=person",
    "profile and revoked": "profile=person&state=revoked",
    "ends in one week": "since={since}&until={until}",
    "word in all": "q=example",
    "word in all, newest first": "q=example&order=newest",
    "word in all, latest first": "q=example&order=latest",
    "word in all, revoked": "q=example&state=revoked",
    "word in all, on hold": "q=example&state=held",
    "word in one of nine": "q=host9",
    "the same, newest first": "q=host9&order=newest",
    "word in 0.1 %": "q=host999",
    "one name": "q=host{one}.example.test",
    "two words": "q=host9 example",
    "absent word": "q=nothere",
    "absent, like names": "q=host99999999",
    "two letters": "q=ho",
    "absent two letters": "q=zq",
    "Chinese, two letters": "q=郵件",
    "serial number": "q={serial}",
    "first 4 digits of one": "q={serial4}",
    "0x and two digits": "q=0x4f",
    "fingerprint": "q={fingerprint}",
}


def rows(template: Any, second: int, count: int, at: datetime) -> Iterator[tuple[object, ...]]:
    """Values of `COLUMNS`; the same seed gives the same names and ends."""
    draw = random.Random(3)  # noqa: S311 - not a secret
    states = ["valid"] * 938 + ["revoked"] * 50 + ["superseded"] * 11 + ["held"]
    for number in range(count):
        name = f"host{number}.example.test"
        shown = ""
        if number % 1000 == 7:
            name, shown = f"xn--5nqv22n{number}.example.test", f" 郵件{number}.example.test"
            shown += " 郵郵郵件件件"
        state = states[draw.randrange(1000)]
        ends = at + timedelta(minutes=draw.randrange(-30 * 1440, 370 * 1440))
        gone = state in ("revoked", "held")
        yield (
            second if number % 10 == 0 else template.issuer_id,
            "person" if number % 1000 == 3 else "host",
            state,
            secrets.token_hex(20),
            f"CN={name}",
            json.dumps([name]),
            secrets.token_hex(32),
            "P-256",
            secrets.token_hex(32),
            secrets.token_hex(20),
            min(at, ends - timedelta(days=90)),
            ends.replace(microsecond=0),
            template.issued_at,
            template.pem,
            f" {name}{shown}",
            at if gone else None,
            {"revoked": "superseded", "held": "certificateHold"}.get(state, ""),
        )


def fill(count: int, at: datetime) -> tuple[Any, float]:
    """Insert the rows; the template, and how many a second (with every index and its triggers)."""
    from django.db import connection, transaction

    first, second = ca_console.authorities_made(at, "p256", "p256")
    template = ca_console.one_signed(first, at)
    marks = ", ".join(["%s"] * len(COLUMNS))
    statement = f"INSERT INTO ca_certificate ({', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608
    adapt = connection.ops.adapt_datetimefield_value
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = -400000")  # only to fill it: 400 MB
    begin = time.perf_counter()
    chunk: list[tuple[object, ...]] = []
    source = rows(template, second.pk, count, at)
    while chunk := [row for row, _number in zip(source, range(CHUNK), strict=False)]:
        adapted = [
            [adapt(value) if isinstance(value, datetime) else value for value in row]
            for row in chunk
        ]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(statement, adapted)
    rate = count / (time.perf_counter() - begin)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE ca_certificate")
    return template, rate


def measure(client: Any, address: str) -> tuple[float, float, int, int]:
    """(median ms, p95 ms, queries, rows shown)."""
    from django.db import connection

    def counted(execute: Any, *arguments: Any) -> Any:
        seen.append(arguments[0])
        return execute(*arguments)

    seen: list[str] = []
    with connection.execute_wrapper(counted):
        answer = client.get(address)
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status_code}")
    shown = answer.content.count(b'name="certificate"')
    times = []
    for _round in range(ROUNDS):
        begin = time.perf_counter()
        client.get(address)
        times.append((time.perf_counter() - begin) * 1000)
    times.sort()
    return statistics.median(times), times[int(ROUNDS * 0.95) - 1], len(seen), shown


def pages(count: int, at: datetime) -> Iterator[str]:
    from django.test import Client

    from ca import lists
    from ca.models import Certificate
    from core.models import Operator

    last = Certificate.objects.latest("pk")
    owner = Operator.objects.create_user(username="bench", password=None, role="owner")
    client = Client(SERVER_NAME="localhost")
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    values = {
        "issuer": last.issuer_id,
        "since": f"{at + timedelta(days=100):%Y-%m-%d}",
        "until": f"{at + timedelta(days=107):%Y-%m-%d}",
        "one": count // 2 + 1,
        "serial": last.serial,
        "serial4": last.serial[:4],
        "fingerprint": last.fingerprint_sha256[:16],
    }
    worst = 0.0
    following = lists.page_of(lists.Asked(), {}, at=at).next
    # The number on the tab "Due" is kept for a minute: what it costs once is a line of its own.
    begin = time.perf_counter()
    client.get("/certificates/")
    yield f"{'the first of all':28} {(time.perf_counter() - begin) * 1000:7.1f} ms"
    for what, query in {**PAGES, "second page": f"after={following}"}.items():
        address = "/certificates/?" + query.format(**values)
        middle, p95, queries, shown = measure(client, address)
        worst = max(worst, p95)
        yield f"{what:28} {middle:7.1f} ms  p95 {p95:7.1f} ms  {queries:2} queries {shown:3} rows"
    yield f"{'slowest p95':28} {worst:7.1f} ms  (budget 100 ms)"


def download(count: int) -> Iterator[str]:
    import resource

    from django.test import Client

    from core.models import Operator

    client = Client(SERVER_NAME="localhost")
    client.force_login(
        Operator.objects.get(username="bench"),
        backend="allauth.account.auth_backends.AuthenticationBackend",
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    size = lines = 0
    for part in client.get("/certificates/certificates.csv").streaming_content:
        size += len(part)
        lines += part.count(b"\r\n")
    took = time.perf_counter() - begin
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    yield (
        f"CSV of {lines - 1} rows: {lines / took:.0f} rows a second, {size / 1e6:.0f} MB, "
        f"memory grew by {grown:.0f} MiB"
    )


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("finding")


def measured(count: int) -> Iterator[str]:
    with ca_console.made():
        from django.db import connection
        from django.utils import timezone

        at = timezone.now()
        _template, rate = fill(count, at)
        connection.close()
        yield f"{count} certificates inserted, {rate:.0f} a second with every index"
        yield from pages(count, at)
        yield from download(count)
    yield from ca_console.djangoca("lists", str(count))


def main() -> None:
    for line in measured(int(sys.argv[1]) if len(sys.argv) > 1 else HOW_MANY):
        print(line, flush=True)  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
