"""`manage.py restore_access NAME`: let an operator back in who lost password or second factor.

Removes the second factors, ends the sessions, and prints a one-time link to set a new password.
Whoever may run it is on the server already: it asks for nothing.
"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core import setup
from core.models import Operator
from mailadmin.profile import reset_second_factors


class Command(BaseCommand):
    help = "Remove an operator's second factors and print a one-time link to set a new password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="username or email address")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        operator = (
            Operator.objects.filter(username=name).first()
            or Operator.objects.filter(email__iexact=name).exclude(email="").first()
        )
        if operator is None:
            known = ", ".join(
                Operator.objects.order_by("username").values_list("username", flat=True)[:20]
            )
            raise CommandError(f"There is no operator {name!r}. Known: {known or 'none yet'}.")
        if not operator.is_active:
            raise CommandError(
                f"{operator.username} is switched off; an owner can switch it on again."
            )
        now = timezone.now()
        removed = reset_second_factors(operator=operator, by=None, at=now)
        link = setup.new_link(at=now, operator=operator)
        self.stdout.write(f"Second factors removed: {removed}. Sessions ended.")
        self.stdout.write("Open this within the hour; it works once:")
        self.stdout.write(f"  http://localhost:{settings.PORT}{link}")
