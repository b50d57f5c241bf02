"""`manage.py up`: start everything and keep it running (see mailadmin.supervisor)."""

from typing import Any

from django.core.management.base import BaseCommand

from mailadmin import privileges, supervisor


class Command(BaseCommand):
    help = "Starts the broker, the web server, the workers and the scheduler, until Ctrl-C."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        supervisor.up(privileges.ground())
