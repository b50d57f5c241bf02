"""Accounts, aliases, flags and domains at 100,000 mailboxes: what a page takes on the server, how
many queries it needs, and what the 100,001st mailbox costs against the first.

    python -m benchmarks.accounts_lists [how many]        or  manage.py bench accounts_lists

In a database of its own (see `benchmarks.ca_console`). Half of the mailboxes are in one domain, the
rest in nine others; fifty domains have none. One in five was never used, one in a hundred used at
the same moment, 4 % are suspended, closed or erased; flags are found as on a console. Pages are
asked for by Django's test client, signed in, middleware included; "last" and "middle" by their
keys. Modoboa at as many is measured in the same run, if its scripts and what they need are there.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from benchmarks import ca_console

HOW_MANY = 100_000
ROUNDS = 20
CREATED = 20
CHUNK = 5000
BUDGET_MS, BUDGET_QUERIES = 100, 10
HOST = "7f1c2c9e-9f0e-4b53-9d55-0d7c0a3f5c11"
GIVEN = ["Anna", "Bert", "Carla", "Dora", "Emil", "Fritz", "Gerda", "Hans", "Ines", "Jan"]
FAMILY = ["Adler", "Berg", "Chen", "Dietz", "Ebert", "Frank", "Graf", "Huber", "林", "王"]

SORTS = ["address", "-address", "-id", "id", "-used", "used"]
# What is asked of the list of accounts beside the plain one, each in every order.
FILTERS = {
    "half of all (domain)": "domain=d0.example.test",
    "one in twenty (domain)": "domain=d7.example.test",
    "active": "state=active",
    "suspended (3 %)": "state=suspended",
    "closed (0.9 %)": "state=closing",
    "erased (0.1 %)": "state=erased",
    "domain, suspended": "domain=d0.example.test&state=suspended",
    "word in all": "q=example",
    "word in one of ten": "q=anna",
    "word in one": "q={middle}@",
    "absent word": "q=nothere",
    "two letters": "q=an",
    "two words": "q=anna huber",
    "Chinese, one letter": "q=林",
    "word in all, suspended": "q=example&state=suspended",
    "word in one of ten, domain": "q=anna&domain=d0.example.test",
}


def fill(count: int, at: datetime) -> float:
    """Insert the rows; how many mailboxes a second, with every index and the search's triggers."""
    from django.db import connection, transaction

    from accounts import flags
    from accounts.hashing import hash_password
    from accounts.models import Alias, Domain, Evidence, LastUse, Mailbox, search_text

    draw = random.Random(5)  # noqa: S311 - not a secret
    long_ago = at - timedelta(days=400)
    domains = Domain.objects.bulk_create(
        Domain(name=f"d{n}.example.test", host=HOST, created_at=long_ago) for n in range(60)
    )
    for protocol in ("imap", "pop3", "smtp"):
        Evidence.objects.create(
            host=HOST, protocol=protocol, since=at - timedelta(days=200), through=at
        )
    hashed = hash_password("kapim4-tovuz7-relof2-gudas9")
    states = ["active"] * 960 + ["suspended"] * 30 + ["closing"] * 9 + ["erased"]

    def row(number: int) -> Any:
        home = domains[0 if number % 2 else 1 + number // 2 % 9]
        local = f"test{number}" if number % 1000 == 4 else f"m{number}"
        address = f"{local}@{home.name}"
        name = f"{GIVEN[number % 10]} {FAMILY[number // 10 % 10]}"
        used = at - timedelta(seconds=draw.randrange(1, 180 * 86400))
        owner = f"{GIVEN[number // 100 % 10]}, ext. {number % 700}" if number % 3 else ""
        return Mailbox(
            domain=home, local_part=local, address=address, display_name=name,
            owner_contact=owner, password=hashed, password_set_at=long_ago, created_at=long_ago,
            state=states[draw.randrange(1000)], state_since=long_ago, quota_mb=1000,
            last_used_at=None if number % 5 == 0 else long_ago if number % 100 == 1 else used,
            search_text=search_text(address, name, owner),
        )  # fmt: skip

    begin = time.perf_counter()
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        with transaction.atomic():
            made = Mailbox.objects.bulk_create(map(row, numbers), batch_size=500)
            LastUse.objects.bulk_create(
                (
                    LastUse(mailbox=each, protocol="imap", at=each.last_used_at)
                    for each in made
                    if each.last_used_at
                ),
                batch_size=500,
            )
    rate = count / (time.perf_counter() - begin)
    Alias.objects.bulk_create(
        (
            Alias(
                domain=domains[n % 10], local_part=f"a{n}", created_at=long_ago,
                address=f"a{n}@{domains[n % 10].name}", note=f"team {n % 50}",
                targets=[f"m{n}@{domains[0].name}", f"{GIVEN[n % 10].lower()}@elsewhere.test"],
            )
            for n in range(count // 5)
        ),
        batch_size=500,
    )  # fmt: skip
    flags.refresh(at=at)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    return rate


@dataclass(frozen=True)
class Timing:
    """Of one page, in milliseconds; `cpu` is the process's own (SQLite works in it), which others
    on the machine hardly change."""

    median: float
    p95: float
    cpu: float
    queries: int
    rows: int = 0

    def __str__(self) -> str:
        return (
            f"{self.median:7.1f} ms  p95 {self.p95:7.1f} ms  cpu {self.cpu:6.1f} ms  "
            f"{self.queries:2} queries"
        )


def timed(act: Callable[[int], Any], rounds: int) -> Timing:
    """`act(number)` again and again, after one time that warms up and whose queries are counted."""
    from django.db import connection

    def counted(execute: Any, *arguments: Any) -> Any:
        seen.append(arguments[0])
        return execute(*arguments)

    seen: list[str] = []
    with connection.execute_wrapper(counted):
        answer = act(0)
    shown = answer.content.count(b"<tr>") - answer.content.count(b"<thead><tr>")
    times, cpu = [], []
    for number in range(1, rounds + 1):
        begin, worked = time.perf_counter(), time.process_time()
        act(number)
        times.append((time.perf_counter() - begin) * 1000)
        cpu.append((time.process_time() - worked) * 1000)
    times.sort()
    p95 = times[max(0, int(rounds * 0.95) - 1)]
    return Timing(statistics.median(times), p95, statistics.median(cpu), len(seen), shown)


def page(client: Any, address: str, rounds: int = ROUNDS) -> Timing:
    def asked(_number: int) -> Any:
        answer = client.get(address)
        if answer.status_code != 200:
            raise RuntimeError(f"{address}: {answer.status_code}")
        return answer

    return timed(asked, rounds)


def signed_in(name: str, **fields: Any) -> Any:
    from django.test import Client

    from core.models import Operator

    operator = Operator.objects.create_user(username=name, password=None, **fields)
    client = Client(SERVER_NAME="localhost")
    client.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def lists() -> Iterator[tuple[str, str]]:
    """What is asked for, and what it stands for."""
    from accounts.forms import FilterForm
    from accounts.models import Flag, Mailbox
    from accounts.pages.flags import BY_RISK
    from core.paging import Order, key_of

    def ends(rows: Any, order: Order) -> Iterator[tuple[str, str]]:
        """A page in the middle and the last one, by the keys of the rows before them."""
        ordered = rows.order_by(*([order] if isinstance(order, str) else order))
        there = rows.count()
        for what, place in (("middle", there // 2), ("last", there - 51)):
            yield what, f"after={key_of(ordered[place], order)}"
        yield "back from the middle", f"before={key_of(ordered[there // 2], order)}"

    present = Mailbox.objects.present()
    middle = present.order_by("pk")[present.count() // 2].local_part
    for sort in SORTS:
        yield f"accounts: all, {sort}", f"/accounts/?sort={sort}"
        for what, key in ends(present, FilterForm.ORDERS.get(sort, sort)):
            yield f"accounts: all, {sort}, {what}", f"/accounts/?sort={sort}&{key}"
    for what, query in FILTERS.items():
        for sort in SORTS:
            asked = query.format(middle=middle)
            yield f"accounts: {what}, {sort}", f"/accounts/?{asked}&sort={sort}"
    yield "flags", "/accounts/flags/"
    for what, key in ends(Flag.objects.all(), BY_RISK):
        yield f"flags, {what}", f"/accounts/flags/?{key}"
    for kind in ("test_named", "never_used", "no_owner", "set_aside"):
        yield f"flags, {kind}", f"/accounts/flags/?kind={kind}"
    yield "aliases", "/accounts/aliases/"
    for word in ("a7", "d7.example", "anna@else", "nothere"):
        yield f"aliases, {word}", f"/accounts/aliases/?q={word}"
    yield "domains", "/accounts/domains/"
    yield "domains, search", "/accounts/domains/?q=d1"
    yield "imports", "/accounts/imports/"
    for what, row in (
        ("account", Mailbox.objects.filter(state="active").last()),
        ("account, suspended", Mailbox.objects.filter(state="suspended").first()),
    ):
        yield what, f"/accounts/{row.pk}/" if row else ""
    yield "domain", f"/accounts/domains/{Mailbox.objects.get(local_part='m1').domain_id}/"


SCOPED = {
    "his one domain of ten": ["d7.example.test"],
    "his nine domains of ten": [f"d{n}.example.test" for n in range(9)],
}


def created(client: Any, domain: Any, prefix: str) -> Timing:
    """New mailboxes by the form, hashing and all."""

    def made(number: int) -> Any:
        given = {
            "local_part": f"{prefix}{number}", "domain": domain.pk,
            "password": "kapim4-tovuz7-relof2-gudas9", "display_name": "Bench",
        }  # fmt: skip
        answer = client.post("/accounts/new/", given)
        if answer.status_code != 302:
            raise RuntimeError(f"a mailbox was not made: {answer.status_code}")
        return answer

    return timed(made, CREATED)


def scoped() -> Iterator[tuple[Any, str, str]]:
    """Managers of some domains, and what they look at."""
    for who, names in SCOPED.items():
        client = signed_in(who.replace(" ", "-"), role="domain_manager", domains=names)
        for sort in SORTS:
            for query in ("", "state=suspended", "q=anna", "q=example"):
                yield client, f"{who}: {query or 'all'}, {sort}", f"/accounts/?{query}&sort={sort}"
        for address in ("flags/", "aliases/", "aliases/?q=a7", "domains/"):
            yield client, f"{who}: {address}", f"/accounts/{address}"


def measured(count: int) -> Iterator[str]:
    from django.utils import timezone

    with ca_console.made():
        from accounts.models import Domain

        at = timezone.now()
        owner = signed_in("bench", role="owner")
        # With a limit, so that what is there has to be counted.
        limited = {"host": HOST, "created_at": at, "most_mailboxes": count * 2}
        first = created(owner, Domain.objects.create(name="new.example.test", **limited), "first")
        yield line("a mailbox by its form, among the first", first)
        rate = fill(count, at)
        yield f"{count} mailboxes inserted, {rate:.0f} a second with every index"
        largest = Domain.objects.get(name="d0.example.test")
        Domain.objects.filter(pk=largest.pk).update(most_mailboxes=count * 2)
        later = created(owner, largest, "later")
        yield line(f"after {count}, in the largest domain", later)
        yield (
            f"{'the later against the first: median, cpu':58} "
            f"{later.median / first.median:7.2f} {later.cpu / first.cpu:7.2f}"
        )
        yield from pages(owner)
        yield f"load of the machine meanwhile: {os.getloadavg()[1]:.1f} (5 minutes)"
    yield from ca_console.peer(
        "modoboa", "Modoboa", ["setup.sh"], ["run.sh", str(count)], PEER_QUICK="1"
    )


def pages(owner: Any) -> Iterator[str]:
    slowest, most = 0.0, 0
    asked = [(owner, what, address) for what, address in lists()]
    for client, what, address in [*asked, *scoped()]:
        timing = page(client, address)
        slowest, most = max(slowest, timing.p95), max(most, timing.queries)
        over = timing.p95 > BUDGET_MS or timing.queries > BUDGET_QUERIES
        yield f"{line(what, timing)} {timing.rows:3} rows{'  OVER' if over else ''}"
    yield (
        f"{'slowest p95, most queries':58} {slowest:7.1f} ms  {most} queries  "
        f"(budget {BUDGET_MS} ms, {BUDGET_QUERIES})"
    )


def line(what: str, timing: Timing) -> str:
    return f"{what:58} {timing}"


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("accounts_lists")


def main() -> None:
    for line in measured(int(sys.argv[1]) if len(sys.argv) > 1 else HOW_MANY):
        print(line, flush=True)  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
