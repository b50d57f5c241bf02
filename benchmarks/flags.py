"""Flags over 100,000 accounts: the whole refresh, and its second round. The budget is 30 s.

    python -m benchmarks.flags [how many]

Half of the accounts were used, every hundredth is named like a test, a third has an owner; their
host is looked at since 200 days. In an SQLite database of its own.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta

from benchmarks import ca_console

HOW_MANY = 100_000
HOST = "7f1c2c9e-9f0e-4b53-9d55-0d7c0a3f5c11"


def run() -> Iterator[str]:
    """For `manage.py bench`, which has the settings of a console."""
    return ca_console.apart("flags")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else HOW_MANY
    with tempfile.TemporaryDirectory(prefix="mailadmin-benchmark-") as data:
        os.environ.update(MAILADMIN_DATA=data, MAILADMIN_ENV="local")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
        measure(count)


def measure(count: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from accounts import flags
    from accounts.models import Domain, Evidence, Flag, LastUse, Mailbox

    call_command("migrate", verbosity=0)
    at = timezone.now()
    long_ago = at - timedelta(days=400)
    domain = Domain.objects.create(name="bench.example.test", host=HOST, created_at=long_ago)
    for protocol in ("imap", "pop3", "smtp"):
        Evidence.objects.create(
            host=HOST, protocol=protocol, since=at - timedelta(days=200), through=at
        )
    names = (f"test{n}" if n % 100 == 0 else f"person{n}" for n in range(count))
    made = Mailbox.objects.bulk_create(
        (
            Mailbox(
                domain=domain,
                local_part=name,
                address=f"{name}@{domain.name}",
                owner_contact="somebody" if number % 3 == 0 else "",
                password="{ARGON2ID}$argon2id$",  # noqa: S106 - nobody's
                password_set_at=long_ago,
                state_since=long_ago,
                created_at=long_ago,
            )
            for number, name in enumerate(names)
        ),
        batch_size=1000,
    )
    LastUse.objects.bulk_create(
        (
            LastUse(mailbox=row, protocol="imap", at=at - timedelta(days=row.pk % 180))
            for row in made[::2]
        ),
        batch_size=1000,
    )
    took, cpu = [], []
    for _round in range(2):
        begin, worked = time.monotonic(), time.process_time()
        found = flags.refresh(at=at)
        took.append(round(time.monotonic() - begin, 2))
        cpu.append(round(time.process_time() - worked, 2))
    print(  # noqa: T201 - it is a command
        json.dumps(
            {
                "accounts": count,
                "flags": found,
                "rows": Flag.objects.count(),
                "first_s": took[0],
                "again_s": took[1],
                "cpu_s": cpu,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
