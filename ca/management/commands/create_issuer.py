"""`manage.py create_issuer`: an issuing authority under a root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.x509.oid import NameOID, ObjectIdentifier
from django.conf import settings
from django.core.management.base import CommandParser

from ca import authorities, keys
from ca.management.base import (
    AuthorityCommand,
    Refused,
    day,
    described_authority,
    issuer_named,
)
from ca.models import Issuer
from ca.wishes import AuthorityWish, Wish

DAYS = 1826


class Command(AuthorityCommand):
    help = """Make an issuing authority: it signs the certificates of hosts and people.

Its key is kept by the signer, without a passphrase. --permit names the domains and networks it may
sign for, everything below them included: a stolen key can then not speak for anybody else. Without
it --unconstrained has to be said.

The environment's MAILADMIN_PUBLIC_URL (http://pki.example.com) is burnt into every certificate, for
the revocation list and OCSP; where it is not set, the root's address is used.

  ./run manage create_issuer --root "Example Root CA" --name "Example Issuing CA" \\
      --algorithm p256 --passphrase-file root.pass --permit example.com 192.0.2.0/24
"""
    permission = "ca.manage"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--root", required=True, metavar="N", help="the authority above it")
        parser.add_argument("--name", required=True, metavar="N", help="its own name")
        parser.add_argument(
            "--algorithm",
            choices=list(keys.ALGORITHMS),
            default="p256",
            help="the kind of key (p256)",
        )
        parser.add_argument(
            "--passphrase-file", metavar="F", help="holds the root's passphrase alone"
        )
        limits = parser.add_mutually_exclusive_group()
        limits.add_argument(
            "--permit",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME",
            help="domains and networks it may sign for",
        )
        limits.add_argument(
            "--unconstrained", action="store_true", help="let it sign for any name in the world"
        )
        parser.add_argument(
            "--days", type=int, default=DAYS, metavar="D", help=f"its life ({DAYS}, five years)"
        )
        parser.add_argument(
            "--token",
            action="store_true",
            help="make its key on the PKCS#11 token that is set up (docs/tokens.md)",
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if not options["permit"] and not options["unconstrained"]:
            refusal = Refused("constraints_missing_here")
            refusal.code = "constraints_missing"
            raise refusal
        above = issuer_named(options["root"])
        wish = Wish(
            issuing=AuthorityWish(
                name=options["name"],
                algorithm=options["algorithm"],
                days=options["days"],
                organisation=_of(above, NameOID.ORGANIZATION_NAME),
                country=_of(above, NameOID.COUNTRY_NAME),
            ),
            permitted=tuple(options["permit"]),
            origin=settings.PUBLIC_URL or above.origin,
            on_token=options["token"],
        )
        path = options["passphrase_file"]
        ceremony = authorities.request_issuing(
            under=above,
            wish=wish,
            unconstrained=options["unconstrained"],
            passphrase=self.passphrase(path) if path else "",
            by=self.by,
            at=self.now,
        )
        made = self.ceremony_of(ceremony).made
        assert made is not None
        if not made.origin:
            self.warn("public_url_missing")
        return described_authority(made)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        until = day(result["not_after"])
        yield f"Made {result['name']} ({result['key']}) under {result['root']}, until {until}."
        permitted = ", ".join(result["permitted"])
        yield f"It may sign for: {permitted}" if permitted else "It may sign for any name."
        yield f'Next: ./run manage issue --issuer "{result["name"]}" --help'


def _of(above: Issuer, oid: ObjectIdentifier) -> str:
    """What the new one's subject has in common with the one above."""
    found = above.parsed.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""
