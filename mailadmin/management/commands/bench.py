"""`manage.py bench NAME`: run `benchmarks/NAME.py` and print what it measured, and on what."""

import importlib
import os
import platform
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

NAMES = (
    "accounts_lists",
    "bridge",
    "ca_sign",
    "crl",
    "delta",
    "finding",
    "first_light",
    "flags",
    "fleet",
    "import_accounts",
    "ocsp",
)


class Command(BaseCommand):
    help = "Measures this machine against the budgets. Names: " + ", ".join(NAMES) + "."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=NAMES)

    def handle(self, *_args: Any, name: str, **_options: Any) -> None:
        self.stdout.write(machine())
        try:
            for line in importlib.import_module(f"benchmarks.{name}").run():
                self.stdout.write(line)
                self.stdout.flush()
        except RuntimeError as error:
            raise CommandError(str(error)) from error


def machine() -> str:
    """Cores, processor, memory, system and Python in one line."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return (
        f"{os.cpu_count()} cores, {processor}, {memory:.0f} GiB, {system}, "
        f"Python {platform.python_version()}"
    )
