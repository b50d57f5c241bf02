"""`manage.py create_operator NAME --role R`: somebody else who signs in to the console."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from accounts import addresses
from accounts.models import Domain
from core import operators, roles
from core.commands import Refused, TerminalCommand, few


class Command(TerminalCommand):
    help = """Add an operator and print the link with which he sets his password.

  ./run manage create_operator anna --role administrator --email anna@example.test
  ./run manage create_operator bert --role helpdesk --domain a.example.test --domain b.example.test
"""
    permission = "settings.manage"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="to sign in with")
        parser.add_argument(
            "--role", required=True, choices=[role for role, _label in roles.CHOICES]
        )
        parser.add_argument(
            "--domain",
            action="append",
            default=[],
            metavar="DOMAIN",
            help="that he sees, for domain managers and the helpdesk; may be said several times",
        )
        parser.add_argument("--email", default="", metavar="ADDRESS", help="for notices")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        row, link = operators.add(
            username=options["name"],
            email=options["email"],
            role=options["role"],
            domains=[known(name) for name in options["domain"]],
            by=self.by,
            at=self.now,
        )
        return {
            "username": row.username,
            "role": row.role,
            "domains": row.domains,
            "link": settings.CONSOLE_URL + link.path,
            "link_until": link.expires_at,
        }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield _("“%(name)s” was added. This link works once, until %(until)s UTC:") % {
            "name": result["username"],
            "until": f"{result['link_until']:%Y-%m-%d %H:%M}",
        }
        yield f"  {result['link']}"


def known(name: str) -> str:
    """The name of a domain as it is stored."""
    try:
        stored = addresses.domain_name(name)
    except addresses.NotAnAddress:
        stored = ""
    if not Domain.objects.filter(name=stored).exists():
        names = Domain.objects.order_by("name").values_list("name", flat=True)
        raise Refused("domain_unknown", value=name, known=few(names))
    return stored
