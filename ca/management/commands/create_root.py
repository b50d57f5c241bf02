"""`manage.py create_root`: a root under a passphrase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from ca import authorities, keys, profiles
from ca.management.base import AuthorityCommand, day, described_authority
from ca.wishes import AuthorityWish, Wish


class Command(AuthorityCommand):
    help = """Make a root: the authority that devices trust.

Its key is kept under the passphrase, which is never stored and is asked for each time the root
signs another authority. Only the first line's end is taken off the passphrase file.

  ./run manage create_root --name "Example Root CA" --algorithm p384 --days 7305 \\
      --passphrase-file root.pass
"""
    permission = "ca.manage"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="people see it when they install it")
        parser.add_argument(
            "--algorithm",
            choices=list(keys.ALGORITHMS),
            default="p384",
            help="the kind of key (p384); few clients know ed25519",
        )
        parser.add_argument(
            "--days",
            type=int,
            default=profiles.CLASSIC_ROOT_DAYS,
            metavar="D",
            help=f"its life ({profiles.CLASSIC_ROOT_DAYS}, twenty years)",
        )
        parser.add_argument(
            "--passphrase-file", required=True, metavar="F", help="holds the passphrase alone"
        )
        parser.add_argument("--organisation", default="", metavar="O", help="in its subject")
        parser.add_argument("--country", default="", metavar="CC", help="two letters, such as TW")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        wish = Wish(
            root=AuthorityWish(
                name=options["name"],
                algorithm=options["algorithm"],
                days=options["days"],
                organisation=options["organisation"],
                country=options["country"],
            ),
            origin=settings.PUBLIC_URL,
        )
        passphrase = self.passphrase(options["passphrase_file"])
        ceremony = authorities.request_root(
            wish=wish, passphrase=passphrase, by=self.by, at=self.now
        )
        root = self.ceremony_of(ceremony).root
        assert root is not None
        if not root.origin:
            self.warn("public_url_missing")
        return described_authority(root)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield f"Made the root {result['name']} ({result['key']}), until {day(result['not_after'])}."
        yield f"SHA-256 fingerprint: {result['fingerprint_sha256']}"
        yield f'Next: ./run manage create_issuer --root "{result["name"]}" --help'
