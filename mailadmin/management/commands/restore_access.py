"""`manage.py restore_access NAME`: let an operator back in who lost password or second factor.

Takes away password and second factors, ends the sessions, and prints a one-time link to set a new
password.
Whoever may run it is on the server already: it asks for nothing.
"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core import operators
from core.models import Operator


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
        link = operators.let_in(operator=operator, by=None, at=timezone.now())
        self.stdout.write("The old password and the second factors are gone, sessions have ended.")
        self.stdout.write(f"Open this before {link.expires_at:%Y-%m-%d %H:%M} UTC; it works once:")
        self.stdout.write(f"  http://localhost:{settings.PORT}{link.path}")
